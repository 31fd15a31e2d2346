/** What the city is to its transports: who devices are, what becomes of messages, what devices are to be told. */
import * as Context from "effect/Context"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Database } from "../../kernel/db/Database.ts"
import type { Policy } from "../../kernel/policy/Policy.ts"
import { tenantById } from "../../kernel/tenancy/resolve.ts"
import { type DeviceCommand, DeviceIngestError, type IngestHost } from "../../ports/DeviceIngest.ts"
import { authenticate, type Grounds, stillValid } from "./authenticate.ts"
import { noteCommands, tenantOfCommand, type WaitingCommand, waitingCommands } from "./commands.ts"
import type { CodecSandbox } from "./decode/codec/sandbox.ts"
import type { DecodedMessages } from "./decodeAll.ts"
import { encodeCommand } from "./encodeCommand.ts"
import { Intake, maxBatch, type Told } from "./Intake.ts"

/** Bytes of one message. */
export const maxPayload = 1_048_576

/** Milliseconds after which a command that nobody took is offered again. */
const again = 30_000

type HostServices = Database | Policy

/** What transports are told; made before the intake, which tells some of it. */
export const makeDownlinks = Effect.fnUntraced(function* (sandbox: CodecSandbox["Service"]) {
  const context = yield* Effect.context<HostServices>()
  const commands = yield* PubSub.sliding<DeviceCommand>(1024)
  const offered = new Map<string, number>()

  /** Requests to edge nodes are not kept: an edge node that does not hear one sends data again, and is asked again. */
  const ask = (tenant: string, asks: DecodedMessages["asks"]) =>
    Effect.forEach(
      asks,
      ({ device, payload, topic }) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          PubSub.publish(commands, {
            id: `${device.id}:rebirth`,
            tenant,
            device: device.name,
            deviceId: device.id,
            method: "rebirth",
            params: null,
            raw: { topic, payload },
            expiresAt: now + again
          })
        ),
      { discard: true }
    )

  const told = ({ asks, tenantId }: Told): void => {
    Effect.runFork(
      Effect.flatMap(tenantById(tenantId), (tenant) =>
        tenant === undefined ? Effect.void : ask(tenant.slug, asks)
      ).pipe(
        Effect.catchCause((cause) => Effect.logWarning("Edge nodes could not be asked", cause)),
        Effect.provideContext(context)
      )
    )
  }

  const give = (waiting: WaitingCommand, now: number) =>
    encodeCommand(sandbox, waiting, now).pipe(
      Effect.flatMap((command) => (command === undefined ? Effect.void : PubSub.publish(commands, command))),
      Effect.catchTag("NotEncoded", ({ message }) =>
        noteCommands(waiting.tenantId, [{ id: waiting.id, state: { state: "failed", message } }])
      )
    )

  /** Offers what waits, once a second. */
  const offer = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const waiting = yield* waitingCommands
    const ids = new Set(waiting.map(({ id }) => id))
    // One that nobody took comes back as waiting; it is no more urgent then.
    for (const [id, at] of offered) if (!ids.has(id) && now - at >= again) offered.delete(id)
    for (const command of waiting) {
      if (now - (offered.get(command.id) ?? -Infinity) < again) continue
      offered.set(command.id, now)
      yield* give(command, now)
    }
  }).pipe(
    Effect.catchCause((cause) => Effect.logWarning("Commands to devices could not be read", cause)),
    Effect.andThen(Effect.sleep("1 second")),
    Effect.forever
  )
  return { commands, told, offer }
})

export class Downlinks extends Context.Service<Downlinks, Effect.Success<ReturnType<typeof makeDownlinks>>>()(
  "@mahalla/telemetry/Downlinks"
) {}

const unavailable = (operation: string) => (cause: unknown) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation,
    subject: "device",
    message: "The database does not answer at the moment. Try again in a little while.",
    retryable: true,
    cause
  })

const withdrawn = (id: string) =>
  new DeviceIngestError({
    reason: "InvalidRequest",
    operation: "commandState",
    subject: id,
    message: "This command was sent before, or has run out. Do not hand it over.",
    retryable: false
  })

export const makeHost = Effect.gen(function* () {
  const context = yield* Effect.context<HostServices>()
  const downlinks = yield* Downlinks
  const { receive } = yield* Intake
  const sessions = new Map<string, Grounds>()
  return {
    maxBatch,
    maxPayload,
    receive,
    authenticate: (credential) =>
      Effect.map(authenticate(credential), ({ grounds, session }) => {
        sessions.set(session.id, grounds)
        return session
      }).pipe(Effect.provideContext(context)),
    renew: (session) => {
      const grounds = sessions.get(session.id)
      return grounds === undefined ? Effect.void : stillValid(session, grounds).pipe(Effect.provideContext(context))
    },
    closed: (session) => Effect.sync(() => void sessions.delete(session.id)),
    commands: Stream.fromPubSub(downlinks.commands),
    commandState: (id, state) =>
      id.endsWith(":rebirth")
        ? Effect.void
        : Effect.flatMap(tenantOfCommand(id), (tenantId) =>
            tenantId === undefined ? Effect.succeed([]) : noteCommands(tenantId, [{ id, state }])
          ).pipe(
            Effect.mapError(unavailable("commandState")),
            Effect.flatMap((changed) =>
              // Another way was faster, or nobody wants it any more.
              state.state === "sent" && changed.length === 0 ? Effect.fail(withdrawn(id)) : Effect.void
            ),
            Effect.provideContext(context)
          )
  } satisfies IngestHost
})

/**
 * A transport inside one process, for tests of whatever takes readings through the port; its devices are made by its driver.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import { makeIngestCommands } from "../plugin/ingest/commands.ts"
import { makeIntake } from "../plugin/ingest/intake.ts"
import { makeIngestSessions } from "../plugin/ingest/sessions.ts"
import {
  DeviceIngest,
  type DeviceCredential,
  type DeviceIngestError,
  type DeviceSession,
  type IngestHost
} from "../ports/DeviceIngest.ts"
import { DeviceIngestDriver, type DeviceWire, type Heard, NotLetIn } from "./DeviceIngest.driver.ts"

type Connect = (credential: DeviceCredential) => Effect.Effect<Line, DeviceIngestError>

interface Line {
  readonly wire: DeviceWire
  readonly close: Effect.Effect<void>
}

const transport = "memory"

const serve = (host: IngestHost) =>
  Effect.gen(function* () {
    const lines = new Set<() => void>()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const cut of lines) cut()
      })
    )
    const intake = yield* makeIntake(transport, host)
    const sessions = yield* makeIngestSessions(host)
    const commands = yield* makeIngestCommands(host)
    let stopped = false
    yield* Effect.addFinalizer(() => Effect.sync(() => void (stopped = true)))

    const open = (session: DeviceSession, ends: Array<() => void>): Effect.Effect<Line> =>
      Effect.gen(function* () {
        const inbox = yield* Queue.unbounded<{ readonly method: string; readonly params: unknown }>()
        const unheard = new Set<(heard: Heard) => void>()
        let closed = false
        const leave = commands.reach(session.deviceId, ({ id, method, params }) =>
          Queue.offer(inbox, { method, params }).pipe(
            Effect.andThen(commands.answer(session.deviceId, id, { state: "answered", answer: { done: true } })),
            Effect.as({ state: "delivered" })
          )
        )
        const cut = () => {
          closed = true
          leave()
          lines.delete(cut)
          for (const hear of unheard) hear("unanswered")
        }
        ends.push(cut)
        lines.add(cut)

        const send: DeviceWire["send"] = (payload, as) =>
          Effect.flatMap(Clock.currentTimeMillis, (receivedAt) =>
            Effect.callback<Heard>((resume) => {
              const hear = (heard: Heard) => {
                unheard.delete(hear)
                resume(Effect.succeed(heard))
              }
              if (closed || stopped) return hear("unanswered")
              if (payload.byteLength > host.maxPayload) return hear("refused")
              if (as !== undefined && (as.device !== session.device || as.tenant !== session.tenant))
                return hear("refused")
              unheard.add(hear)
              const message = { from: { session }, topic: transport, payload, format: "json", receivedAt } as const
              const read = () => {
                if (!closed && !stopped) intake.take(message, () => hear("acknowledged"))
              }
              intake.whenRoom(read)
            })
          )

        const flood: DeviceWire["flood"] = (payload, most) =>
          Effect.gen(function* () {
            const run = Effect.runForkWith(yield* Effect.context<never>())
            let sent = 0
            for (let silent = 0; silent < 1_000 && sent < most; silent += 5) {
              while (sent < most && intake.hasRoom()) {
                run(send(payload))
                sent += payload.byteLength
                silent = 0
                yield* Effect.yieldNow
              }
              yield* Effect.sleep(5)
            }
            return sent
          })

        return {
          wire: { send, flood, command: Queue.take(inbox) },
          close: Effect.andThen(Effect.sync(cut), sessions.close(session))
        }
      })

    const connect: Connect = (credential) => {
      const ends: Array<() => void> = []
      return Effect.flatMap(
        sessions.open(credential, () => ends.forEach((end) => end())),
        (session) => open(session, ends)
      )
    }
    return connect
  })

/** Everything is forgotten with the layer. */
export const memoryDeviceIngest = (): Layer.Layer<DeviceIngest | DeviceIngestDriver> =>
  Layer.effectContext(
    Effect.sync(() => {
      const servers = new Map<string, Connect>()
      const ingest = DeviceIngest.of({
        transport,
        serve: (host) =>
          Effect.map(serve(host), (connect) => {
            const address = `memory:${servers.size + 1}`
            servers.set(address, connect)
            return { addresses: [address] }
          })
      })
      const driver = DeviceIngestDriver.of({
        lacks: [],
        connect: ({ addresses: [address] }, credential) =>
          Effect.acquireRelease(
            Option.match(Option.fromUndefinedOr(servers.get(address ?? "")), {
              onNone: () => new NotLetIn({ told: "nobody listens" }),
              onSome: (connect) => Effect.mapError(connect(credential), () => new NotLetIn({ told: "no" }))
            }),
            ({ close }) => close
          ).pipe(Effect.map(({ wire }) => wire))
      })
      return Context.make(DeviceIngest, ingest).pipe(Context.add(DeviceIngestDriver, driver))
    })
  )

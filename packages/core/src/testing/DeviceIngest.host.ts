/**
 * A host of the suite's own for transports: it keeps what it has committed, and can be slow, away, or strict.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import {
  type CommandState,
  type DeviceCommand,
  type DeviceCredential,
  DeviceIngestError,
  type DeviceIngestReason,
  type DeviceSession,
  type IngestHost,
  type IngestMessage,
  type IngestOutcome
} from "../ports/DeviceIngest.ts"

export interface FakeIngestHost {
  readonly host: IngestHost
  /** What was committed, in that order. */
  readonly committed: Array<IngestMessage>
  /** Sizes of all batches that were handed over, committed or not. */
  readonly batches: Array<number>
  /** Most messages that were in its hands at once. */
  readonly mostInHand: () => number
  /** Sessions that were let in and have not been closed. */
  readonly sessions: ReadonlySet<DeviceSession>
  readonly states: Array<readonly [id: string, state: CommandState]>
  /** While closed, `receive` waits. */
  readonly gate: Latch.Latch
  /** Milliseconds that a commit takes. */
  slowness: number
  /** Asked for each batch: true where the host is away for it. */
  away: () => boolean
  judge: (message: IngestMessage) => IngestOutcome
  readonly revoke: (deviceId: string) => void
  readonly command: (command: DeviceCommand) => Effect.Effect<void>
}

const tenantId = "018f0000-0000-7000-8000-000000000001"
export const tenant = "samarkand"

/** Id of a device of the fake city. */
export const deviceIdOf = (device: string): string => {
  const hex = createHash("sha256").update(device).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Devices of the fake city are called `meter-…` and have the token `token-of-meter-…`. */
export const tokenOf = (device: string): DeviceCredential => ({ kind: "token", token: `token-of-${device}` })

const failure = (reason: DeviceIngestReason, operation: string, subject: string, message: string) =>
  new DeviceIngestError({ reason, operation, subject, message, retryable: reason === "Unavailable" })

const deviceOf = (credential: DeviceCredential): string | undefined => {
  if (credential.kind === "token") return /^token-of-(meter-[a-z0-9-]+)$/.exec(credential.token)?.[1]
  if (credential.kind === "basic") return credential.password === "right" ? credential.user : undefined
  return undefined
}

export const fakeIngestHost = (limits: { readonly maxBatch?: number; readonly maxPayload?: number } = {}) =>
  Effect.gen(function* () {
    const gate = yield* Latch.make(true)
    const commands = yield* Queue.unbounded<DeviceCommand>()
    const committed: Array<IngestMessage> = []
    const batches: Array<number> = []
    const sessions = new Set<DeviceSession>()
    const revoked = new Set<string>()
    const states: Array<readonly [string, CommandState]> = []
    let inHand = 0
    let mostInHand = 0
    let count = 0

    const receive = (messages: ReadonlyArray<IngestMessage>) =>
      Effect.gen(function* () {
        batches.push(messages.length)
        yield* gate.await
        if (fake.slowness > 0) yield* Effect.sleep(fake.slowness)
        if (fake.away())
          return yield* failure("Unavailable", "receive", "batch", "The database is away; send it again later.")
        const outcomes = messages.map((message) => fake.judge(message))
        committed.push(...messages)
        return outcomes
      })

    const fake: FakeIngestHost = {
      committed,
      batches,
      sessions,
      states,
      gate,
      slowness: 0,
      away: () => false,
      judge: () => ({ state: "stored" }),
      mostInHand: () => mostInHand,
      revoke: (deviceId) => void revoked.add(deviceId),
      command: (command) => Effect.asVoid(Queue.offer(commands, command)),
      host: {
        maxBatch: limits.maxBatch ?? 100,
        maxPayload: limits.maxPayload ?? 65_536,
        authenticate: (credential) =>
          Effect.suspend(() => {
            const device = deviceOf(credential)
            const deviceId = deviceIdOf(device ?? "nobody")
            if (device === undefined || revoked.has(deviceId))
              return Effect.fail(failure("Unauthorized", "authenticate", "device", "The credential is not known."))
            const id = `session-${++count}`
            const session: DeviceSession = {
              id,
              deviceId,
              tenantId,
              tenant,
              device,
              gateway: device.includes("gateway")
            }
            sessions.add(session)
            return Effect.succeed(session)
          }),
        renew: ({ deviceId }) =>
          Effect.suspend(() =>
            revoked.has(deviceId)
              ? Effect.fail(failure("Unauthorized", "renew", deviceId, "The credential was revoked."))
              : Effect.void
          ),
        closed: (session) => Effect.sync(() => void sessions.delete(session)),
        receive: (messages) =>
          Effect.suspend(() => {
            inHand += messages.length
            mostInHand = Math.max(mostInHand, inHand)
            return Effect.ensuring(
              receive(messages),
              Effect.sync(() => (inHand -= messages.length))
            )
          }),
        commands: Stream.fromQueue(commands),
        commandState: (id, state) => Effect.sync(() => void states.push([id, state]))
      }
    }
    return fake
  })

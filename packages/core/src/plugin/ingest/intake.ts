/**
 * What stands between many connections and the host: messages are taken as they arrive, handed over in batches, and each hears its
 * outcome when it is committed. For authors of DeviceIngest plugins; it keeps the parts of the contract that every transport must keep.
 *
 * Two lanes, each with one batch in the host's hands: the messages of one sender always go through the same lane, so their order holds
 * also where a batch has to be handed over again. A batch that the host did not take is kept and handed over until it does.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { DeviceIngestError, type IngestHost, type IngestMessage, type IngestOutcome } from "../../ports/DeviceIngest.ts"

export interface Intake {
  /** Hands it on in its turn; `heard` is called once, when it is committed, and never for what was not. Takes it even without room. */
  readonly take: (message: IngestMessage, heard: (outcome: IngestOutcome) => void) => void
  /** False: so much waits for the host that the transport must not read on. */
  readonly hasRoom: () => boolean
  /** Calls back once, as soon as there is room; at once where there is. */
  readonly whenRoom: (readOn: () => void) => void
  /** Waits until everything that was taken has heard its outcome; at most 10 s. */
  readonly drain: Effect.Effect<void>
  /** Messages that were taken and have heard nothing yet. */
  readonly waiting: () => number
}

interface Waiting {
  readonly message: IngestMessage
  readonly heard: (outcome: IngestOutcome) => void
}

interface Lane {
  readonly queue: Array<Waiting>
  readonly filled: Latch.Latch
}

/** Milliseconds that a message waits for others when nothing is under way. */
const linger = 5
/** Bytes of payload in one batch, unless its first message alone is larger. */
const batchBytes = 4 * 1_024 * 1_024
/** Bytes of payload, of all that waits, at which reading stops. */
const roomBytes = 16 * 1_024 * 1_024
const patiently = Schedule.jittered(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]))

const committed = Metric.counter("mahalla_ingest_messages_total", {
  description: "Messages of devices that were committed and acknowledged, by transport and outcome.",
  incremental: true
})
const retried = Metric.counter("mahalla_ingest_batches_retried_total", {
  description: "Batches of messages that could not be committed and are handed over again.",
  incremental: true
})
const waitingNow = Metric.gauge("mahalla_ingest_waiting", {
  description: "Messages that were read from devices and are not committed yet."
})

const refused = Metric.counter("mahalla_ingest_refused_total", {
  description: "What a transport refused before the host saw it, by transport and reason.",
  incremental: true
})

/** Counts what a transport does not take by itself. */
export const countRefusal = (
  transport: string,
  reason: "credential" | "topic" | "size" | "frame"
): Effect.Effect<void> => Metric.update(Metric.withAttributes(refused, { transport, reason }), 1)

const senderOf = ({ from }: IngestMessage): string =>
  "session" in from ? from.session.deviceId : `${from.tenant}/${from.device}`

/** FNV-1a's lowest bit is too regular for names that end in numbers; the bits are folded. */
const laneOf = (name: string): 0 | 1 => {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  hash ^= hash >>> 16
  hash ^= hash >>> 8
  return ((hash ^ (hash >>> 4)) & 1) as 0 | 1
}

/** A transport's mistake with one connection must not end the lane of all. */
const attempt = (call: () => void, failures: Array<unknown>): void => {
  try {
    call()
  } catch (failure) {
    failures.push(failure)
  }
}

/** Until the scope's end, which waits for what was taken. A transport stops reading before that: its finalizer is added later. */
export const makeIntake = (transport: string, host: IngestHost): Effect.Effect<Intake, never, Scope.Scope> =>
  Effect.gen(function* () {
    const lanes = [0, 1].map((): Lane => ({ queue: [], filled: Latch.makeUnsafe() })) as [Lane, Lane]
    const empty = Latch.makeUnsafe(true)
    const stalled: Array<() => void> = []
    let count = 0
    let bytes = 0
    let complained = -Infinity

    const hasRoom = () => count < 4 * host.maxBatch && bytes < roomBytes

    const cut = ({ queue }: Lane): ReadonlyArray<Waiting> => {
      let size = 0
      const end = queue.findIndex(({ message }, index) => {
        size += message.payload.byteLength
        return index > 0 && (index === host.maxBatch || size > batchBytes)
      })
      return queue.splice(0, end === -1 ? queue.length : end)
    }

    const complain = (cause: Cause.Cause<DeviceIngestError>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now - complained < 60_000) return Effect.void
        complained = now
        return Effect.logWarning(`${transport}: nothing was committed, devices wait for their acknowledgement`, cause)
      })

    const handOver = (batch: ReadonlyArray<Waiting>) => {
      const messages = batch.map(({ message }) => message)
      return Effect.suspend(() => host.receive(messages)).pipe(
        Effect.filterOrFail(
          (outcomes) => outcomes.length === batch.length,
          (outcomes) => unfit(transport, batch.length, outcomes.length)
        ),
        Effect.tapCause((cause) =>
          Effect.andThen(Metric.update(Metric.withAttributes(retried, { transport }), 1), complain(cause))
        ),
        Effect.sandbox,
        Effect.retry(patiently),
        Effect.orDie
      )
    }

    const told = (batch: ReadonlyArray<Waiting>, outcomes: ReadonlyArray<IngestOutcome>) =>
      Effect.gen(function* () {
        const states = { stored: 0, dead: 0, refused: 0 }
        const failures: Array<unknown> = []
        for (const [index, { heard, message }] of batch.entries()) {
          const outcome = outcomes[index]!
          count--
          bytes -= message.payload.byteLength
          states[outcome.state]++
          attempt(() => heard(outcome), failures)
        }
        for (const [outcome, number] of Object.entries(states))
          if (number > 0) yield* Metric.update(Metric.withAttributes(committed, { transport, outcome }), number)
        yield* Metric.update(Metric.withAttributes(waitingNow, { transport }), count)
        if (count === 0) empty.openUnsafe()
        while (stalled.length > 0 && hasRoom()) attempt(stalled.shift()!, failures)
        if (failures.length > 0)
          yield* Effect.logError(
            `${transport}: ${failures.length} devices could not be told what became of their messages`,
            failures[0]
          )
      })

    const work = (lane: Lane) =>
      Effect.gen(function* () {
        if (lane.queue.length === 0) {
          lane.filled.closeUnsafe()
          yield* lane.filled.await
        }
        if (lane.queue.length < host.maxBatch) yield* Effect.sleep(linger)
        const batch = cut(lane)
        yield* told(batch, yield* handOver(batch))
      })

    for (const lane of lanes) yield* Effect.forkScoped(Effect.forever(work(lane)))
    const drain = empty.await.pipe(
      Effect.timeoutOrElse({
        duration: "10 seconds",
        orElse: () => Effect.logWarning(`${transport}: closed with ${count} messages that could not be committed`)
      })
    )
    yield* Effect.addFinalizer(() => drain)

    return {
      take: (message, heard) => {
        const lane = lanes[laneOf(senderOf(message))]
        count++
        bytes += message.payload.byteLength
        empty.closeUnsafe()
        lane.queue.push({ message, heard })
        lane.filled.openUnsafe()
      },
      hasRoom,
      whenRoom: (readOn) => {
        if (hasRoom()) readOn()
        else stalled.push(readOn)
      },
      drain,
      waiting: () => count
    }
  })

const unfit = (transport: string, asked: number, got: number) =>
  new DeviceIngestError({
    reason: "Unavailable",
    operation: "receive",
    subject: transport,
    message: `The host answered ${asked} messages with ${got} outcomes; they are handed over again.`,
    retryable: true
  })

/**
 * Work to do, at least once: the transport and the schedule of the kernel's jobs.
 *
 * A *transactional* queue works on the kernel's own `mahalla.job` table, so a job is sent by the INSERT that the kernel runs in the
 * transaction of the fact that caused it. Any other transport gets its messages from the kernel's relay after the commit.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { PortError } from "./PortError.ts"

export type QueueReason = "InvalidMessage" | "Unavailable" | "Unauthorized"

export class QueueError extends PortError("QueueError")<QueueReason> {}

export interface QueueMessage {
  /** A UUIDv7. Sending the same id twice keeps one. */
  readonly id: string
  readonly tenantId: string
  /** The kind of job, as `reports.encode`: `[a-z0-9.-]{1,80}`. */
  readonly topic: string
  /** JSON value of at most 64 KiB. */
  readonly body: unknown
  /** Higher goes first among ready messages. -100–100, default 0. */
  readonly priority?: number
  /** Not before this moment, epoch milliseconds. Default: now. */
  readonly runAt?: number
  /** At most one waiting message per tenant, topic and key; a second one is dropped silently. Free again once a try has started. */
  readonly uniqueKey?: string
  /** Tries before it becomes a dead letter. 1–100, default 12. */
  readonly maxAttempts?: number
}

export interface Delivery {
  readonly id: string
  readonly tenantId: string
  readonly topic: string
  readonly body: unknown
  /** 1 on the first try. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Names this try; a later lease of the same message has another one. */
  readonly receipt: string
}

export interface DeadLetter {
  readonly id: string
  readonly tenantId: string
  readonly topic: string
  readonly body: unknown
  readonly attempts: number
  readonly error: string
  /** Epoch milliseconds. */
  readonly diedAt: number
}

export interface QueueDepth {
  readonly topic: string
  readonly ready: number
  readonly delayed: number
  readonly leased: number
  readonly dead: number
  /** Milliseconds that the oldest ready message has waited; 0 when there is none. */
  readonly oldestReady: number
}

export class Queue extends Context.Service<
  Queue,
  {
    /** True: `send` is the kernel's INSERT into `mahalla.job`; see above. */
    readonly transactional: boolean
    readonly send: (messages: ReadonlyArray<QueueMessage>) => Effect.Effect<void, QueueError>
    /**
     * Leases up to `limit` ready messages for `lease` milliseconds and returns at once, empty when there are none. A message whose lease ran
     * out is ready again, and that try counts. In no two live leases at the same time.
     */
    readonly receive: (request: {
      readonly topics: ReadonlyArray<string>
      readonly limit: number
      readonly lease: number
      readonly worker: string
    }) => Effect.Effect<ReadonlyArray<Delivery>, QueueError>
    /** Hints that something may be ready; a lost hint is made up for by polling. Never ends by itself. */
    readonly wakeups: Stream.Stream<void, QueueError>
    /** Heartbeat: prolongs the leases and returns the receipts that are still ours. */
    readonly extend: (
      receipts: ReadonlyArray<string>,
      lease: number
    ) => Effect.Effect<ReadonlyArray<string>, QueueError>
    /** Done for good. Receipts of lost leases are ignored: another worker has them. */
    readonly complete: (receipts: ReadonlyArray<string>) => Effect.Effect<void, QueueError>
    /** Ready again after `delay` milliseconds, or a dead letter when the tries are used up. */
    readonly retry: (
      receipt: string,
      options: { readonly delay: number; readonly error: string }
    ) => Effect.Effect<void, QueueError>
    /** Ready again at once, as if this try had not begun: for what a worker will not do after all. Lost receipts are ignored. */
    readonly release: (receipts: ReadonlyArray<string>) => Effect.Effect<void, QueueError>
    /** A dead letter at once. */
    readonly bury: (receipt: string, error: string) => Effect.Effect<void, QueueError>
    /** Newest first. `limit` 1–500, default 50. */
    readonly deadLetters: (request: {
      readonly tenantId?: string
      readonly topic?: string
      readonly cursor?: string
      readonly limit?: number
    }) => Effect.Effect<{ readonly items: ReadonlyArray<DeadLetter>; readonly cursor?: string }, QueueError>
    /** Ready again with all its tries; unknown ids are ignored. Returns how many. */
    readonly replay: (ids: ReadonlyArray<string>) => Effect.Effect<number, QueueError>
    /** Forgotten for good; unknown ids are ignored. Returns how many. */
    readonly discard: (ids: ReadonlyArray<string>) => Effect.Effect<number, QueueError>
    readonly depth: Effect.Effect<ReadonlyArray<QueueDepth>, QueueError>
  }
>()("@mahalla/ports/Queue") {}

const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const topicPattern = /^[a-z0-9.-]{1,80}$/
const utf8 = new TextEncoder()
/** Written escaped in JSON: NUL, and halves of a character. An even number of backslashes before is text. */
const unstorable = /(?<!\\)(\\\\)*\\u(0000|d[89a-f])/
const within = (value: number | undefined, least: number, most: number) =>
  value === undefined || (Number.isInteger(value) && value >= least && value <= most)

/** What every queue refuses, before it sends anything: why the message cannot be one. */
export const checkQueueMessage = (message: QueueMessage): QueueError | undefined => {
  const refuse = (text: string) =>
    new QueueError({
      reason: "InvalidMessage",
      operation: "send",
      subject: message.id,
      message: text,
      retryable: false
    })
  if (!idPattern.test(message.id)) return refuse("The message's id is no UUID in lower case. Make one with newId.")
  if (!idPattern.test(message.tenantId)) return refuse("The message's tenant is no UUID in lower case.")
  if (!topicPattern.test(message.topic))
    return refuse(`"${message.topic}" is no topic. Use 1 to 80 of lower-case letters, digits, "." and "-".`)
  if (!within(message.priority, -100, 100)) return refuse("The priority must be a whole number from -100 to 100.")
  if (!within(message.maxAttempts, 1, 100)) return refuse("maxAttempts must be a whole number from 1 to 100.")
  if (message.runAt !== undefined && !Number.isFinite(message.runAt)) return refuse("runAt must be epoch milliseconds.")
  const body = JSON.stringify(message.body)
  if (body === undefined) return refuse("The body is no JSON value.")
  if (unstorable.test(body))
    return refuse(
      "The body has a text with U+0000 or half a surrogate pair, which databases do not store. Clean it first."
    )
  if (body.length > 65_536 || utf8.encode(body).byteLength > 65_536)
    return refuse("The body is longer than 64 KiB. Store it, and send its key.")
  return undefined
}

/** What the rules of the Queue suite share. */
import { randomBytes, randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Delivery, Queue, QueueMessage } from "../ports/Queue.ts"
import type { Rule } from "./conformance.ts"

export type Service = Queue["Service"]
export type QueueRule = Rule<Queue, Service>

/** A hand on the wire. */
export class QueueControl extends Context.Service<
  QueueControl,
  {
    /** Cuts every connection of this queue, once. */
    readonly cut: Effect.Effect<void>
  }
>()("@mahalla/testing/QueueControl") {}

export const freshTopic = () => `suite.${randomBytes(8).toString("hex")}`

let counter = 0
/** A UUIDv7 of now; ascending within the process. */
export const freshId: Effect.Effect<string> = Effect.map(Clock.currentTimeMillis, (now) => {
  const time = now.toString(16).padStart(12, "0")
  const count = (counter++ & 0xfff).toString(16).padStart(3, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${randomUUID().slice(19)}`
})

export const message = (topic: string, more: Partial<QueueMessage> = {}): Effect.Effect<QueueMessage> =>
  Effect.map(freshId, (id) => ({ id, tenantId: randomUUID(), topic, body: {}, ...more }))

export const messages = (topic: string, amount: number, more: Partial<QueueMessage> = {}) =>
  Effect.forEach(
    Array.from({ length: amount }, (_, n) => n),
    (n) => message(topic, { body: { n }, ...more })
  )

export const take = (queue: Service, topics: string | ReadonlyArray<string>, limit = 100, lease = 30_000) =>
  queue.receive({ topics: typeof topics === "string" ? [topics] : topics, limit, lease, worker: "suite" })

/** Receives until there are so many, or dies: for what must come, but need not come at once. */
export const awaitMessages = (
  queue: Service,
  topic: string,
  amount = 1,
  lease = 30_000
): Effect.Effect<ReadonlyArray<Delivery>, unknown> =>
  Effect.gen(function* () {
    const got: Array<Delivery> = []
    const from = yield* Clock.currentTimeMillis
    while (got.length < amount) {
      got.push(...(yield* take(queue, topic, amount - got.length, lease)))
      if (got.length >= amount) break
      if ((yield* Clock.currentTimeMillis) - from > 15_000)
        return yield* Effect.die(new Error(`Only ${got.length} of ${amount} messages came in fifteen seconds`))
      yield* Effect.sleep("25 millis")
    }
    return got
  })

export const only = <A>(items: ReadonlyArray<A>): A => {
  const [item] = items
  if (items.length !== 1 || item === undefined) throw new Error(`Expected one, got ${items.length}`)
  return item
}

/** A lease this short is over after `outlive`. */
export const short = 200
export const outlive = Effect.sleep("350 millis")

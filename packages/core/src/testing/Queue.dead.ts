/** Rules of the Queue port about dead letters: how a message becomes one, and how an operator reads and replays them. */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DeadLetter } from "../ports/Queue.ts"
import {
  awaitMessages,
  freshTopic,
  message,
  only,
  outlive,
  type QueueRule,
  type Service,
  short,
  take
} from "./Queue.probes.ts"

const bury = (queue: Service, topic: string, more: Parameters<typeof message>[1] = {}, error = "broken") =>
  Effect.gen(function* () {
    const sent = yield* message(topic, more)
    yield* queue.send([sent])
    const got = only(yield* awaitMessages(queue, topic))
    yield* queue.bury(got.receipt, error)
    return sent
  })

export const deadRules: ReadonlyArray<QueueRule> = [
  {
    name: "makes a dead letter when the tries are used up",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* message(topic, { maxAttempts: 2, body: { n: 1 } })
        yield* queue.send([sent])
        const first = only(yield* awaitMessages(queue, topic))
        yield* queue.retry(first.receipt, { delay: 0, error: "first" })
        const second = only(yield* awaitMessages(queue, topic))
        const before = yield* Clock.currentTimeMillis
        yield* queue.retry(second.receipt, { delay: 0, error: "second \u0000 Маҳалла" })
        yield* Effect.sleep("100 millis")
        assert.equal((yield* take(queue, topic)).length, 0)
        const letter = only((yield* queue.deadLetters({ topic })).items)
        const { diedAt, error, ...rest } = letter
        assert.deepEqual(rest, { id: sent.id, tenantId: sent.tenantId, topic, body: { n: 1 }, attempts: 2 })
        assert.ok(error.startsWith("second") && error.endsWith("Маҳалла"), error)
        assert.ok(Math.abs(diedAt - before) < 60_000, `died at ${diedAt}`)
      })
  },
  {
    name: "makes a dead letter when the lease of the last try runs out",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send([yield* message(topic, { maxAttempts: 1 })])
        const lost = only(yield* awaitMessages(queue, topic, 1, short))
        yield* outlive
        for (let round = 0; round < 20 && (yield* queue.deadLetters({ topic })).items.length === 0; round++) {
          assert.equal((yield* take(queue, topic)).length, 0, "a second try of one")
          yield* Effect.sleep("50 millis")
        }
        const letter = only((yield* queue.deadLetters({ topic })).items)
        assert.deepEqual([letter.attempts, letter.error.length > 0], [1, true])
        yield* queue.complete([lost.receipt])
        assert.equal((yield* queue.deadLetters({ topic })).items.length, 1)
      })
  },
  {
    name: "buries at once",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* bury(queue, topic, {}, "never again")
        const letter = only((yield* queue.deadLetters({ topic })).items)
        assert.deepEqual([letter.id, letter.attempts, letter.error], [sent.id, 1, "never again"])
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  },
  {
    name: "lists dead letters newest first, in pages, of one tenant or topic",
    check: (queue) =>
      Effect.gen(function* () {
        const [topic, other] = [freshTopic(), freshTopic()]
        const tenantId = randomUUID()
        const died: Array<string> = []
        for (let n = 0; n < 7; n++) {
          died.unshift((yield* bury(queue, topic, n % 2 === 0 ? { tenantId } : {})).id)
          yield* Effect.sleep("3 millis")
        }
        yield* bury(queue, other, { tenantId })
        const pages: Array<ReadonlyArray<DeadLetter>> = []
        for (let cursor: string | undefined; ;) {
          const page = yield* queue.deadLetters({ topic, limit: 3, ...(cursor === undefined ? {} : { cursor }) })
          pages.push(page.items)
          cursor = page.cursor
          if (cursor === undefined) break
          assert.ok(pages.length < 5, "the pages do not end")
        }
        assert.deepEqual(
          pages.flat().map(({ id }) => id),
          died
        )
        assert.deepEqual(
          pages.map(({ length }) => length).filter((length) => length > 0),
          [3, 3, 1]
        )
        const ofTenant = (yield* queue.deadLetters({ tenantId, topic })).items.map(({ id }) => id)
        assert.deepEqual(
          ofTenant,
          died.filter((_, n) => n % 2 === 0)
        )
        assert.equal((yield* queue.deadLetters({ tenantId })).items.length, 5)
        assert.deepEqual((yield* queue.deadLetters({ tenantId: randomUUID() })).items, [])
      })
  },
  {
    name: "replays a dead letter with all its tries",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* message(topic, { maxAttempts: 1, body: "again" })
        yield* queue.send([sent])
        const lost = only(yield* awaitMessages(queue, topic))
        yield* queue.retry(lost.receipt, { delay: 0, error: "no" })
        assert.equal(yield* queue.replay([sent.id, randomUUID(), "unknown"]), 1)
        assert.deepEqual((yield* queue.deadLetters({ topic })).items, [])
        const again = only(yield* awaitMessages(queue, topic))
        assert.deepEqual([again.id, again.attempt, again.maxAttempts, again.body], [sent.id, 1, 1, "again"])
        // The first life's receipt means nothing in the second.
        yield* queue.complete([lost.receipt])
        assert.deepEqual(yield* queue.extend([again.receipt], 30_000), [again.receipt])
        assert.equal(yield* queue.replay([sent.id]), 0)
      })
  },
  {
    name: "discards a dead letter for good",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const gone = yield* bury(queue, topic)
        const kept = yield* bury(queue, topic)
        assert.equal(yield* queue.discard([gone.id, randomUUID(), "unknown"]), 1)
        assert.deepEqual(
          (yield* queue.deadLetters({ topic })).items.map(({ id }) => id),
          [kept.id]
        )
        assert.equal(yield* queue.discard([gone.id]), 0)
        assert.equal(yield* queue.replay([gone.id]), 0)
        const waiting = yield* message(topic)
        yield* queue.send([waiting])
        assert.equal(yield* queue.discard([waiting.id]), 0)
        assert.equal(only(yield* awaitMessages(queue, topic)).id, waiting.id)
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  }
]

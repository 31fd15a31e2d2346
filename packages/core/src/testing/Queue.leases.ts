/** Rules of the Queue port about leases: who has a message, for how long, and how a try ends. */
import assert from "node:assert/strict"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import {
  awaitMessages,
  freshTopic,
  message,
  messages,
  only,
  outlive,
  type QueueRule,
  short,
  take
} from "./Queue.probes.ts"

export const leaseRules: ReadonlyArray<QueueRule> = [
  {
    name: "gives no message to two at the same time",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* messages(topic, 600)
        yield* queue.send(sent)
        const workers = Array.from({ length: 12 }, (_, n) => n)
        const got = yield* Effect.forEach(
          workers,
          (worker) =>
            Effect.gen(function* () {
              const mine: Array<string> = []
              for (let empty = 0; empty < 3;) {
                const batch = yield* queue.receive({ topics: [topic], limit: 7, lease: 60_000, worker: `w${worker}` })
                mine.push(...batch.map(({ id }) => id))
                if (batch.length === 0) {
                  empty++
                  yield* Effect.sleep("50 millis")
                }
              }
              return mine
            }),
          { concurrency: "unbounded" }
        )
        const all = got.flat()
        assert.equal(all.length, new Set(all).size, "a message was given twice")
        assert.equal(all.length, sent.length)
      })
  },
  {
    name: "gives a message again when its lease has run out, and counts the try",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send([yield* message(topic)])
        const first = only(yield* awaitMessages(queue, topic, 1, short))
        assert.equal((yield* take(queue, topic)).length, 0)
        yield* outlive
        const second = only(yield* awaitMessages(queue, topic))
        assert.deepEqual([second.id, first.attempt, second.attempt], [first.id, 1, 2])
        assert.notEqual(second.receipt, first.receipt)
      })
  },
  {
    name: "keeps a lease that is prolonged, and tells which are lost",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send(yield* messages(topic, 2))
        const [kept, lost] = yield* awaitMessages(queue, topic, 2, 800)
        assert.ok(kept !== undefined && lost !== undefined)
        assert.deepEqual(yield* queue.extend([kept.receipt], 30_000), [kept.receipt])
        yield* Effect.sleep("1 second")
        const again = only(yield* awaitMessages(queue, topic, 1))
        assert.equal(again.id, lost.id)
        assert.deepEqual(
          new Set(yield* queue.extend([kept.receipt, lost.receipt, again.receipt, "unknown"], 30_000)),
          new Set([kept.receipt, again.receipt])
        )
      })
  },
  {
    name: "forgets what is completed",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send(yield* messages(topic, 20))
        const got = yield* awaitMessages(queue, topic, 20, 1_000)
        yield* queue.complete(got.map(({ receipt }) => receipt))
        yield* Effect.sleep("1200 millis")
        assert.equal((yield* take(queue, topic)).length, 0)
        assert.deepEqual((yield* queue.deadLetters({ topic })).items, [])
      })
  },
  {
    name: "ignores the receipts of a lost lease",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send([yield* message(topic)])
        const lost = only(yield* awaitMessages(queue, topic, 1, short))
        yield* outlive
        const held = only(yield* awaitMessages(queue, topic))
        yield* queue.complete([lost.receipt, "unknown"])
        yield* queue.retry(lost.receipt, { delay: 0, error: "late" })
        yield* queue.bury(lost.receipt, "late")
        assert.deepEqual(yield* queue.extend([held.receipt], 30_000), [held.receipt])
        assert.equal((yield* take(queue, topic)).length, 0)
        assert.deepEqual((yield* queue.deadLetters({ topic })).items, [])
        yield* queue.retry(held.receipt, { delay: 0, error: "mine" })
        const next = only(yield* awaitMessages(queue, topic))
        assert.equal(next.attempt, 3)
        // A try that was given back is over, too.
        yield* queue.complete([held.receipt])
        assert.deepEqual(yield* queue.extend([next.receipt], 30_000), [next.receipt])
      })
  },
  {
    name: "gives a message again after the delay of its retry",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send([yield* message(topic, { body: "kept" })])
        const first = only(yield* awaitMessages(queue, topic))
        const from = yield* Clock.currentTimeMillis
        yield* queue.retry(first.receipt, { delay: 1_000, error: "not yet" })
        assert.equal((yield* take(queue, topic)).length, 0)
        const second = only(yield* awaitMessages(queue, topic))
        const waited = (yield* Clock.currentTimeMillis) - from
        assert.ok(waited >= 950, `came after ${waited} ms`)
        assert.deepEqual([second.id, second.attempt, second.body], [first.id, 2, "kept"])
      })
  },
  {
    name: "takes back a released message without counting the try",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        yield* queue.send([yield* message(topic, { maxAttempts: 1 })])
        const first = only(yield* awaitMessages(queue, topic))
        yield* queue.release([first.receipt, "unknown"])
        const second = only(yield* awaitMessages(queue, topic))
        assert.deepEqual([second.id, second.attempt], [first.id, 1])
        assert.notEqual(second.receipt, first.receipt)
        // Over is over, also for the one that gave it back.
        yield* queue.release([first.receipt])
        yield* queue.complete([first.receipt])
        assert.deepEqual(yield* queue.extend([second.receipt], 30_000), [second.receipt])
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  },
  {
    name: "tells how many messages are ready, delayed, leased and dead",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const now = yield* Clock.currentTimeMillis
        yield* queue.send(yield* messages(topic, 3, { runAt: now - 60_000 }))
        yield* queue.send(yield* messages(topic, 2, { runAt: now + 600_000 }))
        const [dead] = yield* awaitMessages(queue, topic, 2)
        yield* queue.bury(dead?.receipt ?? "", "no")
        const { depth } = queue
        const mine = (yield* depth).find((entry) => entry.topic === topic)
        assert.deepEqual(
          { ...mine, oldestReady: 0 },
          { topic, ready: 1, delayed: 2, leased: 1, dead: 1, oldestReady: 0 }
        )
        assert.ok(
          mine !== undefined && mine.oldestReady >= 55_000 && mine.oldestReady < 600_000,
          `${mine?.oldestReady}`
        )
      })
  }
]

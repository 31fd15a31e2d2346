/** Rules of the Queue port about sending and what comes next. */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { QueueMessage } from "../ports/Queue.ts"
import {
  awaitMessages,
  freshTopic,
  message,
  messages,
  only,
  QueueControl,
  type QueueRule,
  take
} from "./Queue.probes.ts"

const bodies: ReadonlyArray<unknown> = [
  null,
  true,
  0,
  -1.5e-7,
  9_007_199_254_740_991,
  "",
  "Маҳалла 🏘️ \\u0000 \"'\\ \n\t",
  [],
  {},
  [1, [null, { "ключ ": "значение" }]],
  { deep: { deeper: { deepest: [{}] } } },
  "x".repeat(65_534)
]

const invalid: ReadonlyArray<Partial<QueueMessage>> = [
  { topic: "" },
  { topic: "Upper" },
  { topic: "with space" },
  { topic: "x".repeat(81) },
  { id: "1" },
  { tenantId: "nobody" },
  { priority: 101 },
  { priority: 0.5 },
  { maxAttempts: 0 },
  { maxAttempts: 101 },
  { runAt: Number.NaN },
  { body: undefined },
  { body: "x".repeat(65_535) },
  { body: "a\u0000b" },
  { body: { text: "\ud83c" } }
]

export const sendRules: ReadonlyArray<QueueRule> = [
  {
    name: "delivers what was sent",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const plain = yield* message(topic, { body: { caseId: "c" } })
        const patient = yield* message(topic, { maxAttempts: 3 })
        yield* queue.send([plain, patient])
        const got = yield* awaitMessages(queue, topic, 2)
        const told = ({ attempt, body, id, maxAttempts, tenantId, topic: of }: (typeof got)[number]) => ({
          attempt,
          body,
          id,
          maxAttempts,
          tenantId,
          topic: of
        })
        assert.deepEqual(
          new Set(got.map(told)),
          new Set([
            { ...plain, attempt: 1, maxAttempts: 12 },
            { ...patient, attempt: 1, maxAttempts: 3 }
          ])
        )
        assert.equal(new Set(got.map(({ receipt }) => receipt)).size, 2)
      })
  },
  {
    name: "carries any JSON value unchanged",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* Effect.forEach(bodies, (body) => message(topic, { body }))
        yield* queue.send(sent)
        const got = yield* awaitMessages(queue, topic, sent.length)
        for (const { body, id } of sent) assert.deepEqual(got.find((delivery) => delivery.id === id)?.body, body)
      })
  },
  {
    name: "keeps one of two messages of the same id",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* message(topic)
        yield* queue.send([sent, sent])
        yield* queue.send([sent])
        yield* awaitMessages(queue, topic)
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  },
  {
    name: "takes thousands in one call",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const sent = yield* messages(topic, 3_000)
        yield* queue.send(sent)
        const got = yield* awaitMessages(queue, topic, sent.length)
        assert.deepEqual(new Set(got.map(({ id }) => id)), new Set(sent.map(({ id }) => id)))
      })
  },
  {
    name: "refuses what is no message, and sends nothing of that call",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        for (const wrong of invalid) {
          const error = yield* Effect.flip(queue.send([yield* message(topic), yield* message(topic, wrong)]))
          assert.deepEqual([error.reason, error.retryable], ["InvalidMessage", false], JSON.stringify(wrong))
        }
        yield* Effect.sleep("100 millis")
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  },
  {
    name: "does nothing for empty lists",
    check: (queue) =>
      Effect.gen(function* () {
        yield* queue.send([])
        yield* queue.complete([])
        assert.deepEqual(yield* queue.extend([], 1_000), [])
        assert.equal(yield* queue.replay([]), 0)
        assert.equal(yield* queue.discard([]), 0)
        assert.deepEqual(yield* take(queue, []), [])
      })
  },
  {
    name: "gives only the topics that were asked for, and no more than the limit",
    check: (queue) =>
      Effect.gen(function* () {
        const [left, right, other] = [freshTopic(), freshTopic(), freshTopic()]
        yield* queue.send([
          ...(yield* messages(left, 4)),
          ...(yield* messages(right, 4)),
          ...(yield* messages(other, 4))
        ])
        yield* Effect.sleep("50 millis")
        const first = yield* take(queue, [left, right], 5)
        const second = yield* take(queue, [left, right], 5)
        assert.deepEqual([first.length, second.length], [5, 3])
        for (const { topic } of [...first, ...second]) assert.ok(topic === left || topic === right)
        assert.equal((yield* take(queue, other)).length, 4)
      })
  },
  {
    name: "returns at once when nothing is ready",
    check: (queue) =>
      Effect.gen(function* () {
        const from = yield* Clock.currentTimeMillis
        for (let round = 0; round < 5; round++) assert.deepEqual(yield* take(queue, freshTopic()), [])
        const each = ((yield* Clock.currentTimeMillis) - from) / 5
        assert.ok(each < 500, `${each} ms for an empty answer`)
      })
  },
  {
    name: "gives higher priority first, then the earlier one",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const now = yield* Clock.currentTimeMillis
        const plan = [
          { priority: 0, runAt: now - 1_000 },
          { priority: 100, runAt: now - 1_000 },
          { priority: -100, runAt: now - 9_000 },
          { priority: 5, runAt: now - 2_000 },
          { priority: 5, runAt: now - 3_000 },
          { priority: 0, runAt: now - 5_000 }
        ]
        const sent = yield* Effect.forEach(plan, (more, n) => message(topic, { ...more, body: n }))
        yield* queue.send(sent)
        const order: Array<unknown> = []
        for (let step = 0; step < 3; step++) order.push(...(yield* take(queue, topic, 2)).map(({ body }) => body))
        assert.deepEqual(order, [1, 4, 3, 5, 0, 2])
      })
  },
  {
    name: "gives nothing before its time",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const now = yield* Clock.currentTimeMillis
        yield* queue.send([yield* message(topic, { runAt: now + 1_000, priority: 100 })])
        assert.equal((yield* take(queue, topic)).length, 0)
        yield* awaitMessages(queue, topic)
        const waited = (yield* Clock.currentTimeMillis) - now
        assert.ok(waited >= 950, `came after ${waited} ms`)
      })
  },
  {
    name: "keeps one waiting message of a tenant, topic and key",
    check: (queue) =>
      Effect.gen(function* () {
        const [topic, other] = [freshTopic(), freshTopic()]
        const [tenantId, stranger] = [randomUUID(), randomUUID()]
        const keyed = (body: string, more: Partial<QueueMessage> = {}) =>
          message(topic, { tenantId, uniqueKey: "k", body, ...more })
        yield* queue.send([yield* keyed("first"), yield* keyed("second")])
        yield* queue.send([yield* keyed("third")])
        yield* queue.send([yield* keyed("other key", { uniqueKey: "l" })])
        yield* queue.send([yield* keyed("other tenant", { tenantId: stranger })])
        yield* queue.send([yield* keyed("other topic", { topic: other })])
        yield* Effect.sleep("50 millis")
        const got = yield* take(queue, [topic, other])
        assert.deepEqual(
          new Set(got.map(({ body }) => body)),
          new Set(["first", "other key", "other tenant", "other topic"])
        )
      })
  },
  {
    name: "frees a key once a try has started",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const tenantId = randomUUID()
        const keyed = (body: string) => message(topic, { tenantId, uniqueKey: "k", body })
        yield* queue.send([yield* keyed("first")])
        only(yield* awaitMessages(queue, topic))
        yield* queue.send([yield* keyed("second")])
        yield* queue.send([yield* keyed("third")])
        assert.equal(only(yield* awaitMessages(queue, topic)).body, "second")
        assert.equal((yield* take(queue, topic)).length, 0)
      })
  },
  {
    name: "hints soon after a message was sent",
    check: (queue) =>
      Effect.gen(function* () {
        const topic = freshTopic()
        const hint = yield* queue.wakeups.pipe(
          Stream.take(1),
          Stream.runDrain,
          Effect.timeout("10 seconds"),
          Effect.forkScoped({ startImmediately: true })
        )
        yield* Effect.sleep("200 millis")
        yield* queue.send([yield* message(topic)])
        yield* Fiber.join(hint)
      })
  },
  {
    name: "works on after a lost connection, and hints again",
    unless: () =>
      Effect.map(Effect.serviceOption(QueueControl), (control) =>
        Option.isNone(control) ? "the layer provides no QueueControl" : undefined
      ),
    check: (queue) =>
      Effect.gen(function* () {
        const { cut } = yield* Effect.flatMap(Effect.serviceOption(QueueControl), Effect.fromOption)
        const topic = freshTopic()
        let hints = 0
        const listening = yield* queue.wakeups.pipe(
          Stream.runForEach(() => Effect.sync(() => void hints++)),
          Effect.forkScoped({ startImmediately: true })
        )
        yield* Effect.sleep("200 millis")
        yield* queue.send([yield* message(topic)])
        yield* cut
        const tryAgain = Effect.gen(function* () {
          yield* queue.send([yield* message(topic)])
          return yield* take(queue, topic)
        })
        const got = yield* tryAgain.pipe(
          Effect.tapError(() => Effect.sleep("50 millis")),
          Effect.retry({ times: 100 })
        )
        assert.ok(got.length >= 2, "what was sent before the cut is gone")
        const before = hints
        yield* Effect.gen(function* () {
          yield* queue.send([yield* message(topic)])
          yield* Effect.sleep("100 millis")
        }).pipe(Effect.repeat({ while: () => hints === before, times: 100 }))
        assert.ok(hints > before, "no hint after the cut")
        assert.equal(listening.pollUnsafe(), undefined, "the stream of hints has ended")
      })
  }
]

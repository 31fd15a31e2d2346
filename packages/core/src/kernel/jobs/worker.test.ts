import { randomUUID } from "node:crypto"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Queue, QueueError, type Delivery, type QueueMessage } from "../../ports/Queue.ts"
import { memoryQueue } from "../../testing/Queue.memory.ts"
import { JobFailure } from "./Job.ts"
import { retryDelay, runWorker, type WorkerOptions } from "./worker.ts"

type Service = Queue["Service"]
const id = () => `${randomUUID().slice(0, 14)}7${randomUUID().slice(15)}`
const job = (more: Partial<QueueMessage> = {}): QueueMessage => ({
  id: id(),
  tenantId: randomUUID(),
  topic: "t.one",
  body: {},
  ...more
})
const jobs = (amount: number, more: Partial<QueueMessage> = {}) =>
  Array.from({ length: amount }, (_, n) => job({ body: n, ...more }))

const open = Effect.map(Layer.build(memoryQueue()), (context) => Context.get(context, Queue))

/** A worker with a scope of its own; `close` drains it. */
const start = (queue: Service, options: Omit<WorkerOptions, "queue" | "worker">) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Scope.provide(runWorker({ queue, worker: "test", poll: 50, ...options }), scope)
    return { close: Scope.close(scope, Exit.void) }
  })

const until = (what: string, condition: () => boolean) =>
  Effect.gen(function* () {
    for (let waited = 0; !condition(); waited += 5) {
      if (waited > 15_000) return yield* Effect.die(new Error(`Not in fifteen seconds: ${what}`))
      yield* Effect.sleep("5 millis")
    }
  })

const depth = (queue: Service) =>
  Effect.map(queue.depth, (topics) => {
    const { dead, delayed, leased, ready } = topics[0] ?? { dead: 0, delayed: 0, leased: 0, ready: 0 }
    return { dead, delayed, leased, ready }
  })
const empty = { dead: 0, delayed: 0, leased: 0, ready: 0 }

it.live("runs_each_job_once_and_leaves_nothing", () =>
  Effect.gen(function* () {
    const queue = yield* open
    const seen: Array<unknown> = []
    const { close } = yield* start(queue, {
      handlers: { "t.one": { handle: ({ body }) => Effect.sync(() => seen.push(body)) } }
    })
    yield* queue.send(jobs(2_000))
    yield* until("all have run", () => seen.length === 2_000)
    yield* close
    assert.strictEqual(new Set(seen).size, 2_000)
    assert.deepStrictEqual(yield* depth(queue), empty)
  })
)

it.live("runs_no_more_at_once_than_it_may_in_all_and_of_one_topic", () =>
  Effect.gen(function* () {
    const queue = yield* open
    const most = { "t.one": 0, "t.two": 0, all: 0 }
    const now = { "t.one": 0, "t.two": 0, all: 0 }
    let ended = 0
    const handle = ({ topic }: Delivery) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          for (const key of [topic as "t.one", "all"] as const) most[key] = Math.max(most[key], ++now[key])
        }),
        () => Effect.sleep("20 millis"),
        () =>
          Effect.sync(() => {
            for (const key of [topic as "t.one", "all"] as const) now[key]--
            ended++
          })
      )
    yield* queue.send([...jobs(30), ...jobs(10, { topic: "t.two" })])
    yield* start(queue, { concurrency: 6, handlers: { "t.one": { handle }, "t.two": { handle, concurrency: 2 } } })
    yield* until("all have ended", () => ended === 40)
    assert.deepStrictEqual([most["t.two"] <= 2, most.all], [true, 6])
  })
)

it.live("tries_again_later_and_buries_what_cannot_succeed", () =>
  Effect.gen(function* () {
    const queue = yield* open
    const failing = job({ topic: "t.one", body: "again", maxAttempts: 2 })
    const hopeless = job({ topic: "t.one", body: "never" })
    const attempts: Array<string> = []
    yield* queue.send([failing, hopeless])
    yield* start(queue, {
      handlers: {
        "t.one": {
          handle: ({ attempt, body }) => {
            attempts.push(`${String(body)} ${attempt}`)
            return body === "never"
              ? Effect.fail(new JobFailure({ message: "no such register", permanent: true }))
              : Effect.die(new Error("out of order"))
          }
        }
      }
    })
    yield* until("both are dead", () => attempts.length === 3)
    yield* Effect.sleep("100 millis")
    const { items } = yield* queue.deadLetters({})
    assert.deepStrictEqual(new Set(attempts), new Set(["again 1", "again 2", "never 1"]))
    assert.deepStrictEqual(
      new Map(items.map((item) => [item.id, item.attempts])),
      new Map([
        [hopeless.id, 1],
        [failing.id, 2]
      ])
    )
    assert.strictEqual(items.find((item) => item.id === hopeless.id)?.error, "no such register")
    assert.include(items.find((item) => item.id === failing.id)?.error, "out of order")
  })
)

it.live("interrupts_a_try_that_takes_longer_than_its_time_out", () =>
  Effect.gen(function* () {
    const queue = yield* open
    let interrupted = 0
    yield* queue.send([job({ maxAttempts: 1 })])
    yield* start(queue, {
      lease: 600,
      handlers: {
        "t.one": {
          timeout: 100,
          handle: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        }
      }
    })
    yield* until("it was interrupted", () => interrupted === 1)
    yield* Effect.sleep("100 millis")
    const { items } = yield* queue.deadLetters({})
    assert.include(items[0]?.error, "time-out")
  })
)

it.live("keeps_the_lease_of_a_long_job", () =>
  Effect.gen(function* () {
    const queue = yield* open
    let runs = 0
    let ended = 0
    const handle = () =>
      Effect.sync(() => runs++).pipe(
        Effect.andThen(Effect.sleep("1500 millis")),
        Effect.andThen(Effect.sync(() => ended++))
      )
    yield* queue.send([job()])
    // Two of them, so that one would take what the other lost.
    yield* start(queue, { lease: 300, handlers: { "t.one": { handle } } })
    yield* start(queue, { lease: 300, handlers: { "t.one": { handle } } })
    yield* until("it has ended", () => ended === 1)
    yield* Effect.sleep("400 millis")
    assert.deepStrictEqual([runs, ended, yield* depth(queue)], [1, 1, empty])
  })
)

it.live("interrupts_a_job_whose_lease_is_lost_and_says_nothing_of_it", () =>
  Effect.gen(function* () {
    const real = yield* open
    // Another worker's view: the heartbeat hears that the lease is gone.
    const said: Array<string> = []
    const queue: Service = {
      ...real,
      extend: () => Effect.succeed([]),
      complete: (receipts) =>
        Effect.andThen(
          Effect.sync(() => said.push("complete")),
          real.complete(receipts)
        ),
      retry: (receipt, options) =>
        Effect.andThen(
          Effect.sync(() => said.push("retry")),
          real.retry(receipt, options)
        )
    }
    let interrupted = 0
    yield* queue.send([job()])
    const { close } = yield* start(queue, {
      lease: 300,
      poll: 60_000,
      handlers: { "t.one": { handle: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)) } }
    })
    yield* until("it was interrupted", () => interrupted === 1)
    yield* close
    assert.deepStrictEqual(said, [])
  })
)

it.live("lets_running_jobs_finish_and_gives_the_waiting_ones_back_when_it_closes", () =>
  Effect.gen(function* () {
    const queue = yield* open
    const begun = yield* Deferred.make<void>()
    let ended = 0
    yield* queue.send(jobs(12, { maxAttempts: 1 }))
    const { close } = yield* start(queue, {
      concurrency: 3,
      handlers: {
        "t.one": {
          handle: () =>
            Deferred.succeed(begun, undefined).pipe(
              Effect.andThen(Effect.sleep("300 millis")),
              Effect.andThen(Effect.sync(() => ended++))
            )
        }
      }
    })
    yield* Deferred.await(begun)
    yield* close
    assert.strictEqual(ended, 3)
    // Given back as if never begun: a job with a single try is not dead.
    assert.deepStrictEqual(yield* depth(queue), { ...empty, ready: 9 })
  })
)

it.live("gives_back_what_does_not_finish_before_the_deadline", () =>
  Effect.gen(function* () {
    const queue = yield* open
    const begun = yield* Deferred.make<void>()
    yield* queue.send([job({ maxAttempts: 1 })])
    const { close } = yield* start(queue, {
      drain: 100,
      handlers: { "t.one": { handle: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) } }
    })
    yield* Deferred.await(begun)
    yield* close
    assert.deepStrictEqual(yield* depth(queue), { ...empty, ready: 1 })
  })
)

it.live("leaves_jobs_to_others_when_long_ones_have_taken_its_places", () =>
  Effect.gen(function* () {
    const queue = yield* open
    let quick = 0
    const handle = ({ body }: Delivery) => (body === "long" ? Effect.never : Effect.sync(() => void quick++))
    yield* queue.send(jobs(1_000))
    const { close } = yield* start(queue, { concurrency: 2, drain: 0, handlers: { "t.one": { handle } } })
    yield* until("it knows that they are short", () => quick === 1_000)
    yield* queue.send([...jobs(2, { body: "long", priority: 1 }), ...jobs(200)])
    yield* Effect.sleep("200 millis")
    yield* start(queue, { concurrency: 2, drain: 0, handlers: { "t.one": { handle } } })
    yield* until("the other worker has run them", () => quick === 1_200)
    yield* close
  })
)

it.live("works_on_after_the_queue_was_away_and_does_not_repeat_what_is_done", () =>
  Effect.gen(function* () {
    const real = yield* open
    let away = true
    const error = new QueueError({
      reason: "Unavailable",
      operation: "receive",
      subject: "",
      message: "away",
      retryable: true
    })
    const orAway = <A>(call: Effect.Effect<A, QueueError>) => Effect.suspend(() => (away ? Effect.fail(error) : call))
    const queue: Service = {
      ...real,
      receive: (request) => orAway(real.receive(request)),
      extend: (receipts, lease) => orAway(real.extend(receipts, lease)),
      complete: (receipts) => orAway(real.complete(receipts))
    }
    let runs = 0
    const { close } = yield* start(queue, {
      lease: 200,
      handlers: {
        "t.one": {
          handle: () =>
            Effect.sync(() => {
              runs++
              away = true
            })
        }
      }
    })
    yield* queue.send([job()])
    yield* Effect.sleep("100 millis")
    assert.strictEqual(runs, 0)
    away = false
    yield* until("it ran", () => runs === 1)
    // Longer than the lease: the job is free to take, and is completed by its old receipt all the same.
    yield* Effect.sleep("1 second")
    away = false
    yield* Effect.sleep("1 second")
    yield* close
    assert.deepStrictEqual([runs, yield* depth(queue)], [1, empty])
  })
)

it.live("asks_for_no_more_while_completions_are_slow", () =>
  Effect.gen(function* () {
    const real = yield* open
    let most = 0
    const queue: Service = {
      ...real,
      complete: (receipts) =>
        Effect.gen(function* () {
          most = Math.max(most, (yield* depth(real)).leased)
          yield* Effect.sleep("50 millis")
          yield* real.complete(receipts)
        })
    }
    let runs = 0
    yield* real.send(jobs(6_000))
    yield* start(queue, { handlers: { "t.one": { handle: () => Effect.sync(() => void runs++) } } })
    yield* until("all have run", () => runs === 6_000)
    assert.isBelow(most, 3_000)
  })
)

it.live("waits_longer_after_each_failure_but_never_above_an_hour", () =>
  Effect.gen(function* () {
    const longest = (attempt: number) =>
      Effect.map(
        Effect.all(Array.from({ length: 300 }, () => retryDelay(attempt))),
        (delays) => [Math.min(...delays), Math.max(...delays)] as const
      )
    const [first, fourth, last] = [yield* longest(1), yield* longest(4), yield* longest(60)]
    assert.isTrue(first[0] < 200 && first[1] <= 1_000 && first[1] > 800, String(first))
    assert.isTrue(fourth[0] < 1_600 && fourth[1] <= 8_000 && fourth[1] > 6_400, String(fourth))
    assert.isTrue(last[1] <= 3_600_000 && last[1] > 2_800_000, String(last))
  })
)

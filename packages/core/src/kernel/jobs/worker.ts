/**
 * Runs jobs from the queue: leases short ones ahead, keeps the leases alive, completes in batches, tries failed ones again later, and
 * leaves nothing half done when the process ends.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queues from "effect/Queue"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Delivery, Queue } from "../../ports/Queue.ts"
import type { Signal } from "../Signals.ts"
import { mask } from "../mask.ts"
import { JobFailure } from "./Job.ts"
import { type Held, makeLedger } from "./ledger.ts"

export interface JobHandler<R = never> {
  /** Success is done for good. A `JobFailure` says whether a retry can help; any other failure or defect is tried again. */
  readonly handle: (delivery: Delivery) => Effect.Effect<void, unknown, R>
  /** Milliseconds for one try; then it is interrupted and tried again. Default 300,000. */
  readonly timeout?: number | undefined
  /** At most so many of this topic at once in this process. Default: no limit of its own. */
  readonly concurrency?: number | undefined
}

export interface WorkerOptions<R = never> {
  readonly queue: Queue["Service"]
  /** By topic; the worker asks for these topics only. */
  readonly handlers: Readonly<Record<string, JobHandler<R>>>
  /** Names this worker in the queue. */
  readonly worker: string
  /** Jobs running at once. Default 16. */
  readonly concurrency?: number
  /** Milliseconds; renewed every third of it. The jobs of a worker that died are free after so long. Default 30,000. */
  readonly lease?: number
  /** Jobs leased at most beside the running ones, while they take milliseconds each. Default 500. */
  readonly prefetch?: number
  /** Milliseconds between looks without a hint. Default 1,000. */
  readonly poll?: number
  /** Milliseconds for running jobs when the scope closes; then they are interrupted and given back. Default 20,000. */
  readonly drain?: number
  /** Wakes at once for jobs that this process has written. */
  readonly wake?: Pick<Signal, "wait">
}

/** Exponential with full jitter: up to 1 s after the first try, twice as much after each, at most an hour. Milliseconds. */
export const retryDelay = (attempt: number): Effect.Effect<number> =>
  Effect.map(Random.next, (share) => Math.round(share * Math.min(3_600_000, 1_000 * 2 ** (attempt - 1))))

/** Milliseconds of work to lease ahead, and how long one may wait for a place before it is given back to other workers. */
const horizon = 250
const patience = 1_000

const failureOf = (
  held: Held,
  cause: Cause.Cause<unknown>
): { readonly message: string; readonly permanent: boolean } => {
  if (held.stopped === "timeout") return { message: "The try took longer than its time-out", permanent: false }
  const error = Result.getOrUndefined(Cause.findError(cause))
  // It is kept with the job: what a gateway said may repeat somebody's phone.
  return error instanceof JobFailure
    ? { message: mask(error.message), permanent: error.permanent }
    : { message: mask(Cause.pretty(cause)).slice(0, 4_000), permanent: false }
}

/** Jobs that are done and not yet completed, at most: a queue that completes slowly is not asked for more. */
const backlog = 1_500

const patiently = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])
const soon = { schedule: Schedule.spaced("200 millis"), times: 4 }

/** Starts working; closing the scope drains. */
export const runWorker = <R = never>(options: WorkerOptions<R>): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const { concurrency = 16, drain = 20_000, lease = 30_000, poll = 1_000, prefetch = 500 } = options
    const { handlers, queue, worker } = options
    const fork = Effect.runForkWith(yield* Effect.context<R>())
    const clock = yield* Clock.Clock
    // Time that nobody sets: when the clock jumps, no lease is taken for lost and no job for late.
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const ledger = makeLedger()
    const look = yield* Queues.sliding<void>(1)
    const finished = yield* Queues.sliding<void>(1)
    const limitOf = (topic: string) => handlers[topic]?.concurrency
    /** Topics that are asked for together; `more`: there may be some ready. */
    const groups = Object.keys(handlers)
      .filter((topic) => limitOf(topic) !== undefined)
      .map((topic) => ({ topics: [topic], limit: limitOf(topic), more: true }))
      .concat({
        topics: Object.keys(handlers).filter((topic) => limitOf(topic) === undefined),
        limit: undefined,
        more: true
      })
      .filter(({ topics }) => topics.length > 0)
    let closing = false
    let dispatching = false
    /** Completions fail: whoever asked for jobs now might get those that are done. */
    let deaf = false
    /** Mean milliseconds of a job, recent ones first. */
    let mean = patience

    const ahead = () => Math.min(prefetch, Math.floor((horizon / Math.max(mean, 0.01)) * concurrency))
    const busy = () => ledger.count("waiting") + ledger.count("running") + ledger.count("telling")
    const room = (group: (typeof groups)[number]): number => {
      if (deaf || ledger.count("done") > backlog) return 0
      const extra = ahead()
      if (group.limit === undefined)
        return ledger.count("waiting") > extra / 2 ? 0 : Math.max(0, concurrency + extra - busy())
      const own = group.limit - ledger.ofTopic(group.topics[0] ?? "")
      return Math.max(0, extra > 0 ? own : Math.min(own, concurrency - busy()))
    }
    const next = () => groups.find((group) => group.more && room(group) > 0)
    const poke = () => void Queues.offerUnsafe(look, undefined)
    const hint = () => {
      for (const group of groups) group.more = true
      poke()
    }

    /** Tells the queue how a try ended that did not end well. */
    const conclude = (held: Held, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
      const { attempt, maxAttempts, receipt, topic } = held.delivery
      if (held.stopped === "lost") return Effect.logWarning(`${topic}: the lease was lost, another worker may run it`)
      const { message, permanent } = failureOf(held, cause)
      const tried = `${topic} failed at try ${attempt} of ${maxAttempts}`
      const call =
        held.stopped === "drain"
          ? queue.release([receipt])
          : permanent
            ? Effect.andThen(Effect.logWarning(`${tried}, for good: ${message}`), queue.bury(receipt, message))
            : Effect.flatMap(retryDelay(attempt), (delay) =>
                Effect.andThen(
                  attempt < maxAttempts
                    ? Effect.logInfo(`${tried}, next in ${delay} ms: ${message}`)
                    : Effect.logWarning(`${tried}: ${message}`),
                  queue.retry(receipt, { delay, error: message })
                )
              )
      return call.pipe(
        Effect.retry(soon),
        Effect.catch((error) => Effect.logWarning(`${topic}: the queue did not hear how a try ended: ${error.message}`))
      )
    }

    const settle = (held: Held, exit: Exit.Exit<void, unknown>) => {
      mean += (now() - held.begun - mean) / 16
      if (Exit.isSuccess(exit) && held.stopped !== "lost") {
        ledger.move(held, "done")
        Queues.offerUnsafe(finished, undefined)
        return dispatch()
      }
      // Its place stays taken until the queue has heard: a queue in trouble is not stormed.
      ledger.move(held, "telling")
      fork(conclude(held, Exit.isFailure(exit) ? exit.cause : Cause.empty)).addObserver(() => {
        ledger.forget(held)
        dispatch()
      })
    }

    const dispatch = () => {
      // Jobs may end while they are begun: a loop, not a recursion.
      if (dispatching) return
      dispatching = true
      while (!closing && ledger.count("running") + ledger.count("telling") < concurrency) {
        const held = ledger.next()
        if (held === undefined) break
        held.begun = now()
        ledger.move(held, "running")
        held.fiber = fork(Effect.suspend(() => handlers[held.delivery.topic]?.handle(held.delivery) ?? Effect.void))
        held.fiber.addObserver((exit) => settle(held, exit))
      }
      dispatching = false
      if (next() !== undefined) poke()
    }

    const stop = (held: Held, why: NonNullable<Held["stopped"]>) => {
      if (held.state === "waiting") ledger.forget(held)
      if (held.state !== "running" || held.stopped !== undefined) return
      held.stopped = why
      held.fiber?.interruptUnsafe()
    }

    const fetch = (group: (typeof groups)[number], limit: number) =>
      Effect.gen(function* () {
        const from = now()
        const got = yield* queue.receive({ topics: group.topics, limit, lease, worker })
        group.more = got.length === limit || group.more
        for (const delivery of got) ledger.add(delivery, now(), from + lease)
        dispatch()
      })

    const fetching = Effect.gen(function* () {
      while (!closing) {
        const group = next()
        if (group === undefined) {
          if ((yield* Effect.timeoutOption(Queues.take(look), poll))._tag === "None") hint()
          continue
        }
        group.more = false
        // Whole: an answer that nobody hears would be leased to nobody.
        yield* Effect.uninterruptible(fetch(group, room(group))).pipe(
          Effect.catch((error) =>
            Effect.andThen(Effect.logWarning(`The queue gives no jobs: ${error.message}`), Effect.sleep("500 millis"))
          )
        )
      }
    })

    const completing = Effect.gen(function* () {
      yield* Queues.take(finished)
      // While more come, a batch may gather; an idle worker tells at once.
      if (ledger.count("waiting") > 0 && ledger.count("done") < 250) yield* Effect.sleep("2 millis")
      for (let batch = ledger.takeDone(500); batch.length > 0; batch = ledger.takeDone(500)) {
        // Until the queue has heard: as long as nobody else has begun it again, a done job is completed by its old receipt.
        yield* queue.complete(batch.map(({ delivery }) => delivery.receipt)).pipe(
          Effect.tapError((error) => {
            deaf = true
            return Effect.logWarning(`${batch.length} jobs are done and the queue does not hear it: ${error.message}`)
          }),
          Effect.retry(patiently)
        )
        deaf = false
        for (const held of batch) ledger.forget(held)
        if (next() !== undefined) poke()
      }
    }).pipe(Effect.forever)

    const release = (given: ReadonlyArray<Held>) =>
      Effect.suspend(() => {
        // In one step: what has begun meanwhile is not given away.
        const still = given.filter(({ state }) => state === "waiting")
        for (const held of still) ledger.forget(held)
        return still.length === 0 ? Effect.void : queue.release(still.map(({ delivery }) => delivery.receipt))
      }).pipe(
        Effect.retry(soon),
        Effect.catch((error) =>
          Effect.logWarning(`${given.length} jobs wait for their lease to run out: ${error.message}`)
        )
      )
    const waiting = (arrivedBefore: number) =>
      [...ledger.all()].filter(({ arrived, state }) => state === "waiting" && arrived < arrivedBefore)

    const watching = Effect.gen(function* () {
      yield* Effect.sleep(Math.min(250, lease / 6))
      for (const held of ledger.all()) {
        if (held.until <= now()) stop(held, "lost")
        if (held.state === "running" && now() - held.begun > (handlers[held.delivery.topic]?.timeout ?? 300_000))
          stop(held, "timeout")
      }
      // Long jobs have taken the places: let other workers have what waits here.
      const stuck = waiting(now() - patience)
      if (stuck.length > 0) mean = Math.max(mean, patience)
      yield* release(stuck)
    }).pipe(Effect.forever)

    const beating = Effect.gen(function* () {
      yield* Effect.sleep(lease / 3)
      const ours = [...ledger.all()].filter(({ state }) => state !== "telling")
      const from = now()
      for (let at = 0; at < ours.length; at += 1_000) {
        const part = ours.slice(at, at + 1_000)
        const kept = new Set(
          yield* queue.extend(
            part.map(({ delivery }) => delivery.receipt),
            lease
          )
        )
        for (const held of part)
          if (kept.has(held.delivery.receipt)) held.until = from + lease
          else if (held.state !== "done") stop(held, "lost")
      }
    }).pipe(
      Effect.catch((error) => Effect.logWarning(`Leases could not be renewed: ${error.message}`)),
      Effect.forever
    )

    const hearing = queue.wakeups.pipe(
      Stream.runForEach(() => Effect.sync(hint)),
      Effect.catch((error) => Effect.logDebug(`No hints from the queue: ${error.message}`)),
      Effect.andThen(Effect.sleep("1 second")),
      Effect.forever
    )
    const { wake } = options
    const waking =
      wake === undefined ? Effect.never : Effect.forever(Effect.tap(wake.wait("1 hour"), () => Effect.sync(hint)))

    const fetcher = fork(fetching)
    const others = [completing, watching, beating, hearing, waking].map((loop) => fork(loop))

    /** Until nothing is left of these states, or the time is over. */
    const idle = (states: ReadonlyArray<Held["state"]>, atMost: number) =>
      Effect.suspend(() => {
        const end = now() + atMost
        return Effect.repeat(Effect.sleep("5 millis"), {
          while: () => now() < end && states.some((state) => ledger.count(state) > 0)
        })
      })

    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        closing = true
        poke()
        yield* Fiber.await(fetcher)
        yield* release(waiting(Infinity))
        yield* idle(["running", "telling"], drain)
        for (const held of ledger.all()) if (held.state === "running") stop(held, "drain")
        yield* idle(["running", "telling", "done"], 5_000)
        yield* Fiber.interruptAll(others)
      })
    )
  })

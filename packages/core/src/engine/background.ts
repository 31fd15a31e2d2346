/** What a worker process does by itself: order events, feed consumers, run jobs, fire deadlines, keep schedules. */
import * as Clock from "effect/Clock"
import * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { PlatformTx, withPlatform } from "../kernel/db/Database.ts"
import { fireDue } from "../kernel/deadlines/deadlines.ts"
import { catchUp, type Consumer } from "../kernel/events/Consumer.ts"
import { sequence, sequencerBatch } from "../kernel/events/sequencer.ts"
import { type JobDefinition, JobFailure } from "../kernel/jobs/Job.ts"
import { relayBatch, relayJobs } from "../kernel/jobs/relay.ts"
import { runWorker } from "../kernel/jobs/worker.ts"
import { whileLeader } from "../kernel/leases/lease.ts"
import type { Schedule } from "../kernel/module/defineModule.ts"
import { resealTurn } from "../kernel/personal/reseal.ts"
import type { SealedPart } from "../kernel/personal/SealedPart.ts"
import { Actor, system } from "../kernel/policy/Principal.ts"
import { Signals } from "../kernel/Signals.ts"
import { type DeliveryOptions, makeDelivery } from "../kernel/transparency-log/deliver.ts"
import { makePublisher } from "../kernel/transparency-log/publish.ts"
import { makeSealer, sealerBatch } from "../kernel/transparency-log/seal.ts"
import { EventBus } from "../ports/EventBus.ts"
import { Queue } from "../ports/Queue.ts"
import type { Erased } from "../kernel/Erased.ts"

const channels = { written: "events", ordered: "order", jobs: "jobs" } as const

/** Carries this process's wake-ups to the others and theirs to us. */
export const relaySignals = Effect.gen(function* () {
  const bus = yield* EventBus
  const signals = yield* Signals
  const hear = (channel: string, on: (body: string | undefined) => Effect.Effect<void>) =>
    Effect.flatMap(bus.subscribe(channel), (stream) =>
      Effect.forkScoped(Stream.runForEach(stream, (signal) => on(signal.type === "message" ? signal.body : undefined)))
    )
  yield* hear(channels.written, () => signals.written.wake)
  yield* hear(channels.jobs, () => signals.jobs.wake)
  yield* hear(channels.ordered, (body) =>
    Effect.andThen(
      signals.ordered.wake,
      Effect.forEach(
        body === undefined ? [] : (JSON.parse(body) as ReadonlyArray<readonly [string, string]>),
        ([tenantId, position]) => PubSub.publish(signals.order, { tenantId, position: BigInt(position) }),
        { discard: true }
      )
    )
  )
})

/** One turn of the sequencer: waits for something written, orders it, tells everybody. */
const sequencerTurn = Effect.gen(function* () {
  const signals = yield* Signals
  const bus = yield* EventBus
  const grown = yield* withPlatform(sequence())
  if (grown.length > 0) {
    yield* signals.ordered.wake
    for (const { position, tenantId } of grown) yield* PubSub.publish(signals.order, { tenantId, position })
    for (let from = 0; from < grown.length; from += 50) {
      const body = JSON.stringify(grown.slice(from, from + 50).map((row) => [row.tenantId, String(row.position)]))
      yield* Effect.ignore(bus.publish(channels.ordered, body))
    }
  }
  if (grown.reduce((sum, row) => sum + row.amount, 0) < sequencerBatch) yield* signals.written.wait("1 second")
})

/** One turn of the sealer: seals what is ordered, signs it when it is time, and carries what was signed out of the database. */
const sealerTurn = (options: AuditOptions) => {
  const seal = makeSealer(options)
  const publish = makePublisher(options.checkpointFolder)
  return Effect.gen(function* () {
    const sealed = yield* seal
    yield* publish
    // Not on the consumers' signal: whoever takes it takes it from them, and a proof may be a second late. Many events in one turn cost less
    // than a few in each.
    if (sealed < sealerBatch) yield* Effect.sleep("1 second")
  })
}

/** One turn of handing checkpoints out: beside the sealer, for whoever is slow to take one must not keep it waiting. */
const deliveryTurn = (options: DeliveryOptions) => {
  const deliver = makeDelivery(options)
  return Effect.gen(function* () {
    yield* deliver
    yield* Effect.sleep("1 second")
  })
}

const consumerTurn = (consumer: Consumer<unknown, Erased>) =>
  Effect.gen(function* () {
    const signals = yield* Signals
    const passed = yield* catchUp(consumer)
    if (passed === 0) yield* signals.ordered.wait("1 second")
  })

/** In UTC, where every hour comes once: no change of clocks leaves a run out or makes one twice. */
export const parseSchedule = (schedule: Schedule) => {
  const cron = Cron.parse(schedule.cron, "UTC")
  if (Result.isFailure(cron)) throw new Error(`Schedule ${schedule.id}: ${schedule.cron} is not a cron expression`)
  return { ...schedule, parsed: cron.success }
}

/** Hours by which a clock may be put back before that is a correction, as in Debian's cron(8). */
const correction = 3

/**
 * Whether a schedule that ran last at `last` is due. A clock that was put back a little runs nothing twice. One that was put back by more than
 * three hours had been wrong: what runs next is counted from now, or nothing would run until the wrong time has come.
 */
const scheduleState = (cron: Cron.Cron, last: Date, now: Date): "due" | "wait" | "corrected" =>
  Cron.next(cron, last) <= now ? "due" : last.getTime() - now.getTime() > correction * 3_600_000 ? "corrected" : "wait"

/** Runs what is due and writes down when. A schedule that was missed while nothing ran is run once. */
export const runDue = (schedules: ReadonlyArray<ReturnType<typeof parseSchedule>>) =>
  Effect.gen(function* () {
    const now = new Date(yield* Clock.currentTimeMillis)
    for (const schedule of schedules) {
      const rows = yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) =>
            sql<{ last: Date; first: boolean }>`
            insert into mahalla.schedule (id, last_run_at) values (${schedule.id}, ${now})
            on conflict (id) do update set last_run_at = mahalla.schedule.last_run_at
            returning last_run_at as last, xmax = 0 as first`
        )
      )
      const { first, last } = rows[0]!
      const state = first ? "due" : scheduleState(schedule.parsed, last, now)
      if (state === "wait") continue
      if (state === "due")
        yield* schedule.run.pipe(Effect.catchCause((cause) => Effect.logError(`Schedule ${schedule.id} failed`, cause)))
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) => sql`update mahalla.schedule set last_run_at = ${now} where id = ${schedule.id}`
        )
      )
    }
  })

const resealerTurn = (parts: ReadonlyArray<SealedPart>) =>
  Effect.gen(function* () {
    if ((yield* resealTurn(parts)) === 0) yield* Effect.sleep("5 seconds")
  })

const deadlineTurn = Effect.gen(function* () {
  const signals = yield* Signals
  const fired = yield* withPlatform(fireDue(100))
  if (fired > 0) yield* signals.jobs.wake
  else yield* Effect.sleep("1 second")
})

/** A job definition as the worker wants it: decoded payload, the tenant's system principal, typed failure. */
const handlerOf = (definition: JobDefinition) => {
  const decode = Schema.decodeUnknownEffect(definition.payload)
  return (delivery: {
    readonly id: string
    readonly tenantId: string
    readonly body: unknown
    readonly attempt: number
    readonly maxAttempts: number
  }) =>
    Effect.gen(function* () {
      const payload = yield* Effect.mapError(
        decode(delivery.body),
        (error) =>
          new JobFailure({
            message: `The payload is not one of ${definition.topic}: ${String(error)}`,
            permanent: true
          })
      )
      yield* definition.run(payload, delivery)
    }).pipe(Effect.provideService(Actor, system(delivery.tenantId)), Effect.withSpan(`job ${definition.topic}`))
}

export interface AuditOptions {
  readonly checkpointEvery: number
  readonly checkpointFolder: string
  readonly delivery: DeliveryOptions
}

export interface BackgroundOptions {
  readonly audit: AuditOptions
  readonly holder: string
  readonly jobs: ReadonlyArray<JobDefinition>
  readonly consumers: ReadonlyArray<Consumer<unknown, Erased>>
  readonly schedules: ReadonlyArray<Schedule>
  readonly sealed: ReadonlyArray<SealedPart>
  readonly concurrency: number
}

/** Starts everything in the scope; closing it drains running jobs. */
export const startBackground = (options: BackgroundOptions) =>
  Effect.gen(function* () {
    const { holder } = options
    const signals = yield* Signals
    const queue = yield* Queue
    const parsed = options.schedules.map(parseSchedule)
    yield* Effect.forkScoped(whileLeader({ name: "sequencer", holder, seconds: 6 }, sequencerTurn))
    yield* Effect.forkScoped(whileLeader({ name: "sealer", holder, seconds: 15 }, sealerTurn(options.audit)))
    const { delivery } = options.audit
    if (delivery.webhooks.length + delivery.emails.length > 0) {
      // Twenty that do not answer, eight at a time, take 45 seconds.
      yield* Effect.forkScoped(whileLeader({ name: "delivery", holder, seconds: 120 }, deliveryTurn(delivery)))
    }
    for (const consumer of options.consumers) {
      yield* Effect.forkScoped(
        whileLeader({ name: `consumer:${consumer.id}`, holder, seconds: 15 }, consumerTurn(consumer))
      )
    }
    yield* Effect.forkScoped(whileLeader({ name: "deadlines", holder }, deadlineTurn))
    yield* Effect.forkScoped(whileLeader({ name: "resealer", holder, seconds: 30 }, resealerTurn(options.sealed)))
    yield* Effect.forkScoped(
      whileLeader({ name: "schedules", holder, seconds: 30 }, Effect.andThen(runDue(parsed), Effect.sleep("3 seconds")))
    )
    if (!queue.transactional) {
      const turn = Effect.gen(function* () {
        if ((yield* relayJobs) < relayBatch) yield* signals.jobs.wait("1 second")
      })
      yield* Effect.forkScoped(whileLeader({ name: "relay", holder }, turn))
    }
    yield* runWorker({
      queue,
      worker: holder,
      concurrency: options.concurrency,
      // With another transport the wake-up is the relay's: the jobs are not in the queue yet.
      ...(queue.transactional ? { wake: signals.jobs } : {}),
      handlers: Object.fromEntries(
        options.jobs.map((job) => [
          job.topic,
          { handle: handlerOf(job), timeout: job.timeout, concurrency: job.concurrency }
        ])
      )
    })
  }) as Effect.Effect<void, never, Erased>

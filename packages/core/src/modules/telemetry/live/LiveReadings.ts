/** Readings as they are committed, in whichever process: one source for each tenant that somebody here watches. */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import { Database, TenantTx, withTenant } from "../../../kernel/db/Database.ts"
import { makeSignal, type Signal } from "../../../kernel/Signals.ts"
import { readBatches } from "../Follow.ts"
import type { Fresh } from "../Intake.ts"
import { emptyRegistry } from "../registry.ts"
import { type LiveBatch, liveBatches, type Places } from "./LiveBatch.ts"
import { makeSource, type Source } from "./Source.ts"

export class LiveReadings extends Context.Service<
  LiveReadings,
  {
    /** A tenant's source, for as long as the scope lasts. */
    readonly watch: (tenantId: string) => Effect.Effect<Source, SqlError, Scope.Scope>
    /** Batches after a place, from the database; what several ask for is read once. Empty at the end of what is kept. */
    readonly history: (tenantId: string, after: number) => Effect.Effect<ReadonlyArray<LiveBatch>, SqlError>
    /** Looks how far the tenant is, wherever: what another process has told somebody may not have been heard of here yet. */
    readonly refresh: (source: Source) => Effect.Effect<void, SqlError>
    /** Event time of the earliest reading in the batches after one and up to another, epoch milliseconds; null where they are gone. */
    readonly earliest: (tenantId: string, after: number, to: number) => Effect.Effect<number | null, SqlError>
    /** A batch was committed here. */
    readonly offer: (fresh: Fresh) => void
  }
>()("@mahalla/telemetry/LiveReadings") {}

/** How soon other processes' batches are looked for, while somebody watches. */
const pollEvery = "250 millis"
/** Readings of one look into the past, and such looks at once: whoever comes back waits rather than the city. */
const historyReadings = 10_000
const historyReaders = 4

interface Watched {
  watchers: number
  readonly source: Source
  readonly signal: Signal
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

const reads = Metric.counter("mahalla_live_batch_reads_total", {
  description: "Batches of readings that were fetched for those who watch, each once however many they are",
  incremental: true
})

const headOf = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ head: string }>`
    select batch::text as head from mahalla.telemetry_head where tenant_id = ${tenantId}`
  return Number(row?.head ?? 0)
})

const earliestOf = Effect.fnUntraced(function* (after: number, to: number) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ at: number | null }>`
    select extract(epoch from min(first_at))::float8 * 1000 as at from mahalla.reading_batch
    where tenant_id = ${tenantId} and number > ${after} and number <= ${to}`
  return row?.at ?? null
})

export const makeLiveReadings = Effect.gen(function* () {
  const database = yield* Database
  const { platform } = database
  // No more than that: the scope of who watches is theirs.
  const asked = Effect.provideService(Database, database)
  const scope = yield* Effect.scope
  const places: Places = new WeakMap()
  const tenants = new Map<string, Watched>()
  const somebody = yield* makeSignal

  const advance = (source: Source) =>
    Effect.gen(function* () {
      const before = source.reached()
      yield* source.advance
      if (source.reached() > before) yield* Metric.update(reads, source.reached() - before)
    })

  /** Goes on after a failure: those who watch have lost nothing. */
  const follow = ({ signal, source }: Watched) =>
    advance(source).pipe(
      Effect.andThen(signal.wait("10 seconds")),
      Effect.catchCause((cause) =>
        Effect.andThen(Effect.logWarning("Live readings wait for the database", cause), Effect.sleep("1 second"))
      ),
      Effect.forever,
      asked
    )

  const hear = (tenantId: string, head: number) => {
    const watched = tenants.get(tenantId)
    return watched?.source.heard(head) === true ? watched.signal.wake : Effect.void
  }

  /** One question for all tenants that somebody watches. */
  const poll = Effect.gen(function* () {
    if (tenants.size === 0) return yield* somebody.wait("1 hour")
    const heads = yield* platform<{ tenantId: string; head: string }>`
      select tenant_id as "tenantId", batch::text as head from mahalla.telemetry_head
      where tenant_id = any (${[...tenants.keys()]}::uuid[])`
    for (const { head, tenantId } of heads) yield* hear(tenantId, Number(head))
    yield* Effect.sleep(pollEvery)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.catchCause(poll, () => Effect.sleep("1 second"))))

  const watch = (tenantId: string) =>
    Effect.acquireRelease(
      Effect.gen(function* () {
        const signal = yield* makeSignal
        const head = tenants.has(tenantId) ? 0 : yield* withTenant(tenantId)(headOf)
        // Somebody else may have come meanwhile.
        let watched = tenants.get(tenantId)
        if (watched === undefined) {
          watched = { watchers: 0, source: makeSource(tenantId, places, head), signal, fiber: undefined }
          tenants.set(tenantId, watched)
          watched.fiber = yield* Effect.forkIn(follow(watched), scope)
          yield* somebody.wake
        }
        watched.watchers++
        return watched
      }),
      (watched) => {
        if (--watched.watchers > 0) return Effect.void
        tenants.delete(tenantId)
        return watched.fiber === undefined ? Effect.void : Fiber.interrupt(watched.fiber)
      }
    ).pipe(
      Effect.map(({ source }) => source),
      asked
    )

  const inTurn = yield* Semaphore.make(historyReaders)
  const past = yield* Cache.makeWith<string, ReadonlyArray<LiveBatch>, SqlError>(
    (key) => {
      const [tenantId = "", after = "0"] = key.split(" ")
      return withTenant(tenantId)(
        Effect.flatMap(readBatches(emptyRegistry(), Number(after), historyReadings), (found) =>
          liveBatches(places, found)
        )
      ).pipe(inTurn.withPermits(1), asked)
    },
    {
      capacity: 8,
      timeToLive: (exit) => (Exit.isSuccess(exit) && exit.value.length > 0 ? Duration.seconds(1) : Duration.zero)
    }
  )

  return LiveReadings.of({
    watch,
    refresh: ({ tenantId }) => asked(Effect.flatMap(withTenant(tenantId)(headOf), (head) => hear(tenantId, head))),
    history: (tenantId, after) => Cache.get(past, `${tenantId} ${after}`),
    earliest: (tenantId, after, to) => asked(withTenant(tenantId)(earliestOf(after, to))),
    offer: (fresh) => {
      const watched = tenants.get(fresh.tenantId)
      if (watched === undefined) return
      watched.source.offer(fresh)
      Effect.runSync(watched.signal.wake)
    }
  })
})

/**
 * Consumers: code that hears every event of every tenant once, in order. The handler's database effects and the step of the cursor
 * are one transaction, so nothing is skipped or repeated; whatever leaves the database goes through a job.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { SqlError } from "effect/sql/SqlError"
import { type Database, PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import type { StoredEvent } from "./Event.ts"
import { mask } from "../mask.ts"
import { readEvents } from "./read.ts"

export interface Consumer<E = unknown, R = never> {
  /** Stable: it names the cursor. */
  readonly id: string
  /** Types it wants; it is not called for others. */
  readonly types: ReadonlyArray<string> | "all"
  readonly handle: (event: StoredEvent) => Effect.Effect<void, E, R | TenantTx>
  /** In the place of `handle` for each, where several can be taken in the same statements: those of one turn, in order. */
  readonly together?: (events: ReadonlyArray<StoredEvent>) => Effect.Effect<void, E, R | TenantTx>
}

/** Tenants in which a consumer is behind and not waiting after a failure. */
const behind = Effect.fnUntraced(function* (consumer: string) {
  const { sql } = yield* PlatformTx
  const rows = yield* sql<{ tenantId: string }>`
    select head.tenant_id as "tenantId" from mahalla.event_head head
    left join mahalla.event_cursor cursor on cursor.tenant_id = head.tenant_id and cursor.consumer = ${consumer}
    where head.position > coalesce(cursor.position, 0) and (cursor.retry_at is null or cursor.retry_at <= now())`
  return rows.map((row) => row.tenantId)
})

const batch = 200

const advance = Effect.fnUntraced(function* <E, R>(consumer: Consumer<E, R>) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`insert into mahalla.event_cursor (tenant_id, consumer, position) values (${tenantId}, ${consumer.id}, 0) on conflict do nothing`
  const [cursor] = yield* sql<{ position: bigint; failures: number }>`
    select position, failures from mahalla.event_cursor where tenant_id = ${tenantId} and consumer = ${consumer.id} for update`
  // After a failure one at a time, so that the events before the failing one are not held back with it.
  const limit = cursor!.failures > 0 ? 1 : batch
  const events = yield* readEvents(cursor!.position, limit)
  const { together, types } = consumer
  const wanted = types === "all" ? events : events.filter(({ type }) => types.includes(type))
  if (together === undefined) for (const event of wanted) yield* consumer.handle(event)
  else if (wanted.length > 0) yield* together(wanted)
  const last = events.at(-1)
  if (last !== undefined) {
    yield* sql`
      update mahalla.event_cursor set position = ${last.position}, failures = 0, retry_at = null, last_error = null
      where tenant_id = ${tenantId} and consumer = ${consumer.id}`
  }
  return { passed: events.length, more: events.length === limit }
})

const recordFailure = Effect.fnUntraced(function* (consumer: string, error: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into mahalla.event_cursor as cursor (tenant_id, consumer, position, failures, retry_at, last_error)
    values (${tenantId}, ${consumer}, 0, 1, now() + interval '1 second', ${error})
    on conflict (tenant_id, consumer) do update
      set failures = cursor.failures + 1, last_error = excluded.last_error,
          retry_at = now() + least(interval '5 minutes', interval '1 second' * power(2, least(cursor.failures, 10)))`
})

const failures = Metric.counter("mahalla_consumer_failures_total", {
  description: "Events that a consumer could not handle, by consumer; each try counts",
  incremental: true
})

/** A consumer that stands still in one tenant, before the event that it cannot handle. */
export interface FailingConsumer {
  readonly consumer: string
  readonly tenant: string
  /** Of the last event that it has passed. */
  readonly position: number
  readonly failures: number
  readonly error: string
}

/** Those that failed at their last try, the longest first; at most 100. */
export const failingConsumers = Effect.flatMap(
  PlatformTx,
  ({ sql }) => sql<FailingConsumer>`
    select c.consumer, t.slug as tenant, c.position::float8 as position, c.failures, coalesce(c.last_error, '') as error
    from mahalla.event_cursor c join mahalla.tenant t on t.tenant_id = c.tenant_id
    where c.failures > 0 order by c.failures desc limit 100`
)

/** Brings a consumer up to date in all tenants; returns how many events it passed. A failing tenant waits and does not stop the others. */
export const catchUp = <E, R>(consumer: Consumer<E, R>) =>
  Effect.gen(function* () {
    let passed = 0
    for (const tenantId of yield* withPlatform(behind(consumer.id))) {
      let step = { passed: 0, more: true }
      while (step.more) {
        step = yield* withTenant(tenantId)(advance(consumer)).pipe(
          Effect.catchCause((cause) =>
            Effect.logError(`Consumer ${consumer.id} failed and will try again`, cause).pipe(
              Effect.andThen(Metric.update(Metric.withAttributes(failures, { consumer: consumer.id }), 1)),
              Effect.andThen(withTenant(tenantId)(recordFailure(consumer.id, mask(String(cause)).slice(0, 2000)))),
              Effect.as({ passed: 0, more: false })
            )
          )
        )
        passed += step.passed
      }
    }
    return passed
  }) as Effect.Effect<number, SqlError, Exclude<R, TenantTx> | Database>

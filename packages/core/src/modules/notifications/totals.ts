/** Sums of what was sent, by day, channel and category: kept when the messages are gone, and what a budget is held against. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { clocksOf, dateOf } from "../../kernel/deadlines/calendar.ts"

export interface Addition {
  readonly channel: string
  readonly category: string
  /** ISO 4217; empty where the channel names no price. */
  readonly currency: string
  readonly handed?: number
  readonly delivered?: number
  readonly failed?: number
  readonly parts?: number
  /** Minor units. */
  readonly cost?: bigint
}

/** Rows of one kind, over which those who add at once are spread. */
const shards = 16

/** The date of a moment in the city's calendar. */
export const dayOf = (at: number, timeZone: string): string => dateOf(clocksOf(timeZone).local(at).day)

/** Adds to the sums of a day. `spread`: any number, as of a message. */
export const addTotal = Effect.fnUntraced(function* (day: string, given: Addition, spread: string) {
  const { sql, tenantId } = yield* TenantTx
  const { category, channel, cost = 0n, currency, delivered = 0, failed = 0, handed = 0, parts = 0 } = given
  yield* sql`
    insert into mahalla.message_total as total (tenant_id, day, channel, category, currency, shard, handed, delivered, failed, parts, cost)
    values (${tenantId}, ${day}::date, ${channel}, ${category}, ${currency}, ${Number.parseInt(spread.slice(-2), 16) % shards},
      ${handed}, ${delivered}, ${failed}, ${parts}, ${cost})
    on conflict (tenant_id, day, channel, category, currency, shard) do update set handed = total.handed + excluded.handed,
      delivered = total.delivered + excluded.delivered, failed = total.failed + excluded.failed, parts = total.parts + excluded.parts,
      cost = total.cost + excluded.cost`
})

/** What messages have cost on the day of a moment, in minor units of whatever currency they were paid in. */
export const spentSince = Effect.fnUntraced(function* (at: number, timeZone: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ cost: string }>`
    select coalesce(sum(cost), 0)::text as cost from mahalla.message_total
    where tenant_id = ${tenantId} and day = ${dayOf(at, timeZone)}::date`
  return BigInt(rows[0]!.cost)
})

export interface Total {
  readonly day: string
  readonly channel: string
  readonly category: string
  readonly currency: string
  readonly handed: number
  readonly delivered: number
  readonly failed: number
  readonly parts: number
  /** Minor units. */
  readonly cost: string
}

/** Sums of days, both included; the newest first. */
export const totalsBetween = Effect.fnUntraced(function* (from: string, to: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Total>`
    select day::text as day, channel, category, currency, sum(handed)::float8 as handed, sum(delivered)::float8 as delivered,
      sum(failed)::float8 as failed, sum(parts)::float8 as parts, sum(cost)::text as cost
    from mahalla.message_total where tenant_id = ${tenantId} and day between ${from}::date and ${to}::date
    group by day, channel, category, currency order by day desc, channel, category, currency limit 1000`
})

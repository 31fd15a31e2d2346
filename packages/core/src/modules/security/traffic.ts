/** What codes cost and whether they are used, as rows. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import type { CodeLimits } from "../../kernel/limits/codeLimits.ts"

/** All but the last four digits: ten thousand numbers. */
export const prefixOf = (phone: string): string => phone.slice(0, -4)

/** Milliseconds of a slot. A code that was sent in a slot which ended that long ago has been used by now, or never will be. */
const slotLength = 300_000
const slotAt = (now: number) => new Date(Math.floor(now / slotLength) * slotLength)

const count = Effect.fnUntraced(function* (prefix: string, sent: number, used: number) {
  const { sql, tenantId } = yield* TenantTx
  const slot = slotAt(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.code_traffic as held (tenant_id, prefix, slot, sent, used) values (${tenantId}, ${prefix}, ${slot}, ${sent}, ${used})
    on conflict (tenant_id, prefix, slot) do update set sent = held.sent + excluded.sent, used = held.used + excluded.used`
})

/** `amount` is -1 for a code that was not made after all. */
export const countSent = (phone: string, amount: 1 | -1) => count(prefixOf(phone), amount, 0)
export const countUsed = (phone: string) => count(prefixOf(phone), 0, 1)

/** Milliseconds for which a prefix is paused still; 0 when it is not. */
export const pausedFor = Effect.fnUntraced(function* (prefix: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const [row] = yield* sql<{ until: Date }>`
    select until from mahalla.code_pause where tenant_id = ${tenantId} and prefix = ${prefix}`
  return Math.max(0, (row?.until.getTime() ?? 0) - now)
})

/**
 * Pauses a prefix whose codes are not used. Judged by the last hour, but not by what was before an earlier pause, and not by codes that may
 * still be used. Returns the figures when it was paused now.
 */
export const judge = Effect.fnUntraced(function* (prefix: string, limits: CodeLimits) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const [seen] = yield* sql<{ sent: number; used: number }>`
    select coalesce(sum(sent) filter (where slot <= ${new Date(now - 2 * slotLength)}), 0)::float8 as sent, coalesce(sum(used), 0)::float8 as used
    from mahalla.code_traffic
    where tenant_id = ${tenantId} and prefix = ${prefix} and slot > ${new Date(now - 3_600_000)}
      and slot >= coalesce((select until from mahalla.code_pause where tenant_id = ${tenantId} and prefix = ${prefix}), '-infinity')`
  const { sent, used } = seen!
  if (sent < limits.watchFrom || used >= sent * limits.leastUsed) return undefined
  yield* sql`
    insert into mahalla.code_pause (tenant_id, prefix, until) values (${tenantId}, ${prefix}, ${new Date(now + limits.pause * 1000)})
    on conflict (tenant_id, prefix) do update set until = excluded.until`
  return { sent, used }
})

/** Takes a message's price from the day's money, or says how many milliseconds are left of the day. */
export const spend = Effect.fnUntraced(function* (limits: CodeLimits, timeZone: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const { moneyPerDay, price } = limits
  const [day] = yield* sql<{ day: string; left: number }>`
    select (${now}::timestamptz at time zone ${timeZone})::date::text as day,
      extract(epoch from ((${now}::timestamptz at time zone ${timeZone})::date + 1)::timestamp at time zone ${timeZone} - ${now}::timestamptz)::float8 * 1000 as left`
  const taken = yield* sql`
    insert into mahalla.code_spend as held (tenant_id, day, spent, codes)
    select ${tenantId}::uuid, ${day!.day}::date, ${price}::bigint, 1 where ${price}::bigint <= ${moneyPerDay}::bigint
    on conflict (tenant_id, day) do update set spent = held.spent + ${price}::bigint, codes = held.codes + 1
      where held.spent + ${price}::bigint <= ${moneyPerDay}::bigint
    returning spent`
  return taken.length > 0 ? { taken: true as const, day: day!.day } : { taken: false as const, left: day!.left }
})

/** Gives back what was taken for a message that was never made. */
export const giveBack = Effect.fnUntraced(function* (limits: CodeLimits, day: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.code_spend set spent = spent - ${limits.price}::bigint, codes = codes - 1 where tenant_id = ${tenantId} and day = ${day}::date`
})

/** Forgets slots of yesterday. What was spent stays, for the books. */
export const sweepTraffic = Effect.gen(function* () {
  const before = new Date((yield* Clock.currentTimeMillis) - 86_400_000)
  yield* withPlatform(
    Effect.flatMap(PlatformTx, ({ sql }) => sql`delete from mahalla.code_traffic where slot < ${before}`)
  )
})

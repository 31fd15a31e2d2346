/**
 * How much may be sent in a day: to one person, by each rail, in all. Counted in the transaction that sends, in rows that two of them cannot pass at
 * once; what failed is given back to its day.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import type { Payout } from "./model.ts"

interface Limit {
  readonly scope: string
  /** Minor units; undefined: counted, and not limited. */
  readonly most: bigint | undefined
  readonly words: string
}

/** Always in this order, so that two payouts never wait for each other; the busiest row last. */
const limitsOf = Effect.fnUntraced(function* ({ principalId, rail }: Pick<Payout, "principalId" | "rail">) {
  const { day, personDay, rails = {} } = (yield* tenantSettings).payouts ?? {}
  if (day === undefined && personDay === undefined && Object.keys(rails).length === 0) return []
  const most = (text: string | undefined) => (text === undefined ? undefined : BigInt(text))
  const limits: ReadonlyArray<Limit> = [
    { scope: `person:${principalId}`, most: most(personDay), words: "what one person may be sent in a day" },
    { scope: `rail:${rail}`, most: most(rails[rail]), words: `what ${rail} may send in a day` },
    { scope: "tenant", most: most(day), words: "what may be sent in a day" }
  ]
  return limits
})

/** The calendar day in the tenant's time zone, as `2026-11-20`. */
const today = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const { timeZone } = yield* tenantSettings
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<{ day: string }>`select (${now}::timestamptz at time zone ${timeZone})::date::text as day`
  return row!.day
})

/** Counts a payout against the limits of today; in words which limit it would pass, and then it counts against none. */
export const countPayout = Effect.fn("payouts.count")(function* (payout: Payout) {
  const { sql, tenantId } = yield* TenantTx
  const limits = yield* limitsOf(payout)
  if (limits.length === 0) return undefined
  const day = yield* today
  const { amount } = payout
  const counted: Array<string> = []
  for (const { most = null, scope, words } of limits) {
    const rows = yield* sql`
      insert into mahalla.payout_spent as s (tenant_id, scope, day, amount)
      select ${tenantId}, ${scope}, ${day}::date, ${amount} where ${most}::bigint is null or ${amount} <= ${most}::bigint
      on conflict (tenant_id, scope, day) do update set amount = s.amount + excluded.amount
      where ${most}::bigint is null or s.amount + excluded.amount <= ${most}::bigint
      returning 1`
    if (rows.length === 0) {
      yield* giveBack(counted, day, amount)
      return `It waits: it would pass ${words} (${most} minor units).`
    }
    counted.push(scope)
  }
  yield* sql`update mahalla.payout set counted_on = ${day}::date where tenant_id = ${tenantId} and id = ${payout.id}`
  return undefined
})

const giveBack = Effect.fnUntraced(function* (scopes: ReadonlyArray<string>, day: string, amount: bigint) {
  const { sql, tenantId } = yield* TenantTx
  for (const scope of scopes)
    yield* sql`
      update mahalla.payout_spent set amount = greatest(0, amount - ${amount})
      where tenant_id = ${tenantId} and scope = ${scope} and day = ${day}::date`
})

/** It was not sent after all. */
export const uncountPayout = Effect.fn("payouts.uncount")(function* ({ amount, id, principalId, rail }: Payout) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ day: string }>`
    update mahalla.payout p set counted_on = null from (
      select counted_on from mahalla.payout where tenant_id = ${tenantId} and id = ${id}) before
    where p.tenant_id = ${tenantId} and p.id = ${id} and before.counted_on is not null returning before.counted_on::text as day`
  if (row !== undefined) yield* giveBack([`person:${principalId}`, `rail:${rail}`, "tenant"], row.day, amount)
})

/** Days long gone limit nothing. */
export const forgetSpent = withPlatform(
  Effect.flatMap(PlatformTx, ({ sql }) => sql`delete from mahalla.payout_spent where day < current_date - 40`)
)

/**
 * What a payout waits for before it is sent. How often one person is paid in a day before somebody looks: a hundred claims at once are no luck. Counted
 * in the payout's own transaction and not by the limiter: where nobody can count, nothing is paid. And a destination that changed behind a new device.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { countPayout } from "./limits.ts"
import { type Payout, PayoutHeld } from "./model.ts"
import { waitsForPayee } from "./payee.ts"

/** Payouts to one person in 24 hours, unless the tenant's settings say otherwise. */
export const payoutsPerDay = 50

/** What a held payout says of itself, for the treasurer. */
const reasons = {
  often: "It waits: the person was paid very often within a day.",
  elsewhere: "It waits: it goes elsewhere than the last one. It goes on by itself when it has cooled off.",
  newDevice:
    "It waits: it goes elsewhere than the last one, and the person has come on a new device. Settle it as failed if that was not they."
} as const

/**
 * Why a reserved payout must wait; undefined when it need not. It then stays `reserved`, with the reason in `detail`, and its job tries again;
 * staff is told once for each. Index `payout_by_principal`.
 */
export const heldBecause = Effect.fn("payouts.heldBecause")(function* (payout: Payout) {
  const { sql, tenantId } = yield* TenantTx
  const { amount, caseId, currency, id, principalId, rail } = payout
  const now = yield* Clock.currentTimeMillis
  const hold = Effect.fnUntraced(function* (why: keyof typeof reasons) {
    if (payout.detail === reasons[why]) return false
    yield* sql`update mahalla.payout set detail = ${reasons[why]} where tenant_id = ${tenantId} and id = ${id}`
    return true
  })
  // One after the other: two at once would not see each other.
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`mahalla.payouts ${principalId}`}, hashtextextended(${tenantId}, 0)))`
  const changed = yield* waitsForPayee(payout)
  if (changed !== undefined) {
    yield* hold(changed)
    return reasons[changed]
  }
  const [paid] = yield* sql<{ times: number }>`
    select count(*)::int as times from mahalla.payout
    where tenant_id = ${tenantId} and principal_id = ${principalId} and state in ('submitting', 'unknown', 'succeeded')
      and changed_at > ${new Date(now - 86_400_000)}`
  const perDay = (yield* tenantSettings).payoutsPerDay ?? payoutsPerDay
  if (paid!.times < perDay) {
    const limit = yield* countPayout(payout)
    if (limit !== undefined && payout.detail !== limit)
      yield* sql`update mahalla.payout set detail = ${limit} where tenant_id = ${tenantId} and id = ${id}`
    return limit
  }
  if (yield* hold("often")) {
    const facts = { payoutId: id, principalId, amount: String(amount), currency, rail, perDay: String(perDay) }
    yield* appendEvent(PayoutHeld, facts, { caseId })
  }
  return reasons.often
})

/** Asking for a reward, and giving the budget its money. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { phoneOf, type PhoneRow } from "../../kernel/personal/people.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { accountOf, post, reserve } from "./ledger.ts"
import { BudgetFunded, type Payout, PayoutRequested } from "./model.ts"
import { notePayee } from "./payee.ts"
import { loadPayout, movePayout, payeeColumn } from "./sql.ts"

/** From the budget to what the rail has paid out for us; what was paid by hand has a clearing account of its own. */
export const transferOf = Effect.fnUntraced(function* (payout: Payout) {
  return {
    debit: yield* accountOf("budget", payout.currency),
    credit: yield* accountOf("clearing", payout.currency, payout.rail === "" ? "by-hand" : payout.rail),
    amount: payout.amount,
    currency: payout.currency,
    memo: `${payout.rule} for case ${payout.caseId}`,
    payoutId: payout.id
  }
})

/** Sets the money aside and hands the payout to its job; stays `requested` while the budget has not enough. */
export const tryReserve = Effect.fn("payouts.tryReserve")(function* (payout: Payout) {
  const pendingId = yield* reserve(yield* transferOf(payout)).pipe(
    Effect.catchTag("Refused", () => Effect.succeed(undefined))
  )
  if (pendingId === undefined) return false
  yield* movePayout(payout, "reserved", { pendingId })
  // With the key of the safety net under it: a queue that knows the one takes no other.
  yield* enqueue([{ topic: "payouts.pay", body: { payoutId: payout.id }, uniqueKey: payout.id, maxAttempts: 100 }])
  return true
})

export interface RewardRequest {
  readonly caseId: string
  readonly principalId: string
  /** Minor units of the tenant's currency. */
  readonly amount: bigint
  /** Names the reason: one case pays one reward of a rule. */
  readonly rule: string
}

interface NewPayout extends RewardRequest {
  readonly currency: string
  readonly attempt: number
}

/** Makes a payout to where the person is paid today, and sets its money aside; nothing where one of its kind lives already. */
const openPayout = Effect.fnUntraced(function* (wanted: NewPayout) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const { amount, attempt, caseId, currency, principalId, rule } = wanted
  const rails = yield* PaymentRails
  const rail = [...rails].find(([, one]) => one.currency === currency && one.payees.includes("phone"))?.[0]
  const people = yield* sql<PhoneRow>`
    select id, phone, phone_sealed from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId}`
  const phone = people[0] === undefined ? null : yield* phoneOf(people[0])
  const id = yield* newId
  const sealed = phone === null ? null : yield* payeeColumn.seal(id, phone)
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql`
    insert into mahalla.payout (tenant_id, id, case_id, rule, attempt, principal_id, rail, payee_kind, payee, payee_sealed, amount, currency, state, created_at, changed_at)
    values (${tenantId}, ${id}, ${caseId}, ${rule}, ${attempt}, ${principalId}, ${rail ?? ""}, 'phone', '', ${sealed}, ${amount},
            ${currency}, 'requested', ${at}, ${at})
    on conflict do nothing returning id`
  if (made.length === 0) return undefined
  yield* appendEvent(
    PayoutRequested,
    { payoutId: id, principalId, amount: String(amount), currency, rail: rail ?? "", rule },
    { caseId, actorId: actor.id }
  )
  const payout = (yield* loadPayout(id, true))!
  yield* notePayee(payout)
  if (rail !== undefined && phone !== null) yield* tryReserve(payout)
  else
    yield* movePayout(payout, "manual", {
      detail: rail === undefined ? `No payment rail pays ${currency} to phones.` : "The person has no phone number."
    })
  return id
})

/**
 * Asks for a reward in the transaction of the decision. Asking again for the same case and rule changes nothing. Without a rail or a phone the payout
 * is `manual`, for the treasurer.
 */
export const requestReward = Effect.fn("payouts.requestReward")(function* (request: RewardRequest) {
  const { currency } = yield* tenantSettings
  yield* openPayout({ ...request, currency, attempt: 1 })
})

/**
 * A failed payout tried again: under a new id, to the phone the person has now. Returns the new payout's id. Refused as `not-failed`
 * for any other state, for of those nobody knows yet that nothing was paid, and as `tried-again` when somebody was quicker.
 */
export const retryPayout = Effect.fn("payouts.retry")(function* (payout: Payout) {
  if (payout.state !== "failed") {
    return yield* new Refused({
      code: "not-failed",
      message: `The payout is ${payout.state}; only one that has surely failed is tried again.`
    })
  }
  const id = yield* openPayout({ ...payout, attempt: payout.attempt + 1 })
  return (
    id ??
    (yield* new Refused({
      code: "tried-again",
      message: "This payout was tried again already; look at the newer one."
    }))
  )
})

/** Lets payouts that wait for the budget go on, oldest first, as far as it reaches; a thousand at once at most. */
export const reserveWaiting = Effect.fn("payouts.reserveWaiting")(function* (currency: string) {
  const { sql, tenantId } = yield* TenantTx
  const waiting = yield* sql<{ id: string }>`
    select id from mahalla.payout where tenant_id = ${tenantId} and state = 'requested' and currency = ${currency} order by id limit 1000`
  for (const { id } of waiting) {
    const payout = yield* loadPayout(id, true)
    if (payout?.state === "requested" && !(yield* tryReserve(payout))) break
  }
})

/** Puts money into the budget and lets payouts that waited for it go on, oldest first. */
export const fundBudget = Effect.fn("payouts.fundBudget")(function* (funds: {
  readonly amount: bigint
  readonly memo: string
}) {
  const actor = yield* Actor
  const { currency } = yield* tenantSettings
  yield* post({
    debit: yield* accountOf("funding", currency),
    credit: yield* accountOf("budget", currency),
    amount: funds.amount,
    currency,
    memo: funds.memo
  })
  yield* appendEvent(BudgetFunded, { amount: String(funds.amount), currency, memo: funds.memo }, { actorId: actor.id })
  yield* reserveWaiting(currency)
})

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
import { needsApproval } from "./approvals.ts"
import { accountOf, post, reserve, voidPending } from "./ledger.ts"
import { BudgetFunded, type Payout, PayoutRequested } from "./model.ts"
import { notePayee } from "./payee.ts"
import { loadPayout, movePayout, payeeColumn } from "./sql.ts"

/** What is owed to the citizen becomes what the rail has paid out for us. */
const transferOf = Effect.fnUntraced(function* (payout: Payout) {
  return {
    debit: yield* accountOf("liability", payout.currency),
    credit: yield* accountOf("clearing", payout.currency, payout.rail),
    ...about(payout)
  }
})

const about = ({ amount, caseId, currency, id, rule }: Payout) => ({
  amount,
  currency,
  memo: `${rule} for case ${caseId}`,
  payoutId: id
})

/** From the budget to what is owed to citizens. Refused as `insufficient-funds`. */
const owe = Effect.fnUntraced(function* (payout: Payout) {
  yield* post({
    debit: yield* accountOf("budget", payout.currency),
    credit: yield* accountOf("liability", payout.currency),
    ...about(payout)
  })
})

/** What was paid by hand, without money set aside before: it has a clearing account of its own. */
export const bookByHand = Effect.fnUntraced(function* (payout: Payout) {
  yield* owe(payout)
  yield* post({
    ...(yield* transferOf(payout)),
    credit: yield* accountOf("clearing", payout.currency, payout.rail === "" ? "by-hand" : payout.rail)
  })
})

/** Nothing will be paid: what was set aside is owed to nobody any more, and goes back to the budget. */
export const releasePayout = Effect.fnUntraced(function* (payout: Payout) {
  if (payout.pendingId === null) return
  const { sql, tenantId } = yield* TenantTx
  yield* voidPending(payout.pendingId)
  const [from] = yield* sql<{ kind: string }>`
    select a.kind from mahalla.ledger_transfer t join mahalla.account a on a.tenant_id = t.tenant_id and a.id = t.debit_id
    where t.tenant_id = ${tenantId} and t.id = ${payout.pendingId}`
  // What was reserved before payouts were owed stands in the budget still.
  if (from?.kind !== "liability") return
  yield* post({
    debit: yield* accountOf("liability", payout.currency),
    credit: yield* accountOf("budget", payout.currency),
    ...about(payout)
  })
})

/** Sets the money of an approved payout aside and hands it to its job; it stays `approved` while the budget has not enough. */
export const tryReserve = Effect.fn("payouts.tryReserve")(function* (payout: Payout) {
  const owed = yield* owe(payout).pipe(
    Effect.as(true),
    Effect.catchTag("Refused", () => Effect.succeed(false))
  )
  if (!owed) return false
  const pendingId = yield* reserve(yield* transferOf(payout))
  yield* movePayout(payout, "reserved", { pendingId })
  // With the key of the safety net under it: a queue that knows the one takes no other.
  yield* enqueue([{ topic: "payouts.pay", body: { payoutId: payout.id }, uniqueKey: payout.id, maxAttempts: 100 }])
  return true
})

/** What becomes of an approved payout; false where it waits for the budget. */
export const proceed = Effect.fn("payouts.proceed")(function* (payout: Payout) {
  if (payout.rail !== "" && payout.payee !== "") return yield* tryReserve(payout)
  const detail =
    payout.rail === "" ? `No payment rail pays ${payout.currency} to phones.` : "The person has no phone number."
  yield* movePayout(payout, "manual", { detail })
  return true
})

/** Approves what needs nobody. */
const begin = Effect.fnUntraced(function* (payout: Payout) {
  if (yield* needsApproval(payout)) return true
  yield* movePayout(payout, "approved")
  return yield* proceed({ ...payout, state: "approved" })
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
    insert into mahalla.payout (tenant_id, id, case_id, rule, attempt, principal_id, decided_by, rail, payee_kind, payee, payee_sealed, amount, currency, state, created_at, changed_at)
    values (${tenantId}, ${id}, ${caseId}, ${rule}, ${attempt}, ${principalId}, ${actor.id}, ${rail ?? ""}, 'phone', '', ${sealed}, ${amount},
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
  yield* begin(payout)
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
    select id from mahalla.payout
    where tenant_id = ${tenantId} and state in ('approved', 'requested') and currency = ${currency} order by state, id limit 1000`
  for (const { id } of waiting) {
    const payout = yield* loadPayout(id, true)
    const goes =
      payout?.state === "approved"
        ? yield* proceed(payout)
        : payout?.state === "requested"
          ? yield* begin(payout)
          : true
    if (!goes) break
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

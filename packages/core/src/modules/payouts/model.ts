/**
 * Accounts, transfers, payouts, and what happens to them. Amounts are `bigint` minor units; in events text, because sums outgrow the numbers of
 * some languages.
 */
import * as Schema from "effect/Schema"
import { defineEvent } from "../../kernel/events/Event.ts"

/**
 * `funding`: where the city's money comes from. `budget`: what may be paid from. `liability`: what is owed to citizens and not paid yet.
 * `clearing`: what a rail has paid out for us and is not yet settled with it. `fees`: what rails cost. `suspense`: money whose place a person must still decide.
 */
export type AccountKind = "funding" | "budget" | "liability" | "clearing" | "fees" | "suspense"

export interface Account {
  readonly id: string
  readonly kind: AccountKind
  /** Tells apart accounts of one kind: of `clearing` and `fees` the rail, else empty. */
  readonly name: string
  /** ISO 4217. */
  readonly currency: string
  /** May give what it does not have. */
  readonly overdraft: boolean
  readonly balance: bigint
  /** Set aside by reservations that are neither posted nor void. */
  readonly reserved: bigint
}

/** `direct` moves; `reserve` sets aside; `post` moves what was set aside; `void` releases it. */
export type TransferKind = "direct" | "reserve" | "post" | "void"

export type PayoutState =
  "requested" | "approved" | "reserved" | "submitting" | "succeeded" | "failed" | "unknown" | "manual" | "returned"

/**
 * Where a payout may go; the database keeps to it too. `requested` waits for an approval, `approved` for the budget. `unknown` ends by the rail's word about this id or by a person, never by itself.
 * `submitting` goes back to `reserved` only when the rail surely did nothing; what is `reserved` may be refused by a person.
 */
export const nextStates: Readonly<Record<PayoutState, ReadonlyArray<PayoutState>>> = {
  requested: ["approved", "failed", "manual"],
  approved: ["reserved", "failed", "manual"],
  reserved: ["submitting", "failed"],
  submitting: ["succeeded", "failed", "unknown", "reserved"],
  unknown: ["succeeded", "failed", "manual"],
  manual: ["succeeded", "failed"],
  succeeded: ["returned"],
  failed: [],
  returned: []
}

export interface Payout {
  /** Ours; the rail knows the payment by it. */
  readonly id: string
  readonly caseId: string
  /** What was decided to be paid for, as `share-of-fine`: one payout per case and rule. */
  readonly rule: string
  /** Counts up each time a failed one is tried again under a new id. */
  readonly attempt: number
  readonly principalId: string
  /** Who decided it; null: the engine. */
  readonly decidedBy: string | null
  /** Who approved it; null: nobody had to, or nobody has. */
  readonly approvedBy: string | null
  /** Instance of the rail; empty when the city had none. */
  readonly rail: string
  readonly payeeKind: "phone" | "card-token"
  /** E.164 or the rail's token. Personal data. Empty when none was known. */
  readonly payee: string
  readonly amount: bigint
  readonly currency: string
  readonly state: PayoutState
  /** The reserve transfer; null while nothing was set aside. */
  readonly pendingId: string | null
  /** The rail's name of the payment. */
  readonly reference: string | null
  /** For staff: why it stands as it does. */
  readonly detail: string | null
  readonly createdAt: Date
  readonly changedAt: Date
}

/** What events say of a payout. */
export const factsOf = (payout: Payout) => ({
  payoutId: payout.id,
  principalId: payout.principalId,
  amount: String(payout.amount),
  currency: payout.currency,
  rail: payout.rail
})

const facts = {
  payoutId: Schema.String,
  principalId: Schema.String,
  amount: Schema.String,
  currency: Schema.String,
  rail: Schema.String
}

export const PayoutRequested = defineEvent({
  id: "payouts.requested",
  payload: Schema.Struct({ ...facts, rule: Schema.String })
})
export const PayoutApproved = defineEvent({
  id: "payouts.approved",
  payload: Schema.Struct(facts)
})
export const PayoutSucceeded = defineEvent({
  id: "payouts.succeeded",
  payload: Schema.Struct({ ...facts, reference: Schema.String })
})
export const PayoutFailed = defineEvent({
  id: "payouts.failed",
  payload: Schema.Struct({ ...facts, detail: Schema.String })
})
/** A payment that had succeeded came back: the rail says so in its register. */
export const PayoutReturned = defineEvent({
  id: "payouts.returned",
  payload: Schema.Struct({ ...facts, reference: Schema.String })
})
/** A payment that counted as failed was made after all: it is in the suspense account, and somebody must look. */
export const PayoutContradicted = defineEvent({
  id: "payouts.contradicted",
  payload: Schema.Struct({ ...facts, reference: Schema.String })
})
export const PayoutUnknown = defineEvent({
  id: "payouts.unknown",
  payload: Schema.Struct({ ...facts, detail: Schema.String })
})
/** Not sent yet: this person is paid more often than is likely. It goes on by itself when the day allows; staff is alerted. */
export const PayoutHeld = defineEvent({
  id: "payouts.held",
  payload: Schema.Struct({ ...facts, perDay: Schema.String })
})
/** It goes elsewhere than the person's last one. `newDevice`: they had come on a new device shortly before; it waits, and staff is alerted. */
export const PayeeChanged = defineEvent({
  id: "payouts.payee-changed",
  payload: Schema.Struct({
    payoutId: Schema.String,
    principalId: Schema.String,
    payee: Schema.String,
    newDevice: Schema.Boolean
  }),
  personal: ["payee"]
})
/** Somebody has moved money between accounts to correct a mistake. */
export const LedgerCorrected = defineEvent({
  id: "payouts.ledger-corrected",
  payload: Schema.Struct({
    transferId: Schema.String,
    amount: Schema.String,
    currency: Schema.String,
    memo: Schema.String
  })
})
export const BudgetFunded = defineEvent({
  id: "payouts.budget-funded",
  payload: Schema.Struct({ amount: Schema.String, currency: Schema.String, memo: Schema.String })
})

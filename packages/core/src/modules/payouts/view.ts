/** What the API shows of a payout. */
import * as Schema from "effect/Schema"
import { Id } from "../../kernel/ids.ts"
import type { Payout } from "./model.ts"

/** Minor units as text: sums outgrow the numbers of some languages. */
export const Amount = Schema.String.check(Schema.isPattern(/^[1-9]\d{0,14}$/)).annotate({ description: "Minor units" })

export const PayoutView = Schema.Struct({
  id: Id,
  caseId: Id,
  rule: Schema.String,
  amount: Schema.String,
  currency: Schema.String,
  state: Schema.String,
  /** The last two digits only. */
  payee: Schema.String,
  rail: Schema.String,
  /** Who approved it, where somebody had to. */
  approvedBy: Schema.NullOr(Id),
  reference: Schema.NullOr(Schema.String),
  detail: Schema.NullOr(Schema.String),
  createdAt: Schema.String,
  changedAt: Schema.String
}).annotate({ identifier: "Payout" })

export const viewOf = (payout: Payout) => ({
  id: payout.id,
  caseId: payout.caseId,
  rule: payout.rule,
  amount: String(payout.amount),
  currency: payout.currency,
  state: payout.state,
  payee: payout.payee === "" ? "" : `…${payout.payee.slice(-2)}`,
  rail: payout.rail,
  approvedBy: payout.approvedBy,
  reference: payout.reference,
  detail: payout.detail,
  createdAt: payout.createdAt.toISOString(),
  changedAt: payout.changedAt.toISOString()
})

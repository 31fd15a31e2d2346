/** Four eyes: a payout above the tenant's limit is approved by somebody who has not decided it and does not get it. */
import * as Effect from "effect/Effect"
import { Refused } from "../../kernel/cases/model.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { factsOf, type Payout, PayoutApproved } from "./model.ts"
import { movePayout } from "./sql.ts"

export const needsApproval = Effect.fnUntraced(function* ({ amount }: Pick<Payout, "amount">) {
  const above = (yield* tenantSettings).payouts?.approveAbove
  return above !== undefined && amount > BigInt(above)
})

/** For a locked payout. Refused as `not-open` where it waits for no approval, and as `four-eyes` to those whose own it is. */
export const approve = Effect.fn("payouts.approve")(function* (payout: Payout) {
  const { id } = yield* Actor
  if (payout.state !== "requested")
    return yield* new Refused({
      code: "not-open",
      message: `The payout is ${payout.state}; only one that is requested waits for an approval.`
    })
  if (id === null || id === payout.decidedBy || id === payout.principalId)
    return yield* new Refused({
      code: "four-eyes",
      message: "Somebody else must approve it: not who decided it, and not who gets it."
    })
  yield* movePayout(payout, "approved", { approvedBy: id })
  yield* appendEvent(PayoutApproved, factsOf(payout), { caseId: payout.caseId, actorId: id })
  return { ...payout, state: "approved", approvedBy: id } as const
})

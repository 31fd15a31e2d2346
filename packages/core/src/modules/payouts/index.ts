/**
 * Rewards to citizens out of a budget, through whatever payment rail the city has, on a double-entry ledger. Use it wherever a decision pays somebody.
 */
import * as Layer from "effect/Layer"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { PayoutsApi, payoutsApiLayer } from "./api.ts"
import { payJob, recoverPayouts } from "./jobs.ts"
import { reconcileJob, reconcileRails } from "./reconcile.ts"
import {
  BudgetFunded,
  LedgerCorrected,
  PayeeChanged,
  PayoutApproved,
  PayoutContradicted,
  PayoutFailed,
  PayoutHeld,
  PayoutRequested,
  PayoutReturned,
  PayoutSucceeded,
  PayoutUnknown
} from "./model.ts"
import { payoutsMigrations } from "./migrations.ts"
import { payoutsOfPerson } from "./people.ts"
import { sealedPayees } from "./sealed.ts"
import { TreasuryApi, treasuryApiLayer } from "./treasuryApi.ts"

export { unbalanced } from "./ledger.ts"
export { PayoutSucceeded } from "./model.ts"
export { fundBudget, requestReward, type RewardRequest } from "./rewards.ts"

export const payouts = (): Module =>
  defineModule({
    id: "payouts",
    events: [
      PayoutRequested,
      PayoutApproved,
      PayoutSucceeded,
      PayoutFailed,
      PayoutUnknown,
      PayoutHeld,
      PayoutReturned,
      PayoutContradicted,
      PayeeChanged,
      BudgetFunded,
      LedgerCorrected
    ],
    jobs: [payJob, reconcileJob],
    schedules: [
      { id: "payouts.recover", cron: "*/10 * * * *", run: recoverPayouts },
      { id: "payouts.reconcile", cron: "15 4 * * *", run: reconcileRails }
    ],
    permissions: ["payout.read", "payout.settle", "payout.approve", "account.read", "account.fund", "account.correct"],
    migrations: payoutsMigrations,
    sealed: [sealedPayees],
    people: [payoutsOfPerson],
    api: {
      definition: PayoutsApi.addHttpApi(TreasuryApi),
      layer: Layer.merge(payoutsApiLayer, treasuryApiLayer)
    }
  })

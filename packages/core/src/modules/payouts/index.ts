/**
 * Rewards to citizens out of a budget, through whatever payment rail the city has, on a double-entry ledger. Use it wherever a decision pays somebody.
 */
import { readMigration } from "../../kernel/db/Migration.ts"
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { PayoutsApi, payoutsApiLayer } from "./api.ts"
import { payJob, recoverPayouts } from "./jobs.ts"
import {
  BudgetFunded,
  PayeeChanged,
  PayoutFailed,
  PayoutHeld,
  PayoutRequested,
  PayoutSucceeded,
  PayoutUnknown
} from "./model.ts"
import { payoutsOfPerson } from "./people.ts"
import { sealedPayees } from "./sealed.ts"

export { unbalanced } from "./ledger.ts"
export { PayoutSucceeded } from "./model.ts"
export { fundBudget, requestReward, type RewardRequest } from "./rewards.ts"

export const payouts = (): Module =>
  defineModule({
    id: "payouts",
    events: [PayoutRequested, PayoutSucceeded, PayoutFailed, PayoutUnknown, PayoutHeld, PayeeChanged, BudgetFunded],
    jobs: [payJob],
    schedules: [{ id: "payouts.recover", cron: "*/10 * * * *", run: recoverPayouts }],
    permissions: ["payout.read", "payout.settle", "account.read", "account.fund"],
    migrations: ["0001_payouts.sql", "0002_payee.breaking.sql", "0003_refuse-reserved.sql"].map((file) =>
      readMigration("payouts", new URL(`./migrations/${file}`, import.meta.url))
    ),
    sealed: [sealedPayees],
    people: [payoutsOfPerson],
    api: { definition: PayoutsApi, layer: payoutsApiLayer }
  })

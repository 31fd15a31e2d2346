/** A paid reward closes its violation. */
import * as Effect from "effect/Effect"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PayoutSucceeded } from "../payouts/index.ts"
import type { Erased } from "../../kernel/Erased.ts"

export const rewardConsumer: Consumer<unknown, Erased> = {
  id: "reports.rewarded",
  types: [PayoutSucceeded.id],
  handle: (event) =>
    Effect.gen(function* () {
      const { tenantId } = yield* TenantTx
      if (event.caseId === null) return
      const violation = yield* loadCase(event.caseId, { lock: true })
      if (violation.type !== "traffic-violation" || violation.state !== "accepted") return
      yield* Effect.provideService(
        transitionCase({ caseId: violation.id, transition: "reward" }),
        Actor,
        system(tenantId)
      )
    })
}

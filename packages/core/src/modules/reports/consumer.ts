/** What happens elsewhere and concerns a report. */
import * as Effect from "effect/Effect"
import { AttachmentStored } from "../../kernel/attachments/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PayoutSucceeded } from "../payouts/index.ts"
import type { Erased } from "../../kernel/Erased.ts"

/** A file that was sent to a report which is there already gets its copies too. */
export const lateFileConsumer: Consumer<unknown, Erased> = {
  id: "reports.late-file",
  types: [AttachmentStored.id],
  handle: (event) =>
    Effect.gen(function* () {
      const { attachmentId, role } = event.payload as typeof AttachmentStored.payload.Type
      if (event.caseId === null || role !== "original") return
      const report = yield* loadCase(event.caseId)
      if (report.type !== "traffic-report") return
      yield* enqueue([
        {
          topic: "reports.detect",
          body: { caseId: report.id, attachmentId },
          uniqueKey: `late:${attachmentId}`
        }
      ])
    })
}

/** A paid reward closes its violation. */
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

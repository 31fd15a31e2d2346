/** What happens elsewhere and concerns a report. */
import * as Effect from "effect/Effect"
import { AttachmentStored } from "../../kernel/attachments/model.ts"
import { addComment } from "../../kernel/cases/comments.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { FilingDecided } from "../filings/index.ts"
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
      if (violation.type !== "traffic-violation" || !["accepted", "fined"].includes(violation.state)) return
      yield* Effect.provideService(
        transitionCase({ caseId: violation.id, transition: "reward" }),
        Actor,
        system(tenantId)
      )
    })
}

/** Words for the inspector where money was promised for what an authority has dismissed after all. */
const reversedLate =
  "The authority has reversed its decision: it was dismissed. The reward was asked for already; look at its payout."

/** What an authority has decided about a violation is the violation's fate. */
export const decisionConsumer: Consumer<unknown, Erased> = {
  id: "reports.decided",
  types: [FilingDecided.id],
  handle: (event) =>
    Effect.gen(function* () {
      const { tenantId } = yield* TenantTx
      const { currency, fine, kind, reference, verdict } = event.payload as typeof FilingDecided.payload.Type
      if (event.caseId === null || kind !== "traffic-violation") return
      const violation = yield* loadCase(event.caseId, { lock: true })
      const settings = yield* tenantSettings
      // A fine in other money than the city's says nothing of the share.
      const imposed = fine !== null && currency === settings.currency ? { fine: Number(fine) } : {}
      const decision = reference === null ? {} : { decision: reference }
      const { id: caseId, state } = violation
      const step =
        verdict === "fined" && (state === "accepted" || state === "dismissed")
          ? transitionCase({ caseId, transition: "fine", input: { ...imposed, ...decision } })
          : verdict === "dismissed" && state === "accepted"
            ? transitionCase({ caseId, transition: "dismiss", input: decision })
            : verdict === "dismissed" && (state === "fined" || state === "rewarded")
              ? addComment({ caseId, visibility: "internal", text: reversedLate })
              : Effect.void
      yield* Effect.provideService(step as Effect.Effect<unknown, Erased, Erased>, Actor, system(tenantId))
    })
}

/** The kernel's own job: what a passed deadline does. */
import * as Effect from "effect/Effect"
import { transitionCase } from "../cases/transition.ts"
import { withTenant } from "../db/Database.ts"
import { defineJob } from "../jobs/Job.ts"
import { DeadlineBody, deadlineTopic, runDeadline } from "./deadlines.ts"

export const deadlineJob = defineJob({
  topic: deadlineTopic,
  payload: DeadlineBody,
  run: (body, job) =>
    withTenant(job.tenantId)(
      runDeadline(body, (record, transition, input) =>
        // The case cannot go that way any more: the deadline has nothing to do.
        Effect.catchTag(transitionCase({ caseId: record.id, transition, input }), "WrongState", () => Effect.void)
      )
    ).pipe(
      // The case was erased in between.
      Effect.catchTag("NotFound", () => Effect.void),
      Effect.asVoid
    )
})

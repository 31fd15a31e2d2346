/**
 * From a submitted report to one in review: findings first, then the copies that people see, then proposed violations. Each job may run
 * twice; whatever cannot be read becomes a note for the inspector instead of a report that is stuck, and has no copy.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import type { Attachment } from "../../kernel/attachments/model.ts"
import { addComment } from "../../kernel/cases/comments.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { defineJob, type JobInfo } from "../../kernel/jobs/Job.ts"
import { EncoderError } from "../../ports/Encoder.ts"
import { proposeViolation } from "./cases.ts"
import { makeCopies } from "./copies.ts"
import { lookAt } from "./detect.ts"
import { platesIn } from "./plates.ts"
import { findingsOf, openViolations } from "./sql.ts"

/** Tries with a medium after which the inspector is told instead. The jobs have more: a database that was away is no fault of the medium. */
const tries = { encode: 6, detect: 4 } as const

/** A failure that no retry cures, or the last try: said to the inspector in words. */
const isFinal = (error: unknown, job: JobInfo, most: number) =>
  job.attempt >= most || (error instanceof EncoderError && !error.retryable)

const describe = (attachment: Attachment, error: unknown) =>
  `${attachment.name ?? attachment.id}: ${error instanceof Error ? error.message : String(error)}`.slice(0, 400)

/** Nobody knows what its copies would have to hide. */
const hiddenWhole = "No copy was made of it, for faces and plates in it are not known; open the original."

/** Evidence that came when the report was past this, or was merged before: the inspector hears of it in the case. */
const noteProblems = (caseId: string, problems: ReadonlyArray<string>) =>
  problems.length === 0
    ? Effect.void
    : Effect.asVoid(addComment({ caseId, visibility: "internal", text: problems.join("\n").slice(0, 4000) }))

const copiesOf = (all: ReadonlyArray<Attachment>, original: Attachment) =>
  all.filter((one) => one.derivedFrom === original.id)
const isCopied = (all: ReadonlyArray<Attachment>, original: Attachment) =>
  copiesOf(all, original).some(({ kind }) => kind === "poster")

/**
 * Looks at originals that have no copies yet. An original that no detector could look at gets none: they might show what nobody may
 * see. Who took their report back has nothing looked at.
 */
export const detectJob = defineJob({
  topic: "reports.detect",
  /** `attachmentId`: only this one, that came when the others had been looked at. */
  payload: Schema.Struct({ caseId: Schema.String, attachmentId: Schema.optional(Schema.String) }),
  timeout: 15 * 60_000,
  concurrency: 1,
  run: ({ attachmentId, caseId }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const report = yield* inside(loadCase(caseId))
      if (report.state === "submitted") yield* inside(transitionCase({ caseId, transition: "process" }))
      else if (report.state === "withdrawn") return
      const all = yield* (yield* Attachments).forCase(caseId)
      const found = new Set((yield* inside(findingsOf(caseId))).map((finding) => finding.attachment_id))
      // While the report waits for its other files, a late one must not finish it without them.
      const only = report.state === "submitted" || report.state === "processing" ? undefined : attachmentId
      const problems: Array<string> = []
      const seen: Array<string> = []
      for (const attachment of all) {
        if (attachment.role !== "original" || isCopied(all, attachment)) continue
        if (only !== undefined && attachment.id !== only) continue
        const moment = report.data["moment"] as number | undefined
        const looked = found.has(attachment.id)
          ? Effect.void
          : lookAt({ tenantId: job.tenantId, caseId, attachment, moment })
        yield* looked.pipe(
          Effect.andThen(Effect.sync(() => seen.push(attachment.id))),
          Effect.catch((error) =>
            isFinal(error, job, tries.detect)
              ? Effect.sync(() => problems.push(`${describe(attachment, error)} ${hiddenWhole}`))
              : Effect.fail(error)
          )
        )
      }
      // The key: this job may run twice.
      yield* inside(enqueue([{ topic: "reports.process", body: { caseId, seen, problems }, uniqueKey: job.id }]))
    })
})

/** Everything is looked at and copied: propose violations and hand the report to the inspectors; once, however often this runs. */
const finish = Effect.fn("reports.finish")(function* (caseId: string, problems: ReadonlyArray<string>) {
  const report = yield* loadCase(caseId, { lock: true })
  if (report.state !== "processing") return yield* noteProblems(caseId, problems)
  const proposed = platesIn(yield* findingsOf(caseId), report.data["plate"] as string | undefined)
  if ((yield* openViolations(caseId)).length === 0) {
    for (const plate of proposed) {
      yield* proposeViolation(report, {
        offence: String(report.data["offence"]),
        plate: plate.text,
        plateCountry: plate.country,
        moment: plate.at ?? (report.data["moment"] as number | undefined),
        findingId: plate.findingId
      })
    }
  }
  yield* transitionCase({
    caseId,
    transition: "review",
    input: problems.length === 0 ? {} : { mediaProblem: problems.join("\n").slice(0, 4000) }
  })
})

/** Copies that are there already are not made again. */
export const encodeJob = defineJob({
  topic: "reports.process",
  payload: Schema.Struct({
    caseId: Schema.String,
    /** Originals that were looked at. */
    seen: Schema.Array(Schema.String),
    problems: Schema.Array(Schema.String)
  }),
  timeout: 30 * 60_000,
  concurrency: 1,
  run: ({ caseId, problems: earlier, seen }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const report = yield* inside(loadCase(caseId))
      if (report.state === "withdrawn") return
      const all = yield* (yield* Attachments).forCase(caseId)
      const findings = yield* inside(findingsOf(caseId))
      const named = report.data["plate"] as string | undefined
      const problems = [...earlier]
      for (const original of all) {
        if (!seen.includes(original.id) || isCopied(all, original)) continue
        yield* makeCopies({
          tenantId: job.tenantId,
          original,
          made: copiesOf(all, original),
          findings: findings.filter((finding) => finding.attachment_id === original.id),
          about: platesIn(findings, named).flatMap(({ text }) => (text === undefined ? [] : [text])),
          moment: report.data["moment"] as number | undefined
        }).pipe(
          Effect.catch((error) =>
            isFinal(error, job, tries.encode)
              ? Effect.sync(() => problems.push(describe(original, error)))
              : Effect.fail(error)
          )
        )
      }
      yield* inside(finish(caseId, problems))
    })
})

/** Closes a report whose violations are all decided. */
export const settleJob = defineJob({
  topic: "reports.settle",
  payload: Schema.Struct({ reportId: Schema.String }),
  run: ({ reportId }, job) =>
    withTenant(job.tenantId)(
      Effect.gen(function* () {
        const report = yield* loadCase(reportId, { lock: true })
        if (report.state !== "in-review" || (yield* openViolations(reportId)).length > 0) return
        yield* transitionCase({ caseId: reportId, transition: "settle" })
      })
    )
})

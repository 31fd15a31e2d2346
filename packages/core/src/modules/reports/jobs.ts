/**
 * From a submitted report to one in review: standard copies, poster and frames, then findings, then proposed violations. Each job may run twice;
 * whatever cannot be read becomes a note for the inspector instead of a report that is stuck.
 */
import { createReadStream } from "node:fs"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import type { Attachment } from "../../kernel/attachments/model.ts"
import { addComment } from "../../kernel/cases/comments.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { defineJob, type JobInfo } from "../../kernel/jobs/Job.ts"
import { Detector, DetectorError, type Finding } from "../../ports/Detector.ts"
import { Encoder, EncoderError, type MediaInfo } from "../../ports/Encoder.ts"
import { proposeViolation } from "./cases.ts"
import { platesIn } from "./plates.ts"
import { findingsOf, openViolations, storeFindings } from "./sql.ts"
import { workFolder } from "./workFolder.ts"

const CasePayload = Schema.Struct({ caseId: Schema.String })

const fileStream = (path: string) =>
  Stream.fromAsyncIterable(
    createReadStream(path) as AsyncIterable<Uint8Array>,
    (cause) => new Error(`Reading ${path} failed`, { cause })
  )

const stored = Effect.fnUntraced(function* (
  attachment: Attachment,
  kind: string,
  path: string,
  mediaType: string,
  metadata: Readonly<Record<string, unknown>>
) {
  const attachments = yield* Attachments
  const ending = mediaType === "video/mp4" ? "mp4" : "jpg"
  return yield* attachments.addDerived({
    from: attachment.id,
    kind,
    name: `${kind}.${ending}`,
    mediaType,
    stream: fileStream(path),
    metadata
  })
})

const infoOf = (info: MediaInfo) => ({ width: info.width, height: info.height, duration: info.duration })

/** Standard copy and poster of one original. */
const encodeOne = Effect.fn("reports.encodeOne")(function* (attachment: Attachment) {
  const attachments = yield* Attachments
  const encoder = yield* Encoder
  const folder = yield* workFolder
  const input = yield* attachments.toFile(attachment.id, folder)
  const info = yield* encoder.probe(input)
  if (info.kind === "video") {
    const output = join(folder, "standard.mp4")
    const copy = yield* encoder.transcode({ input, output })
    yield* stored(attachment, "standard", output, "video/mp4", { ...infoOf(copy), model: encoder.model })
  }
  const poster = join(folder, "poster.jpg")
  const picture = yield* encoder.poster({ input, output: poster })
  yield* stored(attachment, "poster", poster, "image/jpeg", { ...infoOf(picture), model: encoder.model })
}, Effect.scoped)

/** Tries with a medium after which the inspector is told instead. The jobs have more: a database that was away is no fault of the medium. */
const tries = { encode: 6, detect: 4 } as const

/** A failure that no retry cures, or the last try: said to the inspector in words. */
const isFinal = (error: unknown, job: JobInfo) =>
  job.attempt >= tries.encode || (error instanceof EncoderError && !error.retryable)

const describe = (attachment: Attachment, error: unknown) =>
  `${attachment.name ?? attachment.id}: ${error instanceof Error ? error.message : String(error)}`.slice(0, 400)

/** Evidence that came when the report was past this, or was merged before: the inspector hears of it in the case. */
const noteProblems = (caseId: string, problems: ReadonlyArray<string>) =>
  problems.length === 0
    ? Effect.void
    : Effect.asVoid(addComment({ caseId, visibility: "internal", text: problems.join("\n").slice(0, 4000) }))

/** Copies that are there already are not made again. Who took their report back has no copies made. */
export const encodeJob = defineJob({
  topic: "reports.process",
  payload: CasePayload,
  timeout: 30 * 60_000,
  concurrency: 1,
  run: ({ caseId }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const report = yield* inside(loadCase(caseId))
      if (report.state === "submitted") yield* inside(transitionCase({ caseId, transition: "process" }))
      else if (report.state === "withdrawn") return
      const attachments = yield* Attachments
      const all = yield* attachments.forCase(caseId)
      const problems: Array<string> = []
      for (const original of all.filter((one) => one.role === "original")) {
        if (all.some((one) => one.derivedFrom === original.id && one.kind === "poster")) continue
        yield* encodeOne(original).pipe(
          Effect.catch((error) =>
            isFinal(error, job) ? Effect.sync(() => problems.push(describe(original, error))) : Effect.fail(error)
          )
        )
      }
      yield* inside(
        Effect.gen(function* () {
          const { state } = yield* loadCase(caseId, { lock: true })
          if (state === "processing") yield* enqueue([{ topic: "reports.detect", body: { caseId, problems } }])
          else yield* noteProblems(caseId, problems)
        })
      )
    })
})

/** Frames looked at in a video at most: two a second, then thinner. */
const maxFrames = 24

/** Moments to look at: dense around the one the citizen named, even over the rest. */
export const momentsFor = (duration: number, moment: number | undefined): ReadonlyArray<number> => {
  const last = Math.max(0, duration - 0.1)
  const near = moment === undefined ? [] : [-1, -0.5, 0, 0.5, 1].map((step) => moment + step)
  const rest = maxFrames - near.length
  const step = Math.max(0.5, duration / rest)
  const even = Array.from({ length: Math.floor(last / step) + 1 }, (_, index) => index * step)
  const all = [...near, ...even].map((at) => Math.round(Math.min(Math.max(at, 0), last) * 100) / 100)
  return [...new Set(all)].sort((a, b) => a - b).slice(0, maxFrames)
}

/** Detectors read JPEG and PNG; other pictures are converted first. */
const readable = Effect.fnUntraced(function* (attachment: Attachment, input: string, output: string) {
  if (attachment.mediaType === "image/jpeg" || attachment.mediaType === "image/png") return input
  yield* (yield* Encoder).poster({ input, output })
  return output
})

/** Milliseconds for the detector with one medium: one that hangs must not keep all other reports waiting. */
export const DetectorPatience = Context.Reference<number>("@mahalla/reports/DetectorPatience", {
  defaultValue: () => 120_000
})

const detectOne = Effect.fn("reports.detectOne")(function* (
  caseId: string,
  attachment: Attachment,
  moment: number | undefined,
  job: JobInfo
) {
  const attachments = yield* Attachments
  const encoder = yield* Encoder
  const detector = yield* Detector
  const folder = yield* workFolder
  const input = yield* attachments.toFile(attachment.id, folder)
  const info = yield* encoder.probe(input)
  const frames =
    info.kind === "video"
      ? yield* encoder.frames({ input, directory: folder, at: momentsFor(info.duration, moment) })
      : [{ path: yield* readable(attachment, input, join(folder, "readable.jpg")) }]
  const patience = yield* DetectorPatience
  const findings: ReadonlyArray<Finding> = yield* detector.detect({ frames }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () =>
        Effect.fail(
          new DetectorError({
            reason: "Timeout",
            operation: "detect",
            subject: attachment.id,
            message: `The detector said nothing for ${Math.round(patience / 1000)} seconds. Look at the original.`,
            retryable: true
          })
        )
    })
  )
  // Only frames in which something was found are kept.
  const kept = new Map<number, string>()
  for (const index of new Set(findings.map((finding) => finding.frame))) {
    const frame = frames[index]!
    if (info.kind === "image") continue
    const copy = yield* attachments.addDerived({
      from: attachment.id,
      kind: "frame",
      name: `frame-${String(index).padStart(3, "0")}.jpg`,
      mediaType: "image/jpeg",
      stream: fileStream(frame.path),
      metadata: { at: "at" in frame ? frame.at : null }
    })
    kept.set(index, copy.id)
  }
  yield* withTenant(job.tenantId)(
    storeFindings({
      caseId,
      attachmentId: attachment.id,
      model: detector.model,
      findings: findings.map((finding) => ({ ...finding, frameId: kept.get(finding.frame) ?? null }))
    })
  )
}, Effect.scoped)

/** Everything is looked at: propose violations and hand the report to the inspectors; once, however often this runs. */
const finish = Effect.fn("reports.finish")(function* (caseId: string, problems: ReadonlyArray<string>) {
  const report = yield* loadCase(caseId, { lock: true })
  if (report.state !== "processing") return
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

export const detectJob = defineJob({
  topic: "reports.detect",
  payload: Schema.Struct({ caseId: Schema.String, problems: Schema.Array(Schema.String) }),
  timeout: 15 * 60_000,
  concurrency: 1,
  run: ({ caseId, problems: earlier }, job) =>
    Effect.gen(function* () {
      const inside = withTenant(job.tenantId)
      const report = yield* inside(loadCase(caseId))
      if (report.state !== "processing") return
      const attachments = yield* Attachments
      const all = yield* attachments.forCase(caseId)
      const problems = [...earlier]
      const encoded = all.filter(
        (one) => one.role === "original" && all.some((copy) => copy.derivedFrom === one.id && copy.kind === "poster")
      )
      for (const original of encoded) {
        yield* detectOne(caseId, original, report.data["moment"] as number | undefined, job).pipe(
          Effect.catch((error) =>
            job.attempt >= tries.detect
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

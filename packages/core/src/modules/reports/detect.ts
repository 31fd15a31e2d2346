/** What detectors see in one original, stored as findings; before any copy of it is made, for copies hide some of it. */
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import type { Attachment } from "../../kernel/attachments/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { Detector, type DetectorFrame, DetectorError, type Finding } from "../../ports/Detector.ts"
import { Encoder, type EncoderError, type MediaInfo } from "../../ports/Encoder.ts"
import { momentsFor } from "./moments.ts"
import { storeFindings } from "./sql.ts"
import { workFolder } from "./workFolder.ts"

/** Milliseconds for the detector with one medium: one that hangs must not keep all other reports waiting. */
export const DetectorPatience = Context.Reference<number>("@mahalla/reports/DetectorPatience", {
  defaultValue: () => 120_000
})

/** What the detector gets, and how many pixels of the original one of its pixels stands for. */
interface Looked {
  readonly frames: ReadonlyArray<DetectorFrame>
  readonly scale: number
}

/** Frames of a video; a photograph as it is, or as JPEG where detectors do not read its kind. */
const framesOf = Effect.fnUntraced(function* (
  attachment: Attachment,
  info: MediaInfo,
  files: { readonly input: string; readonly folder: string },
  moment: number | undefined
): Effect.fn.Return<Looked, EncoderError, Encoder> {
  const { folder, input } = files
  const encoder = yield* Encoder
  if (info.kind === "video")
    return {
      frames: yield* encoder.frames({ input, directory: folder, at: momentsFor(info.duration, moment) }),
      scale: 1
    }
  if (attachment.mediaType === "image/jpeg" || attachment.mediaType === "image/png")
    return { frames: [{ path: input }], scale: 1 }
  const path = join(folder, "readable.jpg")
  const smaller = yield* encoder.poster({ input, output: path })
  return { frames: [{ path }], scale: info.width / smaller.width }
})

const timedOut = (attachment: Attachment, patience: number) =>
  Effect.fail(
    new DetectorError({
      reason: "Timeout",
      operation: "detect",
      subject: attachment.id,
      message: `The detector said nothing for ${Math.round(patience / 1000)} seconds. Look at the original.`,
      retryable: true
    })
  )

const scaled = (finding: Finding, scale: number): Finding =>
  scale === 1
    ? finding
    : {
        ...finding,
        box: {
          x: finding.box.x * scale,
          y: finding.box.y * scale,
          width: finding.box.width * scale,
          height: finding.box.height * scale
        }
      }

/** A finding without its moment would be hidden at the wrong one: its frame knows. */
const timed = (finding: Finding, frames: ReadonlyArray<DetectorFrame>): Finding => {
  const at = frames[finding.frame]?.at
  return at === undefined ? finding : { ...finding, at }
}

/** Looks at an original and stores what was found, in pixels of the original. */
export const lookAt = Effect.fn("reports.lookAt")(function* (options: {
  readonly tenantId: string
  readonly caseId: string
  readonly attachment: Attachment
  /** Seconds: the one that the citizen named. */
  readonly moment: number | undefined
}) {
  const { attachment, caseId } = options
  const detector = yield* Detector
  const folder = yield* workFolder
  const input = yield* (yield* Attachments).toFile(attachment.id, folder)
  const info = yield* (yield* Encoder).probe(input)
  const { frames, scale } = yield* framesOf(attachment, info, { input, folder }, options.moment)
  const patience = yield* DetectorPatience
  const findings = yield* detector
    .detect({ frames })
    .pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => timedOut(attachment, patience) }))
  yield* withTenant(options.tenantId)(
    storeFindings({
      caseId,
      attachmentId: attachment.id,
      model: detector.model,
      findings: findings.map((finding) => timed(scaled(finding, scale), frames))
    })
  )
}, Effect.scoped)

/** The copies of one original that people see, with what they must not see hidden: standard copy, poster, frames in which plates were read. */
import { createReadStream } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import type { Attachment } from "../../kernel/attachments/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { Encoder, type MediaInfo } from "../../ports/Encoder.ts"
import type { FindingRow } from "./model.ts"
import { momentsFor } from "./moments.ts"
import { frameRegions, movingRegions, type Sorted, sortOut, stillRegions } from "./regions.ts"
import { frameOfFindings } from "./sql.ts"
import { workFolder } from "./workFolder.ts"

const fileStream = (path: string) =>
  Stream.fromAsyncIterable(
    createReadStream(path) as AsyncIterable<Uint8Array>,
    (cause) => new Error(`Reading ${path} failed`, { cause })
  )

const stored = Effect.fnUntraced(function* (
  from: Attachment,
  kind: "standard" | "poster" | "frame",
  file: { readonly name: string; readonly path: string },
  metadata: Readonly<Record<string, unknown>>
) {
  return yield* (yield* Attachments).addDerived({
    from: from.id,
    kind,
    name: file.name,
    mediaType: kind === "standard" ? "video/mp4" : "image/jpeg",
    stream: fileStream(file.path),
    metadata
  })
})

const infoOf = (info: MediaInfo) => ({ width: info.width, height: info.height, duration: info.duration })

export interface CopiesOf {
  readonly tenantId: string
  readonly original: Attachment
  /** Copies of it that are there already: they are not made again. */
  readonly made: ReadonlyArray<Attachment>
  /** All that was found in it. */
  readonly findings: ReadonlyArray<FindingRow>
  /** Plates the report is about; all others are hidden. */
  readonly about: ReadonlyArray<string>
  /** Seconds: the one that the citizen named. */
  readonly moment: number | undefined
}

/** Frames of a video with a plate that was read, for the inspector to compare. */
const keepFrames = Effect.fnUntraced(function* (copies: CopiesOf, input: string, sorted: Sorted<FindingRow>) {
  const { findings, original, tenantId } = copies
  const waiting = findings.filter(({ frame_id: frame, text }) => text !== null && frame === null)
  const moments = [...new Set(waiting.flatMap(({ at }) => (at === null ? [] : [at])))].sort((a, b) => a - b)
  if (moments.length === 0) return
  const encoder = yield* Encoder
  const directory = yield* workFolder
  const frames = yield* encoder.frames({ input, directory, at: moments, blur: frameRegions(sorted) })
  for (const { at, path } of frames) {
    const name = `frame-${at.toFixed(2)}.jpg`
    // An earlier try may have ended between the frame and its naming.
    const before = copies.made.find((one) => one.kind === "frame" && one.name === name)
    const frame = before ?? (yield* stored(original, "frame", { name, path }, { at, model: encoder.model }))
    yield* withTenant(tenantId)(frameOfFindings({ attachmentId: original.id, at, frameId: frame.id }))
  }
})

/** The poster comes last: where it is, everything is. */
export const makeCopies = Effect.fn("reports.makeCopies")(function* (copies: CopiesOf) {
  const { findings, made, original } = copies
  const encoder = yield* Encoder
  const folder = yield* workFolder
  const input = yield* (yield* Attachments).toFile(original.id, folder)
  const info = yield* encoder.probe(input)
  const sorted = sortOut(findings, copies.about)
  const hides = { hidden: sorted.hidden.length, model: encoder.model }
  const poster = join(folder, "poster.jpg")
  if (info.kind === "image") {
    const picture = yield* encoder.poster({ input, output: poster, blur: stillRegions(sorted) })
    yield* stored(original, "poster", { name: "poster.jpg", path: poster }, { ...infoOf(picture), ...hides })
    return
  }
  const standard = join(folder, "standard.mp4")
  const blur = movingRegions(sorted, momentsFor(info.duration, copies.moment))
  // Also where the copy is there already: the poster is taken from it.
  const copy = yield* encoder.transcode({ input, output: standard, blur })
  if (!made.some(({ kind }) => kind === "standard"))
    yield* stored(original, "standard", { name: "standard.mp4", path: standard }, { ...infoOf(copy), ...hides })
  yield* keepFrames(copies, input, sorted)
  // Of the copy, in which everything is hidden for as long as it is seen and no longer.
  const picture = yield* encoder.poster({ input: standard, output: poster })
  yield* stored(original, "poster", { name: "poster.jpg", path: poster }, { ...infoOf(picture), ...hides })
}, Effect.scoped)

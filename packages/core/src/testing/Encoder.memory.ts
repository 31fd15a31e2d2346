/**
 * An encoder without a decoder: its media are small files that say of themselves what they would be, in the shape of real ones (boxes of
 * MP4, segments of JPEG). For tests of whatever encodes through the port.
 */
import { randomUUID } from "node:crypto"
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type BlurRegion,
  Encoder,
  EncoderError,
  type EncoderReason,
  maxBlurRegions,
  type MediaInfo
} from "../ports/Encoder.ts"
import { box, segment } from "./mediaFiles.ts"

/** What a pretended medium would be. Sizes as stored; `turned` says that they are shown the other way round. */
export interface PretendedMedium {
  readonly kind: "video" | "image" | "sound"
  readonly width: number
  readonly height: number
  readonly duration?: number
  readonly frameRate?: number
  readonly turned?: boolean
  /** Regions that were blurred over the whole of it, as seconds from and to. */
  readonly hidden?: ReadonlyArray<readonly [from: number, to: number]>
  /** Metadata, as a place or an owner. */
  readonly about?: string
}

const label = "mahalla-pretended:"

/** The bytes of a pretended medium: MP4 for video and sound, JPEG for pictures. */
export const pretendedMedium = (medium: PretendedMedium): Uint8Array => {
  const text = label + JSON.stringify(medium)
  if (medium.kind !== "image")
    return Buffer.concat([box("ftyp", "isom\0\0\0\0isom"), box("moov", text), box("mdat", "\0\0\0\0")])
  // A picture with nothing to see in it takes less room.
  const seen =
    medium.hidden === undefined || medium.hidden.length === 0 ? segment(0xfffe, "detail ".repeat(100)) : Buffer.alloc(0)
  const frame = Buffer.from([8, medium.height >> 8, medium.height & 255, medium.width >> 8, medium.width & 255, 0])
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xfffe, text),
    segment(0xffc0, frame),
    seen,
    Buffer.from([0xff, 0xd9])
  ])
}

const mostPixels = 120_000_000
const next: Record<EncoderReason, string> = {
  NotMedia: "Send another file.",
  NoVideo: "Send a video.",
  TooLarge: "Send a smaller one.",
  Refused: "Send the recording itself.",
  Timeout: "It is tried again.",
  Unavailable: "It is tried again.",
  Full: "Free some space; it is tried again."
}

const failure = (reason: EncoderReason, operation: string, path: string, cause?: unknown) =>
  new EncoderError({
    reason,
    operation,
    subject: basename(path),
    message: `${basename(path)} was not accepted (${reason}). ${next[reason]}`,
    retryable: ["Timeout", "Unavailable", "Full"].includes(reason),
    ...(cause === undefined ? {} : { cause })
  })

const onDisk = <A>(operation: string, path: string, step: () => Promise<A>) =>
  Effect.tryPromise({ try: step, catch: (cause) => failure("Unavailable", operation, path, cause) })

const read = Effect.fnUntraced(function* (operation: string, path: string) {
  const text = (yield* onDisk(operation, path, () => readFile(path))).toString("latin1")
  if (text.startsWith("#EXTM3U")) return yield* failure("Refused", operation, path)
  const found = /mahalla-pretended:(\{[^}]*\})/.exec(text)?.[1]
  if (found === undefined) return yield* failure("NotMedia", operation, path)
  const medium = JSON.parse(found) as PretendedMedium
  if (medium.kind === "sound") return yield* failure("NoVideo", operation, path)
  if (medium.width * medium.height > mostPixels) return yield* failure("TooLarge", operation, path)
  return medium.turned === true ? { ...medium, width: medium.height, height: medium.width } : medium
})

const infoOf = (medium: PretendedMedium): MediaInfo =>
  medium.kind === "image"
    ? { kind: "image", container: "jpeg", ...sizeOf(medium), duration: 0, frameRate: 0, videoCodec: "mjpeg" }
    : {
        kind: "video",
        container: "mp4",
        ...sizeOf(medium),
        duration: medium.duration ?? 0,
        frameRate: medium.frameRate ?? 25,
        videoCodec: "h264",
        audioCodec: "aac"
      }

const sizeOf = ({ width, height }: PretendedMedium) => ({ width, height })

/** When the whole picture is hidden; smaller regions leave no trace in a medium that only tells of itself. */
const hiddenIn = Effect.fnUntraced(function* (
  operation: string,
  path: string,
  { height, width }: PretendedMedium,
  blur: ReadonlyArray<BlurRegion> = []
) {
  if (blur.length > maxBlurRegions) return yield* failure("TooLarge", operation, path)
  return blur
    .filter(({ box }) => box.x <= 0 && box.y <= 0 && box.x + box.width >= width && box.y + box.height >= height)
    .map(({ from = 0, to = 1e6 }) => [from, to] as const)
})

const inside = (medium: PretendedMedium, most: { readonly width: number; readonly height: number }) => {
  const scale = Math.min(1, most.width / medium.width, most.height / medium.height)
  return { width: 2 * Math.round((medium.width * scale) / 2), height: 2 * Math.round((medium.height * scale) / 2) }
}

/** Writes beside the place and moves there; nothing stays when it fails or is interrupted. */
const place = (operation: string, path: string, medium: PretendedMedium, work: Effect.Effect<void> = Effect.void) =>
  Effect.acquireUseRelease(
    Effect.succeed(join(dirname(path), `.${randomUUID()}`)),
    (part) =>
      onDisk(operation, path, () => writeFile(part, pretendedMedium(medium))).pipe(
        Effect.andThen(work),
        Effect.andThen(onDisk(operation, path, () => rename(part, path))),
        Effect.as(infoOf(medium))
      ),
    (part) => Effect.promise(() => rm(part, { force: true }))
  )

const memory: Encoder["Service"] = {
  model: "memory/1.0.0",
  probe: (path) => Effect.map(read("probe", path), infoOf),
  transcode: Effect.fnUntraced(function* ({ input, output, blur, onProgress }) {
    const medium = yield* read("transcode", input)
    const hidden = yield* hiddenIn("transcode", input, medium, blur)
    if (medium.kind === "image") return yield* failure("NoVideo", "transcode", input)
    const work = Effect.forEach(
      [0, 0.25, 0.5, 0.75],
      (done) =>
        Effect.andThen(
          Effect.sync(() => onProgress?.(done)),
          Effect.yieldNow
        ),
      { discard: true }
    )
    const { kind, duration = 0, frameRate = 25 } = medium
    const size = inside(medium, { width: 2560, height: 720 })
    const info = yield* place(
      "transcode",
      output,
      { kind, ...size, duration, frameRate: Math.min(30, frameRate), hidden },
      work
    )
    onProgress?.(1)
    return info
  }),
  poster: Effect.fnUntraced(function* ({ input, output, blur }) {
    const medium = yield* read("poster", input)
    const hidden = [...(medium.hidden ?? []), ...(yield* hiddenIn("poster", input, medium, blur))]
    return yield* place("poster", output, { kind: "image", ...inside(medium, { width: 1280, height: 720 }), hidden })
  }),
  frames: Effect.fnUntraced(function* ({ input, directory, at, blur }) {
    const medium = yield* read("frames", input)
    const hidden = [...(medium.hidden ?? []), ...(yield* hiddenIn("frames", input, medium, blur))]
    const end = medium.kind === "image" ? Number.MIN_VALUE : (medium.duration ?? 0)
    yield* onDisk("frames", directory, () => mkdir(directory, { recursive: true }))
    return yield* Effect.forEach(
      at.filter((moment) => moment >= 0 && moment < end),
      (moment, index) => {
        const path = join(directory, `${String(index + 1).padStart(4, "0")}.jpg`)
        const now = hidden.filter(([from, to]) => from <= moment && moment <= to)
        return Effect.as(place("frames", path, { kind: "image", ...sizeOf(medium), hidden: now }), { path, at: moment })
      }
    )
  })
}

/** Keeps nothing between calls. */
export const memoryEncoder: Layer.Layer<Encoder> = Layer.succeed(Encoder, Encoder.of(memory))

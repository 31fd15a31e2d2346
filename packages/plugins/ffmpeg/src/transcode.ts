/**
 * The standard copy: H.264 and AAC in MP4, at most 720 lines and 30 pictures a second, ready to play while it loads.
 *
 * `veryfast` at quality 23 on purpose: a 30-second recording of a phone must be copied and read within 30 seconds on two cores, and
 * slower presets save bytes that a copy of half a minute does not need saved.
 */
import { rename, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { BlurRegion, Encoder } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { filters, reading, stripped, workshop } from "./commands.ts"
import { failure, notMedia, onDisk, tooLarge, type Task } from "./errors.ts"
import { fitted } from "./geometry.ts"
import { demandFew, hiding, sinceFirst } from "./hiding.ts"
import { attempt, describe, examine, type Medium, type Shop } from "./medium.ts"

/** A width that no sane recording reaches at 720 lines. */
const box = { width: 2560, height: 720 }

/** A steady rate of at most 30: a phone's 29.87 were meant as 30, a camera's 25 stay 25. */
const steady = (frameRate: number) => (frameRate >= 29 ? 30 : Math.max(1, frameRate))

const clock = /^out_time=(\d+):(\d+):(\d+\.\d+)$/gm

/** Fractions out of ffmpeg's `-progress`, rising, below 1; the 1 is said when the copy is in its place. */
const progress = (duration: number, hear: (done: number) => void) => {
  let pending = ""
  let reached = -1
  return (text: string) => {
    pending = (pending + text).slice(-4096)
    const lines = pending.slice(0, pending.lastIndexOf("\n") + 1)
    pending = pending.slice(lines.length)
    for (const [, hours, minutes, seconds] of lines.matchAll(clock)) {
      const done = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) / Math.max(duration, 0.001)
      if (done <= reached || done >= 1) continue
      reached = done
      hear(done)
    }
  }
}

const copying = (shop: Shop, medium: Medium, blur: ReadonlyArray<BlurRegion>): ReadonlyArray<string> => {
  const { limits } = shop.config
  const { width, height } = fitted(medium.info, box)
  const hidden = hiding({ regions: blur, shown: medium.info, size: { width, height }, clock: sinceFirst })
  return [
    ...reading(shop, medium),
    ...(medium.hasAudio ? ["-map", "0:a:0"] : []),
    ...stripped,
    ...filters("yuv420p", `fps=${steady(medium.info.frameRate)}`, `scale=${width}:${height}:flags=bilinear`, ...hidden),
    ...["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23"],
    ...["-maxrate", "4M", "-bufsize", "8M", "-g", "60", "-threads", String(shop.programs.threads)],
    ...["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000", "-max_muxing_queue_size", "1024"],
    ...["-t", String(limits.seconds), "-fs", String(limits.output)],
    ...["-movflags", "+faststart", "-f", "mp4", "-progress", "pipe:1", "-nostats", "-y", "file:copy.mp4"]
  ]
}

export const transcode = (shop: Shop): Encoder["Service"]["transcode"] =>
  Effect.fn("Encoder.transcode")(function* ({ input, output, blur, onProgress }) {
    const task: Task = { operation: "transcode", path: input }
    yield* demandFew(task, blur)
    const medium = yield* examine(shop, task)
    if (medium.info.kind === "image")
      return yield* failure(task, "NoVideo", "it is a picture", "Use `poster` for pictures.")
    const folder = yield* workshop(shop, task, dirname(output))
    yield* attempt(task, {
      program: shop.programs.ffmpeg,
      args: copying(shop, medium, blur ?? []),
      cwd: folder,
      timeout: shop.config.timeout,
      onOutput: progress(medium.info.duration, onProgress ?? (() => undefined))
    })
    const made = join(folder, "copy.mp4")
    // ffmpeg ends a copy at its size limit without a word.
    const { size } = yield* onDisk(task, () => stat(made))
    if (size >= shop.config.limits.output * 0.99) return yield* tooLarge(task, "its copy grew past the limit")
    const copy = yield* describe(shop, { operation: "transcode", path: made }).pipe(
      Effect.catch((error) => notMedia(task, "no picture of it could be decoded", error))
    )
    yield* onDisk(task, () => rename(made, output))
    onProgress?.(1)
    return { ...copy.info, frameRate: steady(medium.info.frameRate) }
  }, Effect.scoped)

/**
 * The parts that all our ffmpeg commands share.
 */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { fileUrl, inputGuards } from "./allowed.ts"
import { onDisk, type Task } from "./errors.ts"
import type { Medium, Shop } from "./medium.ts"

/** Containers with an index of their key pictures; in others a jump may land in the middle of a group. */
export const seekable = (medium: Medium) => ["mov", "matroska"].includes(medium.demuxer)

/** Any decoder may attach data of the original to its pictures, and any encoder may carry it over. */
const forget = "sidedata=mode=delete"

/** Options for all, the guarded input with what stands `before` it, and its one stream of pictures. */
export const reading = (shop: Shop, medium: Medium, ...before: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { memory, videoPixels, photoPixels } = shop.config.limits
  const still = medium.info.kind === "image"
  return [
    ...["-hide_banner", "-nostdin", "-v", "error", "-max_alloc", String(memory)],
    ...["-threads", String(shop.programs.threads), ...before],
    ...inputGuards(medium.demuxer, still ? photoPixels : videoPixels),
    // Photographs are turned by us: ffmpeg before 5 does not do it.
    ...(still ? ["-noautorotate"] : []),
    ...["-i", fileUrl(resolve(medium.path)), "-map", `0:${medium.stream}`]
  ]
}

/** Nothing of the original but its pictures and its sound. */
export const stripped: ReadonlyArray<string> = [
  ...["-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"],
  ...["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
]

export const filters = (format: "yuv420p" | "yuvj420p", ...steps: ReadonlyArray<string>): ReadonlyArray<string> => [
  "-vf",
  [...steps, "setsar=1", `format=${format}`, forget].join(",")
]

/** `quality` as ffmpeg counts it: 2 is nearly the original, 31 the worst. */
export const jpeg = (quality: number): ReadonlyArray<string> => [
  ...["-c:v", "mjpeg", "-q:v", String(quality), "-threads", "1", "-y"]
]

const prefix = ".encoding-"

/** Nothing of ours runs twice as long as it may: what is older was left by a process that was killed. */
const sweep = Effect.fnUntraced(function* (shop: Shop, task: Task, place: string) {
  const oldest = (yield* Clock.currentTimeMillis) - 2 * shop.config.timeout
  yield* onDisk(task, async () => {
    for (const name of (await readdir(place)).filter((entry) => entry.startsWith(prefix))) {
      const folder = join(place, name)
      const changed = await stat(folder).catch(() => undefined)
      if (changed !== undefined && changed.mtimeMs < oldest) await rm(folder, { recursive: true, force: true })
    }
  })
})

/** A folder inside `place` for unfinished outputs, gone with the scope. */
export const workshop = (shop: Shop, task: Task, place: string) =>
  Effect.andThen(
    sweep(shop, task, place),
    Effect.acquireRelease(
      onDisk(task, () => mkdtemp(join(place, prefix))),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    )
  )

/**
 * Pictures of a video at given moments, in full size: evidence, and what a detector reads. What is taken is the picture on the screen
 * at the moment, known beforehand from the packets, so a recording with an unsteady rate gives the right ones too.
 */
import { copyFile, mkdir, readdir, rename } from "node:fs/promises"
import { join } from "node:path"
import type { BlurRegion, EncodedFrame, Encoder } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { filters, jpeg, reading, seekable, stripped, workshop } from "./commands.ts"
import { notMedia, onDisk, tooLarge, type Task } from "./errors.ts"
import { turning } from "./geometry.ts"
import { demandFew, hiding } from "./hiding.ts"
import { attempt, examine, type Medium, type Shop } from "./medium.ts"
import { chosen, inStretches, pickOf, type Stretch } from "./moments.ts"

/** `-vsync` is going away, and builds before 5.1 do not know its successor. */
const everyPicture = (version: string) =>
  Number.parseInt(version, 10) >= 6 ? ["-fps_mode", "passthrough"] : ["-vsync", "0"]

/** Parts of a second in which ffmpeg numbers the kept pictures, by the file's own clock; finer ones overflow its 32 bits. */
const parts = 10_000
const named = ["-enc_time_base", `1:${parts}`, "-f", "image2", "-frame_pts", "1", "%d.jpg"]

/** Decodes one stretch and gives the path of each pick that could be decoded. */
const keep = Effect.fnUntraced(function* (
  shop: Shop,
  task: Task,
  medium: Medium,
  folder: string,
  stretch: Stretch,
  blur: ReadonlyArray<BlurRegion>
) {
  const { picks, from } = stretch
  const { width, height } = medium.info
  const still = medium.info.kind === "image"
  // Counts the moments that have come; a picture at which the count grows is one of ours.
  const passed = picks.map((pick) => `gte(t,${pick.at.toFixed(6)})`).join("+")
  const select = `select='st(1,${passed});gt(ld(1),ld(0))*gte(st(0,ld(1)),0)'`
  const jump = from === undefined ? [] : ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", from.toFixed(6)]
  const square = medium.stretched ? [`scale=${width}:${height}`] : []
  const hidden = hiding({
    regions: blur,
    shown: medium.info,
    size: medium.info,
    ...(still ? {} : { clock: `t-(${(medium.shown[0] ?? 0).toFixed(6)})` })
  })
  yield* attempt(task, {
    program: shop.programs.ffmpeg,
    args: [
      ...reading(shop, medium, ...(still ? [] : ["-copyts", ...jump])),
      ...stripped,
      ...filters("yuvj420p", ...(still ? turning(medium.matrix) : [select]), ...square, ...hidden),
      ...jpeg(2),
      ...[...everyPicture(shop.programs.version), "-frames:v", String(picks.length), ...named]
    ],
    cwd: folder,
    timeout: shop.config.timeout
  })
  const names = yield* onDisk(task, () => readdir(folder))
  const kept = names.flatMap((name) => {
    const number = /^(-?\d+)\.jpg$/.exec(name)?.[1]
    const pick = still ? picks[0] : pickOf(medium, picks, Number(number) / parts)
    return number === undefined || pick === undefined ? [] : [[pick.index, join(folder, name)] as const]
  })
  return yield* Effect.forEach(kept, ([index, path]) => {
    const name = join(folder, `pick-${index}`)
    return Effect.as(
      onDisk(task, () => rename(path, name)),
      [index, name] as const
    )
  })
})

/** Numbers the frames and puts them into place. Two moments may show the same picture. */
const deliver = Effect.fnUntraced(function* (
  task: Task,
  directory: string,
  folder: string,
  made: ReadonlyArray<EncodedFrame>
) {
  const numbered = made.map((frame, index) => ({ ...frame, name: `${String(index + 1).padStart(4, "0")}.jpg` }))
  yield* Effect.forEach(numbered, ({ path, name }) => onDisk(task, () => copyFile(path, join(folder, name))))
  return yield* Effect.uninterruptible(
    Effect.forEach(numbered, ({ name, at }) => {
      const path = join(directory, name)
      return Effect.as(
        onDisk(task, () => rename(join(folder, name), path)),
        { path, at }
      )
    })
  )
})

export const frames = (shop: Shop): Encoder["Service"]["frames"] =>
  Effect.fn("Encoder.frames")(function* ({ input, directory, at, blur }) {
    const task: Task = { operation: "frames", path: input }
    yield* demandFew(task, blur)
    const most = shop.config.limits.frames
    if (at.length > most) return yield* tooLarge(task, `${at.length} frames are asked for, allowed are ${most}`)
    const medium = yield* examine(shop, task)
    const { picks, wanted } = chosen(medium, at)
    if (picks.length === 0) return []
    yield* onDisk(task, () => mkdir(directory, { recursive: true }))
    const folder = yield* workshop(shop, task, directory)
    const kept = new Map<number, string>()
    for (const stretch of inStretches(medium, picks, seekable(medium)))
      for (const [index, path] of yield* keep(shop, task, medium, folder, stretch, blur ?? [])) kept.set(index, path)
    const made = wanted.flatMap(({ at: moment, pick }) => {
      const path = kept.get(pick)
      return path === undefined ? [] : [{ at: moment, path }]
    })
    if (made.length === 0) return yield* notMedia(task, "no picture of it could be decoded")
    return yield* deliver(task, directory, folder, made)
  }, Effect.scoped)

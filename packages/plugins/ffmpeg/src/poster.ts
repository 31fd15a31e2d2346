/**
 * One small JPEG that stands for a video or a photograph.
 */
import { rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Encoder } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { filters, jpeg, reading, seekable, stripped, workshop } from "./commands.ts"
import { notMedia, onDisk, type Task } from "./errors.ts"
import { fitted, turning } from "./geometry.ts"
import { demandFew, hiding } from "./hiding.ts"
import { attempt, describe, examine, type Shop } from "./medium.ts"

const box = { width: 1280, height: 720 }

export const poster = (shop: Shop): Encoder["Service"]["poster"] =>
  Effect.fn("Encoder.poster")(function* ({ input, output, blur }) {
    const task: Task = { operation: "poster", path: input }
    yield* demandFew(task, blur)
    const medium = yield* examine(shop, task)
    const { info, matrix } = medium
    const folder = yield* workshop(shop, task, dirname(output))
    const { width, height } = fitted(info, box)
    const scale = `scale=${width}:${height}`
    const hidden = hiding({ regions: blur ?? [], shown: info, size: { width, height } })
    // A tenth into it, past the hand on the lens; of the next thirty pictures then the one most like the others.
    const jump = info.kind === "video" && seekable(medium) ? ["-ss", String(info.duration / 10)] : []
    const steps = info.kind === "video" ? [scale, "thumbnail=30"] : [...turning(matrix), scale]
    yield* attempt(task, {
      program: shop.programs.ffmpeg,
      args: [
        ...reading(shop, medium, ...jump),
        ...stripped,
        ...filters("yuvj420p", ...steps, ...hidden),
        ...jpeg(3),
        ...["-frames:v", "1", "-f", "mjpeg", "file:poster.jpg"]
      ],
      cwd: folder,
      timeout: shop.config.timeout
    })
    const made = join(folder, "poster.jpg")
    const picture = yield* describe(shop, { operation: "poster", path: made }).pipe(
      Effect.catch((error) => notMedia(task, "no picture of it could be decoded", error))
    )
    yield* onDisk(task, () => rename(made, output))
    return picture.info
  }, Effect.scoped)

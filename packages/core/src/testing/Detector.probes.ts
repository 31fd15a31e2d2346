/**
 * Files for the detector suite, made on the spot: even pictures, and what people upload by mistake or in bad faith.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { crc32, createDeflate, deflateSync } from "node:zlib"
import * as Effect from "effect/Effect"

const chunk = (type: string, body: Buffer): Buffer => {
  const out = Buffer.alloc(12 + body.length)
  out.writeUInt32BE(body.length, 0)
  out.write(type, 4, "latin1")
  body.copy(out, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length)
  return out
}

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

const png = (width: number, height: number, depth: number, data: Buffer): Buffer => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = depth
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))])
}

/** An even grey PNG. */
export const evenPicture = (width: number, height: number): Buffer => {
  const rows = Buffer.alloc((width + 1) * height, 0x80)
  for (let y = 0; y < height; y++) rows[y * (width + 1)] = 0
  return png(width, height, 8, deflateSync(rows))
}

/** A genuine, undamaged PNG of 2.5 thousand million white or black pixels in a few hundred kilobytes. */
const bomb = async (): Promise<Buffer> => {
  const side = 50_000
  const deflate = createDeflate({ level: 1 })
  const parts: Array<Buffer> = []
  const done = new Promise<void>((resolve, reject) => {
    deflate
      .on("data", (part: Buffer) => parts.push(part))
      .on("end", resolve)
      .on("error", reject)
  })
  const rows = Buffer.alloc((side / 8 + 1) * 500)
  for (let row = 0; row < side; row += 500)
    if (!deflate.write(rows)) await new Promise((resolve) => deflate.once("drain", resolve))
  deflate.end()
  await done
  return png(side, side, 1, Buffer.concat(parts))
}

export interface DetectorProbes {
  readonly folder: string
  /** 320 × 240, nothing on it. */
  readonly even: string
  /** 2,000 × 1,500, nothing on it. */
  readonly large: string
  readonly empty: string
  readonly text: string
  /** The first half of a PNG. */
  readonly damaged: string
  readonly missing: string
  /** 50,000 × 50,000 pixels. */
  readonly bomb: string
}

/** The files in a folder that goes with the scope. */
export const detectorProbes = Effect.acquireRelease(
  Effect.promise(async (): Promise<DetectorProbes> => {
    const folder = await mkdtemp(join(tmpdir(), "mahalla-detector-"))
    const at = (name: string) => join(folder, name)
    const large = evenPicture(2_000, 1_500)
    await writeFile(at("even.png"), evenPicture(320, 240))
    await writeFile(at("large.png"), large)
    await writeFile(at("empty.jpg"), "")
    await writeFile(at("text.jpg"), "This is no picture.\n".repeat(200))
    await writeFile(at("damaged.png"), large.subarray(0, large.length >> 1))
    return {
      folder,
      even: at("even.png"),
      large: at("large.png"),
      empty: at("empty.jpg"),
      text: at("text.jpg"),
      damaged: at("damaged.png"),
      missing: at("missing.jpg"),
      bomb: at("bomb.png")
    }
  }),
  (probes) => Effect.promise(() => rm(probes.folder, { recursive: true, force: true }))
)

/** Writes the bomb, which takes a second, only for the rule that needs it. */
export const writeBomb = (probes: DetectorProbes) => Effect.promise(async () => writeFile(probes.bomb, await bomb()))

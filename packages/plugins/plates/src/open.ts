/**
 * From a file to a grey picture, refusing what is no picture, is damaged, or is too large, before any pixel of it takes memory.
 */
import { open as openFile } from "node:fs/promises"
import sharp from "sharp"
import { cell, type Colours } from "./faces.ts"
import { double, type Grey } from "./image.ts"

export interface Limits {
  readonly maxPixels: number
  readonly maxBytes: number
}

/** Why a file was refused, in the port's words. */
export class Refusal extends Error {
  readonly reason: "NotMedia" | "TooLarge"
  constructor(reason: "NotMedia" | "TooLarge", message: string) {
    super(message)
    this.reason = reason
  }
}

export interface Picture {
  readonly grey: Grey
  /** Pixels of the picture, upright, for each pixel of `grey`. */
  readonly scale: number
  readonly width: number
  readonly height: number
}

/** Longest side that is searched; plates in larger photographs are large enough. */
const longest = 1920
/** Pictures this small hold characters of a dozen pixels, which part better at twice the size. */
const small = 1000

const signatures: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["jpeg", [0xff, 0xd8, 0xff]],
  ["png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]]
]

/** The first bytes decide, so that no other decoder of the library is ever reached. */
const sniff = async (path: string, limits: Limits): Promise<void> => {
  const file = await openFile(path, "r").catch((cause: NodeJS.ErrnoException) => {
    throw new Refusal("NotMedia", `it cannot be opened (${cause.code ?? "no reason given"})`)
  })
  try {
    const { size } = await file.stat()
    if (size === 0) throw new Refusal("NotMedia", "it is empty")
    if (size > limits.maxBytes)
      throw new Refusal("TooLarge", `it has ${size} bytes, over the limit of ${limits.maxBytes}`)
    const head = Buffer.alloc(16)
    await file.read(head, 0, 16, 0).catch((cause: NodeJS.ErrnoException) => {
      throw new Refusal("NotMedia", `it cannot be read (${cause.code ?? "no reason given"})`)
    })
    if (!signatures.some(([, bytes]) => bytes.every((byte, i) => head[i] === byte)))
      throw new Refusal("NotMedia", "it is neither a JPEG nor a PNG file")
  } finally {
    await file.close()
  }
}

/** Turns and mirrors as the camera noted (EXIF 1–8); `depth` bytes to a pixel. */
const upright = (image: Grey, orientation: number, depth = 1): Grey => {
  if (orientation < 2 || orientation > 8) return image
  const swap = orientation >= 5
  const width = swap ? image.height : image.width
  const height = swap ? image.width : image.height
  const data = new Uint8Array(width * height * depth)
  const right = image.width - 1
  const bottom = image.height - 1
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [sx, sy] =
        orientation === 2
          ? [right - x, y]
          : orientation === 3
            ? [right - x, bottom - y]
            : orientation === 4
              ? [x, bottom - y]
              : orientation === 5
                ? [y, x]
                : orientation === 6
                  ? [y, bottom - x]
                  : orientation === 7
                    ? [right - y, bottom - x]
                    : [right - y, x]
      for (let c = 0; c < depth; c++)
        data[(y * width + x) * depth + c] = image.data[(sy! * image.width + sx!) * depth + c]!
    }
  return { width, height, data }
}

const options = { limitInputPixels: false, failOn: "error", sequentialRead: true } as const

/** Longest sides in which faces are looked for: the network knows faces of 40 to 300 pixels, and a face may be most of a picture. */
export const sidesForFaces = [960, 320] as const

/** The colours of a picture that `openPicture` took, upright, filled up with black to whole cells; `across` pixels of its width are picture. */
export const openColours = async (path: string, side: number): Promise<Colours & { readonly across: number }> => {
  const { orientation = 1 } = await sharp(path, options).metadata()
  const { data, info } = await sharp(path, options)
    .resize({ width: side, height: side, fit: "inside", fastShrinkOnLoad: true })
    .flatten({ background: "#ffffff" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true })
  const seen = upright({ width: info.width, height: info.height, data }, orientation, info.channels)
  const width = Math.ceil(seen.width / cell) * cell
  const height = Math.ceil(seen.height / cell) * cell
  const filled = new Uint8Array(width * height * 3)
  for (let y = 0; y < seen.height; y++)
    filled.set(seen.data.subarray(y * seen.width * 3, (y + 1) * seen.width * 3), y * width * 3)
  return { width, height, data: filled, across: seen.width }
}

export const openPicture = async (path: string, limits: Limits): Promise<Picture> => {
  await sniff(path, limits)
  const damaged = (cause: Error) => {
    throw new Refusal("NotMedia", `it is damaged (${cause.message.split("\n")[0]!.replaceAll(path, "the file")})`)
  }
  const facts = await sharp(path, options).metadata().catch(damaged)
  const pixels = facts.width * facts.height
  if (pixels > limits.maxPixels)
    throw new Refusal(
      "TooLarge",
      `it has ${facts.width} × ${facts.height} pixels, over the limit of ${limits.maxPixels}`
    )
  const { data, info } = await sharp(path, { ...options, limitInputPixels: limits.maxPixels })
    .resize({ width: longest, height: longest, fit: "inside", withoutEnlargement: true, fastShrinkOnLoad: true })
    .flatten({ background: "#ffffff" })
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(damaged)
  const orientation = facts.orientation ?? 1
  const grey = upright(
    { width: info.width, height: info.height, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) },
    orientation
  )
  const swap = orientation >= 5
  const width = swap ? facts.height : facts.width
  const height = swap ? facts.width : facts.height
  const enlarge = Math.max(grey.width, grey.height) <= small
  return {
    grey: enlarge ? double(grey) : grey,
    scale: width / grey.width / (enlarge ? 2 : 1),
    width,
    height
  }
}

/**
 * Rectification: a line of text becomes a strip of 32 rows with capitals 20 rows high, level and dark on light, as the reader knows them.
 */
import { type Grey, halve, sample, type TextLine } from "./image.ts"

export const stripHeight = 32
export const capHeight = 20
/** Beyond both ends of the found characters, in cap heights: the rest of a plate of which only a part was found. */
const margin = 2.2
export const widestStrip = 416

/** Small disturbances under which a sure reading stays the same. */
export interface Jitter {
  readonly zoom: number
  readonly shear: number
  readonly tilt: number
}

export const still: Jitter = { zoom: 1, shear: 0, tilt: 0 }

export interface Strip {
  readonly width: number
  /** `stripHeight` rows. */
  readonly data: Float32Array
  /** Column of the strip to pixels right of the line's middle. */
  readonly toPixels: (column: number) => number
}

/** The picture and its halves, so that large characters are averaged instead of skipped over. */
export const pyramid = (image: Grey): ReadonlyArray<Grey> => {
  const levels = [image]
  while (levels.length < 5) {
    const last = levels.at(-1)!
    if (Math.min(last.width, last.height) < 64) break
    levels.push(halve(last))
  }
  return levels
}

export const cutStrip = (levels: ReadonlyArray<Grey>, line: TextLine, jitter: Jitter): Strip => {
  const scale = (line.cap / capHeight) * jitter.zoom
  const level = Math.max(0, Math.min(levels.length - 1, Math.floor(Math.log2(Math.max(1, scale)))))
  const image = levels[level]!
  const shrink = 2 ** level
  const width = Math.min(widestStrip, Math.max(96, Math.ceil((line.length + 2 * margin * line.cap) / scale / 2) * 2))
  const data = new Float32Array(width * stripHeight)
  const slope = line.slope + jitter.tilt
  const norm = Math.hypot(1, slope)
  const ux = 1 / norm
  const uy = slope / norm
  let sum = 0
  let squares = 0
  for (let row = 0; row < stripHeight; row++) {
    const down = (row - stripHeight / 2 + 0.5) * scale
    for (let column = 0; column < width; column++) {
      const along = (column - width / 2 + 0.5) * scale + down * jitter.shear
      const x = line.cx + along * ux - down * uy
      const y = line.cy + along * uy + down * ux
      const grey = sample(image, (x + 0.5) / shrink - 0.5, (y + 0.5) / shrink - 0.5)
      const value = line.dark ? grey : 255 - grey
      data[row * width + column] = value
      sum += value
      squares += value * value
    }
  }
  const mean = sum / data.length
  const spread = Math.sqrt(Math.max(0, squares / data.length - mean * mean)) + 8
  for (let i = 0; i < data.length; i++) data[i] = (data[i]! - mean) / spread
  return { width, data, toPixels: (column) => (column - width / 2) * scale * ux }
}

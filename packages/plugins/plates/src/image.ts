/**
 * Grey pictures and the little arithmetic on them that finding a plate needs: halving, summed areas, sampling along a tilted line.
 */
import type { Box } from "@mahalla/core/plugin"

/** Eight-bit grey, row by row. */
export interface Grey {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** A line of text: its middle, its direction and the height of its capitals, in pixels. */
export interface TextLine {
  readonly cx: number
  readonly cy: number
  /** Rise per pixel to the right. */
  readonly slope: number
  readonly cap: number
  /** From the first to the last character. */
  readonly length: number
  /** Dark characters on a light ground. */
  readonly dark: boolean
  /** How many components spoke for it. */
  readonly support: number
}

/** Half the size, each pixel the mean of four. */
export const halve = (image: Grey): Grey => {
  const width = image.width >> 1
  const height = image.height >> 1
  const data = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    const above = 2 * y * image.width
    const below = above + image.width
    for (let x = 0; x < width; x++) {
      const i = 2 * x
      data[y * width + x] =
        (image.data[above + i]! +
          image.data[above + i + 1]! +
          image.data[below + i]! +
          image.data[below + i + 1]! +
          2) >>
        2
    }
  }
  return { width, height, data }
}

/** Twice the size, bilinear. */
export const double = (image: Grey): Grey => {
  const width = image.width * 2
  const height = image.height * 2
  const data = new Uint8Array(width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) data[y * width + x] = sample(image, x / 2 - 0.25, y / 2 - 0.25)
  return { width, height, data }
}

/** Sums of everything above and left of each pixel, one row and column larger than the picture. */
export const summed = (image: Grey): Int32Array => {
  const stride = image.width + 1
  const sums = new Int32Array(stride * (image.height + 1))
  for (let y = 0; y < image.height; y++) {
    let row = 0
    for (let x = 0; x < image.width; x++) {
      row += image.data[y * image.width + x]!
      sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1]! + row
    }
  }
  return sums
}

/** The grey between four pixels; the border continues outside. */
export const sample = (image: Grey, x: number, y: number): number => {
  const { width, height, data } = image
  const cx = x < 0 ? 0 : x > width - 1 ? width - 1 : x
  const cy = y < 0 ? 0 : y > height - 1 ? height - 1 : y
  const x0 = cx | 0
  const y0 = cy | 0
  const x1 = x0 + 1 < width ? x0 + 1 : x0
  const y1 = y0 + 1 < height ? y0 + 1 : y0
  const fx = cx - x0
  const fy = cy - y0
  const top = data[y0 * width + x0]! * (1 - fx) + data[y0 * width + x1]! * fx
  const bottom = data[y1 * width + x0]! * (1 - fx) + data[y1 * width + x1]! * fx
  return top * (1 - fy) + bottom * fy
}

/** The upright rectangle around a tilted line of text, inside the picture. */
export const boxAround = (line: TextLine, image: { readonly width: number; readonly height: number }): Box => {
  const half = line.length / 2
  const drop = Math.abs(line.slope * half) + line.cap * 0.5
  const x0 = Math.max(0, Math.floor(line.cx - half))
  const y0 = Math.max(0, Math.floor(line.cy - drop))
  const x1 = Math.min(image.width, Math.ceil(line.cx + half))
  const y1 = Math.min(image.height, Math.ceil(line.cy + drop))
  return { x: x0, y: y0, width: Math.max(1, x1 - x0), height: Math.max(1, y1 - y0) }
}

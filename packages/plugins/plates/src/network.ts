/**
 * The reader's arithmetic: a small fully convolutional network, run on one strip, gives for every second column the logarithm of the
 * probability of each character and of "nothing". The weights come from `training/`; see docs/decisions/plates.md.
 */
import { type Kernel, makeKernel } from "./kernel.ts"
import { type Strip, stripHeight, widestStrip } from "./strip.ts"

/** How `training/train.py` describes a network beside its weights. */
export interface Packed {
  readonly classes: string
  /** Of each convolution: rows, columns, channels in, channels out. */
  readonly layers: ReadonlyArray<readonly [number, number, number, number]>
  /** Rows and columns of the pooling after it. */
  readonly pools: ReadonlyArray<readonly [number, number] | null>
  /** Half-precision floats, little endian, base64: kernel then bias of each layer. */
  readonly weights: string
}

interface Layer {
  readonly rows: number
  readonly columns: number
  readonly from: number
  /** Channels out, filled up to a multiple of eight. */
  readonly to: number
  readonly pool: readonly [number, number] | null
  /** Place of the kernel among the floats. */
  readonly kernel: number
  readonly bias: Float32Array
}

export interface Network {
  readonly classes: string
  readonly layers: ReadonlyArray<Layer>
  readonly kernel: Kernel
  /** Places of the two buffers that layers read and write in turn. */
  readonly buffers: readonly [number, number]
}

const half = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const filled = (channels: number): number => Math.ceil(channels / 8) * 8

export const unpack = (packed: Packed): Network => {
  const bytes = Buffer.from(packed.weights, "base64")
  let read = 0
  const next = () => half(bytes.readUInt16LE((read += 2) - 2))
  const weights = packed.layers.reduce((sum, [rows, columns, from, to]) => sum + rows * columns * from * filled(to), 0)
  const buffer = (stripHeight / 2) * (widestStrip / 2) * Math.max(...packed.layers.map((layer) => filled(layer[3])))
  const kernel = makeKernel(4 * (weights + 2 * buffer))
  let place = 0
  const layers = packed.layers.map(([rows, columns, from, to], i): Layer => {
    const wide = filled(to)
    const start = place
    for (let k = 0; k < rows * columns * from; k++)
      for (let o = 0; o < to; o++) kernel.floats[start + k * wide + o] = next()
    const bias = new Float32Array(wide)
    for (let o = 0; o < to; o++) bias[o] = next()
    place += rows * columns * from * wide
    return { rows, columns, from, to: wide, pool: packed.pools[i] ?? null, kernel: start, bias }
  })
  return { classes: packed.classes, layers, kernel, buffers: [weights, weights + buffer] }
}

/** Convolution, the columns padded; the rows too, unless the kernel is as high as the picture. Answers the height that is left. */
const convolve = (
  kernel: Kernel,
  layer: Layer,
  input: number,
  output: number,
  height: number,
  width: number
): number => {
  const { rows, columns, from, to } = layer
  const padRows = rows < height ? rows >> 1 : 0
  const outHeight = rows < height ? height : 1
  const padColumns = columns >> 1
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < width; x++) {
      const out = output + (y * width + x) * to
      kernel.floats.set(layer.bias, out)
      const x0 = Math.max(0, x - padColumns)
      const x1 = Math.min(width, x + padColumns + 1)
      for (let ky = 0; ky < rows; ky++) {
        const iy = y + ky - padRows
        if (iy < 0 || iy >= height) continue
        // The columns under the kernel lie side by side, in the picture and in the kernel alike.
        const tap = layer.kernel + (ky * columns + x0 - x + padColumns) * from * to
        kernel.accumulate(4 * (input + (iy * width + x0) * from), 4 * tap, 4 * out, (x1 - x0) * from, 4 * to)
      }
    }
  return outHeight
}

/** The largest of each field, and nothing below zero. */
const rectify = (
  floats: Float32Array,
  input: number,
  output: number,
  height: number,
  width: number,
  layer: Layer
): void => {
  const [rows, columns] = layer.pool ?? [1, 1]
  const channels = layer.to
  const outHeight = Math.floor(height / rows)
  const outWidth = Math.floor(width / columns)
  for (let y = 0; y < outHeight; y++)
    for (let x = 0; x < outWidth; x++)
      for (let c = 0; c < channels; c++) {
        let best = 0
        for (let ky = 0; ky < rows; ky++)
          for (let kx = 0; kx < columns; kx++) {
            const value = floats[input + ((y * rows + ky) * width + x * columns + kx) * channels + c]!
            if (value > best) best = value
          }
        floats[output + (y * outWidth + x) * channels + c] = best
      }
}

/** Scores of a strip. */
export interface Scores {
  readonly steps: number
  /** Characters and, last, nothing. */
  readonly kinds: number
  /** Natural logarithms of probabilities, step by step. */
  readonly logs: Float32Array
}

export const run = (network: Network, strip: Strip): Scores => {
  const { kernel, layers } = network
  const { floats } = kernel
  const [one, other] = network.buffers
  let height = stripHeight >> 1
  let width = strip.width >> 1
  // Each two by two pixels become one with four channels.
  for (let y = 0; y < stripHeight; y++)
    for (let x = 0; x < strip.width; x++)
      floats[one + ((y >> 1) * width + (x >> 1)) * 4 + (y & 1) * 2 + (x & 1)] = strip.data[y * strip.width + x]!
  layers.forEach((layer, i) => {
    height = convolve(kernel, layer, one, other, height, width)
    if (i === layers.length - 1) return
    rectify(floats, other, one, height, width, layer)
    height = Math.floor(height / (layer.pool?.[0] ?? 1))
    width = Math.floor(width / (layer.pool?.[1] ?? 1))
  })
  const kinds = network.classes.length + 1
  const stride = layers.at(-1)!.to
  const logs = new Float32Array(width * kinds)
  for (let t = 0; t < width; t++) {
    const row = floats.subarray(other + t * stride, other + t * stride + kinds)
    let top = -Infinity
    for (const value of row) if (value > top) top = value
    let sum = 0
    for (const value of row) sum += Math.exp(value - top)
    const norm = top + Math.log(sum)
    for (let k = 0; k < kinds; k++) logs[t * kinds + k] = row[k]! - norm
  }
  return { steps: width, kinds, logs }
}

/**
 * Finds faces, so that copies can hide them: the network of depthwise separable convolutions with anchors of YOLO (Redmon 2016) whose
 * weights `@vladmandic/face-api` carries as data. Run on the whole picture, whatever its shape; nothing is recognised, only found.
 */
import { type Kernel, makeKernel } from "./kernel.ts"

/** Eight bits to a weight: value = minimum + scale · byte. */
interface Quantized {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly quantization: { readonly scale: number; readonly min: number }
}
export type Manifest = readonly [{ readonly weights: ReadonlyArray<Quantized> }]

/** Colours in the order red, green, blue; both sides multiples of `cell`. */
export interface Colours {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

export interface Face {
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
  /** 0–1. */
  readonly confidence: number
}

/** Pixels from one answer of the network to the next. */
export const cell = 32
const channels = [16, 32, 64, 128, 256, 512] as const
const means = [117.001, 114.697, 97.404] as const
/** Width and height of the five shapes that a face is measured against, in cells. */
const anchors = [
  [1.603231, 2.094468],
  [6.041143, 7.080126],
  [2.882459, 3.518061],
  [4.266906, 5.178857],
  [9.041765, 10.66308]
] as const
const answers = 32
/** A lamp or a number plate in its bracket passes for a large face now and then, seldom for a small one. */
const enough = { small: 0.35, large: 0.6 } as const
/** Of the picture's width. */
const large = 0.2
/** Of two boxes that cover each other by more, as a part of both together, one face is meant. */
const overlap = 0.4

type Weights = (name: string) => Float32Array

export const readWeights = (manifest: Manifest, bytes: Uint8Array): Weights => {
  const known = new Map<string, Float32Array>()
  let place = 0
  for (const { name, quantization, shape } of manifest[0].weights) {
    const length = shape.reduce((product, side) => product * side, 1)
    known.set(
      name,
      Float32Array.from(
        bytes.subarray(place, (place += length)),
        (byte) => quantization.min + quantization.scale * byte
      )
    )
  }
  return (name) => {
    const found = known.get(name)
    if (found === undefined) throw new Error(`The model has no weights named ${name}`)
    return found
  }
}

/** A plane of channels beside each other: `channels` floats for each pixel. */
interface Plane {
  readonly width: number
  readonly height: number
  readonly channels: number
  /** Place among the floats. */
  readonly at: number
}

export class FaceFinder {
  private readonly weights: Weights
  private kernel: Kernel = makeKernel(4)
  private free = 0
  constructor(weights: Weights) {
    this.weights = weights
  }

  private take(floats: number): number {
    const at = this.free
    // Vectors of eight floats are read at once.
    this.free += Math.ceil(floats / 8) * 8
    return at
  }

  /** Weights with their rows filled up to `wide`. */
  private put(name: string, rows: number, columns: number, wide = columns): number {
    const at = this.take(rows * wide)
    const values = this.weights(name)
    for (let row = 0; row < rows; row++)
      this.kernel.floats.set(values.subarray(row * columns, (row + 1) * columns), at + row * wide)
    return at
  }

  /** A row of pixels that begin as their bias. */
  private biased(name: string, width: number, depth: number): { readonly at: number; readonly end: number } {
    const { floats } = this.kernel
    const at = this.take(width * depth)
    const bias = this.weights(name)
    for (let x = 0; x < width; x++) floats.set(bias, at + x * depth)
    return { at, end: at + width * depth }
  }

  /** Rows made one by one by `row`, the largest of each two by two kept; `step` 1 keeps the size. */
  private pooled(size: Omit<Plane, "at">, step: 1 | 2, row: (y: number, at: number) => void): Plane {
    const { floats } = this.kernel
    const { channels: depth, height, width } = size
    const out = { width: Math.ceil(width / step), height: Math.ceil(height / step), channels: depth }
    const at = this.take(out.width * out.height * depth)
    const rows = [this.take(width * depth), this.take(width * depth)] as const
    let made = -1
    const rowAt = (y: number) => {
      for (; made < y; made++) row(made + 1, rows[(made + 1) % 2]!)
      return rows[y % 2]!
    }
    for (let y = 0; y < out.height; y++) {
      const one = rowAt(y * step)
      // The row before the last one of an odd number stands alone.
      const other = y * step + 1 < height ? rowAt(y * step + 1) : one
      for (let x = 0; x < out.width; x++) {
        const left = x * step * depth
        const right = (x * step + 1 < width ? x * step + 1 : x * step) * depth
        const to = at + (y * out.width + x) * depth
        for (let c = 0; c < depth; c++) {
          const most = Math.max(
            floats[one + left + c]!,
            floats[one + right + c]!,
            floats[other + left + c]!,
            floats[other + right + c]!
          )
          floats[to + c] = most < 0 ? most * 0.1 : most
        }
      }
    }
    return { ...out, at }
  }

  /** The first layer mixes all three colours of three by three pixels. */
  private first({ data, height, width }: Colours): Plane {
    const { accumulate, floats } = this.kernel
    const at = this.take(width * height * 3)
    for (let i = 0; i < data.length; i++) floats[at + i] = (data[i]! - means[i % 3]!) / 255
    const depth = channels[0]
    const filters = this.put("conv0/filters", 27, depth)
    const bias = this.biased("conv0/bias", width - 2, depth)
    return this.pooled({ width: width - 2, height: height - 2, channels: depth }, 2, (y, to) => {
      floats.copyWithin(to, bias.at, bias.end)
      for (let x = 0; x < width - 2; x++) {
        const pixel = to + x * depth
        for (let dy = 0; dy < 3; dy++)
          accumulate(4 * (at + ((y + dy) * width + x) * 3), 4 * (filters + dy * 9 * depth), 4 * pixel, 9, 4 * depth)
      }
    })
  }

  /** Three by three pixels of each channel alone, then all channels of one pixel. */
  private separable(layer: number, input: Plane, step: 1 | 2): Plane {
    const { accumulate, floats } = this.kernel
    const from = input.channels
    const to = channels[layer]!
    const alone = this.put(`conv${layer}/depthwise_filter`, 9, from)
    const mixing = this.put(`conv${layer}/pointwise_filter`, from, to)
    const { height, width } = input
    const bias = this.biased(`conv${layer}/bias`, width, to)
    const pixel = this.take(from)
    /** A pixel that has neighbours on all sides, as nearly all have. */
    const amid = (left: number) => {
      const [a, b, d] = [left - width * from, left, left + width * from]
      const wide = 2 * from
      for (let c = 0; c < from; c++) {
        const w = alone + c
        floats[pixel + c] =
          floats[a + c]! * floats[w]! +
          floats[a + from + c]! * floats[w + from]! +
          floats[a + wide + c]! * floats[w + wide]! +
          floats[b + c]! * floats[w + 3 * from]! +
          floats[b + from + c]! * floats[w + 4 * from]! +
          floats[b + wide + c]! * floats[w + 5 * from]! +
          floats[d + c]! * floats[w + 6 * from]! +
          floats[d + from + c]! * floats[w + 7 * from]! +
          floats[d + wide + c]! * floats[w + 8 * from]!
      }
    }
    return this.pooled({ width, height, channels: to }, step, (y, row) => {
      floats.copyWithin(row, bias.at, bias.end)
      for (let x = 0; x < width; x++) {
        if (y > 0 && y < height - 1 && x > 0 && x < width - 1) {
          amid(input.at + (y * width + x - 1) * from)
          accumulate(4 * pixel, 4 * mixing, 4 * (row + x * to), from, 4 * to)
          continue
        }
        floats.fill(0, pixel, pixel + from)
        for (let dy = Math.max(0, 1 - y); dy < Math.min(3, height + 1 - y); dy++)
          for (let dx = Math.max(0, 1 - x); dx < Math.min(3, width + 1 - x); dx++) {
            const seen = input.at + ((y + dy - 1) * width + x + dx - 1) * from
            const filter = alone + (dy * 3 + dx) * from
            for (let c = 0; c < from; c++) floats[pixel + c]! += floats[seen + c]! * floats[filter + c]!
          }
        accumulate(4 * pixel, 4 * mixing, 4 * (row + x * to), from, 4 * to)
      }
    })
  }

  /** Faces in pixels of the given picture, surest first. */
  find(picture: Colours): ReadonlyArray<Face> {
    // Planes shrink by half with every layer but the last; weights are the same each time.
    const bytes = 4 * (picture.width * picture.height * 16 + 400_000)
    if (this.kernel.floats.byteLength < bytes) this.kernel = makeKernel(bytes)
    this.free = 0
    let plane = this.first(picture)
    for (let layer = 1; layer < channels.length; layer++) plane = this.separable(layer, plane, layer === 5 ? 1 : 2)
    const { accumulate, floats } = this.kernel
    const depth = plane.channels
    const filters = this.put("conv8/filters", depth, 5 * anchors.length, answers)
    const bias = this.weights("conv8/bias")
    const out = this.take(answers)
    const faces: Array<Face> = []
    for (let y = 0; y < plane.height; y++)
      for (let x = 0; x < plane.width; x++) {
        floats.fill(0, out, out + answers)
        floats.set(bias, out)
        accumulate(4 * (plane.at + (y * plane.width + x) * depth), 4 * filters, 4 * out, depth, 4 * answers)
        anchors.forEach(([across, down], index) => {
          const face = faceAt(floats.subarray(out + index * 5, out + index * 5 + 5), x, y, across, down)
          const least = face.box.width > large * picture.width ? enough.large : enough.small
          if (face.confidence > least) faces.push(face)
        })
      }
    return strongest(faces)
  }
}

const sigmoid = (value: number) => 1 / (1 + Math.exp(-value))

const faceAt = (said: Float32Array, x: number, y: number, across: number, down: number): Face => {
  const width = Math.exp(said[2]!) * across * cell
  const height = Math.exp(said[3]!) * down * cell
  return {
    box: {
      x: (x + sigmoid(said[0]!)) * cell - width / 2,
      y: (y + sigmoid(said[1]!)) * cell - height / 2,
      width,
      height
    },
    confidence: sigmoid(said[4]!)
  }
}

const together = ({ box: a }: Face, { box: b }: Face): number => {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  const both = across > 0 && down > 0 ? across * down : 0
  return both / (a.width * a.height + b.width * b.height - both)
}

/** Without those that mean a face which is there already. */
export const strongest = (faces: ReadonlyArray<Face>): ReadonlyArray<Face> => {
  const kept: Array<Face> = []
  for (const face of faces.toSorted((a, b) => b.confidence - a.confidence))
    if (!kept.some((other) => together(face, other) > overlap)) kept.push(face)
  return kept
}

/**
 * Where a line of plate characters might be: pixels darker (or lighter) than their surroundings, joined into components of a
 * character's shape, chained into lines of equal height. Works on characters 9 to 90 pixels high and tilts up to about 20 degrees.
 */
import { type Grey, halve, summed, type TextLine } from "./image.ts"

interface Part {
  readonly x0: number
  readonly y0: number
  readonly x1: number
  readonly y1: number
}

const smallest = 8
const tallest = 46
const window = 19

/** By how much each pixel is darker than the mean of the square around it. */
const darkness = (image: Grey): Int16Array => {
  const { width, height, data } = image
  const sums = summed(image)
  const stride = width + 1
  const out = new Int16Array(width * height)
  for (let y = 0; y < height; y++) {
    const y0 = Math.max(0, y - window) * stride
    const y1 = Math.min(height, y + window + 1) * stride
    const rows = (y1 - y0) / stride
    for (let x = 0; x < width; x++) {
      const x0 = x < window ? 0 : x - window
      const x1 = x + window + 1 > width ? width : x + window + 1
      const total = sums[y1 + x1]! - sums[y0 + x1]! - sums[y1 + x0]! + sums[y0 + x0]!
      out[y * width + x] = total / ((x1 - x0) * rows) - data[y * width + x]!
    }
  }
  return out
}

/** Boxes of connected pixels that differ from the mean around them by more than `bias` grey levels, runs joined by union-find. */
const parts = (differences: Int16Array, width: number, height: number, dark: boolean, bias: number): Array<Part> => {
  const parent: Array<number> = []
  const box: Array<number> = []
  const find = (i: number): number => {
    while (parent[i] !== i) {
      parent[i] = parent[parent[i]!]!
      i = parent[i]!
    }
    return i
  }
  let above: Array<number> = []
  for (let y = 0; y < height; y++) {
    const runs: Array<number> = []
    let start = -1
    for (let x = 0; x <= width; x++) {
      const difference = x < width ? differences[y * width + x]! : 0
      const inside = dark ? difference > bias : -difference > bias
      if (inside) {
        if (start < 0) start = x
      } else if (start >= 0) {
        const id = parent.length
        parent.push(id)
        box.push(start, y, x - 1, y)
        runs.push(start, x - 1, id)
        start = -1
      }
    }
    // Both lists run left to right; four-connected, so that neighbours touching at a corner stay apart.
    let a = 0
    for (let r = 0; r < runs.length; r += 3) {
      while (a < above.length && above[a + 1]! < runs[r]!) a += 3
      for (let k = a; k < above.length && above[k]! <= runs[r + 1]!; k += 3) {
        const one = find(above[k + 2]!)
        const other = find(runs[r + 2]!)
        if (one === other) continue
        const keep = Math.min(one, other)
        const gone = Math.max(one, other)
        parent[gone] = keep
        box[keep * 4] = Math.min(box[keep * 4]!, box[gone * 4]!)
        box[keep * 4 + 1] = Math.min(box[keep * 4 + 1]!, box[gone * 4 + 1]!)
        box[keep * 4 + 2] = Math.max(box[keep * 4 + 2]!, box[gone * 4 + 2]!)
        box[keep * 4 + 3] = Math.max(box[keep * 4 + 3]!, box[gone * 4 + 3]!)
      }
    }
    above = runs
  }
  const found: Array<Part> = []
  for (let i = 0; i < parent.length; i++) {
    if (parent[i] !== i) continue
    const part = { x0: box[i * 4]!, y0: box[i * 4 + 1]!, x1: box[i * 4 + 2]! + 1, y1: box[i * 4 + 3]! + 1 }
    const w = part.x1 - part.x0
    const h = part.y1 - part.y0
    if (h >= smallest && h <= tallest && w >= h * 0.08 && w <= h * 1.35) found.push(part)
  }
  return found
}

/** Chains parts that stand side by side with equal height. */
const chain = (found: ReadonlyArray<Part>): Array<Array<Part>> => {
  const sorted = [...found].sort((a, b) => a.x0 - b.x0)
  const parent = sorted.map((_, i) => i)
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)))
  for (let i = 0; i < sorted.length; i++) {
    const a = sorted[i]!
    const ha = a.y1 - a.y0
    for (let j = i + 1; j < sorted.length; j++) {
      const b = sorted[j]!
      if (b.x0 > a.x1 + 1.7 * ha) break
      const hb = b.y1 - b.y0
      if (hb < ha * 0.76 || hb > ha * 1.32 || b.x0 < a.x1 - 0.25 * ha) continue
      const dx = (b.x0 + b.x1 - a.x0 - a.x1) / 2
      const dy = (b.y0 + b.y1 - a.y0 - a.y1) / 2
      if (Math.abs(dy) > 0.12 * ha + 0.36 * dx || Math.abs(dy) > 0.5 * ha) continue
      parent[find(j)] = find(i)
    }
  }
  const groups = new Map<number, Array<Part>>()
  sorted.forEach((part, i) => {
    const root = find(i)
    const group = groups.get(root)
    if (group === undefined) groups.set(root, [part])
    else group.push(part)
  })
  return [...groups.values()].filter((group) => group.length >= 3)
}

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** A straight line through a chain, after leaving out parts that do not fit it. */
const fit = (group: ReadonlyArray<Part>, dark: boolean, zoom: number): TextLine | undefined => {
  let members = group
  for (let round = 0; ; round++) {
    const cap = median(members.map((p) => p.y1 - p.y0))
    const n = members.length
    const mx = members.reduce((sum, p) => sum + (p.x0 + p.x1) / 2, 0) / n
    const my = members.reduce((sum, p) => sum + (p.y0 + p.y1) / 2, 0) / n
    let sxx = 0
    let sxy = 0
    for (const p of members) {
      const dx = (p.x0 + p.x1) / 2 - mx
      sxx += dx * dx
      sxy += dx * ((p.y0 + p.y1) / 2 - my)
    }
    const slope = sxx === 0 ? 0 : sxy / sxx
    const fits = members.filter(
      (p) => Math.abs((p.y0 + p.y1) / 2 - my - slope * ((p.x0 + p.x1) / 2 - mx)) < 0.14 * cap + 0.5
    )
    if (fits.length === n || round === 3) {
      if (fits.length < 3 || Math.abs(slope) > 0.4) return undefined
      const left = Math.min(...members.map((p) => p.x0))
      const right = Math.max(...members.map((p) => p.x1))
      const cx = (left + right) / 2
      if (right - left < 1.6 * cap || right - left > 16 * cap) return undefined
      return {
        cx: cx * zoom,
        cy: (my + slope * (cx - mx)) * zoom,
        slope,
        cap: cap * zoom,
        length: (right - left) * zoom,
        dark,
        support: n
      }
    }
    if (fits.length < 3) return undefined
    members = fits
  }
}

const same = (a: TextLine, b: TextLine): boolean =>
  Math.abs(a.cy + a.slope * (b.cx - a.cx) - b.cy) < 0.45 * Math.max(a.cap, b.cap) &&
  a.cap < b.cap * 1.5 &&
  b.cap < a.cap * 1.5 &&
  Math.min(a.cx + a.length / 2, b.cx + b.length / 2) - Math.max(a.cx - a.length / 2, b.cx - b.length / 2) >
    0.4 * Math.min(a.length, b.length)

/** How much a chain looks like a plate: about seven characters whose total width suits their height. */
const worth = (line: TextLine): number => {
  const shape = line.length / line.cap
  return Math.min(line.support, 8) - Math.abs(shape - 5.5) * 0.35 + (line.dark ? 0.5 : 0) - Math.abs(line.slope) * 4
}

/** Likely lines, best first, at most `limit`. Coordinates are those of `image`, whose characters should be 9 pixels or taller. */
export const findLines = (image: Grey, limit: number): Array<TextLine> => {
  const lines: Array<TextLine> = []
  let level = image
  for (let zoom = 1; zoom <= 4 && Math.min(level.width, level.height) >= 48; zoom *= 2) {
    const differences = darkness(level)
    for (const dark of [true, false])
      for (const bias of [7, 22])
        for (const group of chain(parts(differences, level.width, level.height, dark, bias))) {
          const line = fit(group, dark, zoom)
          if (line !== undefined) lines.push(line)
        }
    level = halve(level)
  }
  lines.sort((a, b) => worth(b) - worth(a))
  const kept: Array<TextLine> = []
  for (const line of lines) {
    if (kept.length >= limit) break
    if (!kept.some((other) => same(line, other))) kept.push(line)
  }
  return kept
}

/** Boxes in a picture, as far as hiding needs them. All in pixels. */
import type { Box } from "../../ports/Detector.ts"

/** Parts of the smaller box that the other covers, 0–1. */
export const covered = (a: Box, b: Box): number => {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (across <= 0 || down <= 0) return 0
  return (across * down) / Math.min(a.width * a.height, b.width * b.height)
}

/** The smallest box around both. */
export const union = (a: Box, b: Box): Box => {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)]
  const right = Math.max(a.x + a.width, b.x + b.width)
  const bottom = Math.max(a.y + a.height, b.y + b.height)
  return { x, y, width: right - x, height: bottom - y }
}

/** `by`: parts of each side, added on both of its ends. */
export const widened = ({ height, width, x, y }: Box, by: number): Box =>
  padded({ x, y, width, height }, width * by, height * by)

export const padded = ({ height, width, x, y }: Box, across: number, down: number): Box => ({
  x: x - across,
  y: y - down,
  width: width + 2 * across,
  height: height + 2 * down
})

/** What is left of a box around another one: above, below, to the left and to the right. */
export const around = (box: Box, hole: Box): ReadonlyArray<Box> => {
  if (covered(box, hole) === 0) return [box]
  const [right, bottom] = [box.x + box.width, box.y + box.height]
  const top = Math.max(box.y, hole.y)
  const end = Math.min(bottom, hole.y + hole.height)
  const left = Math.max(box.x, hole.x)
  const stop = Math.min(right, hole.x + hole.width)
  return [
    { ...box, height: top - box.y },
    { ...box, y: end, height: bottom - end },
    { x: box.x, y: top, width: left - box.x, height: end - top },
    { x: stop, y: top, width: right - stop, height: end - top }
  ].filter(({ height, width }) => height > 0 && width > 0)
}

const between = (from: number, to: number, part: number) => from + (to - from) * part

/** Part of the way from one box to the other: 0 is the first; below 0 and above 1 the way goes straight on. */
export const onTheWay = (a: Box, b: Box, part: number): Box => {
  // As large as the larger one: at the border of the picture a thing is cut, and is not smaller for it.
  const [width, height] = [Math.max(a.width, b.width), Math.max(a.height, b.height)]
  return {
    x: between(a.x + a.width / 2, b.x + b.width / 2, part) - width / 2,
    y: between(a.y + a.height / 2, b.y + b.height / 2, part) - height / 2,
    width,
    height
  }
}

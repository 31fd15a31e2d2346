/**
 * Sizes and turns: how a stored picture is shown, and how large its copies are.
 */
export interface Size {
  readonly width: number
  readonly height: number
}

/** The four numbers of a display matrix that turn and mirror: a b / c d. */
export type Matrix = readonly [a: number, b: number, c: number, d: number]

/** The matrix among a stream's or frame's side data, as ffprobe writes it: three numbered rows of three numbers. */
export const matrixOf = (sideData: ReadonlyArray<{ readonly displaymatrix?: string }>): Matrix | undefined => {
  const text = sideData.find((entry) => entry.displaymatrix !== undefined)?.displaymatrix
  const [first, second] = [...(text ?? "").matchAll(/^\d+:\s*(-?\d+)\s+(-?\d+)\s+-?\d+/gm)]
  return first === undefined || second === undefined
    ? undefined
    : [Number(first[1]), Number(first[2]), Number(second[1]), Number(second[2])]
}

const lies = (matrix: Matrix | undefined): matrix is Matrix =>
  matrix !== undefined && Math.abs(matrix[0]) < Math.abs(matrix[1])

/** Size on the screen: pixels made square, then turned. */
export const displayed = (stored: Size, aspect: number, matrix: Matrix | undefined): Size => {
  const width = Math.max(1, Math.round(stored.width * aspect))
  return lies(matrix) ? { width: stored.height, height: width } : { width, height: stored.height }
}

/** Filters that turn a photograph upright, as ffmpeg 5 and newer would do it by themselves. */
export const turning = (matrix: Matrix | undefined): ReadonlyArray<string> => {
  if (matrix === undefined) return []
  const [a, b, c, d] = matrix
  if (lies(matrix)) {
    if (b > 0) return [`transpose=${c > 0 ? "cclock_flip" : "clock"}`]
    return [`transpose=${c < 0 ? "clock_flip" : "cclock"}`]
  }
  return [...(a < 0 ? ["hflip"] : []), ...(d < 0 ? ["vflip"] : [])]
}

const even = (value: number) => Math.max(2, 2 * Math.floor((value + 0.5) / 2))

/** The largest size inside the box with the same aspect, never larger than the original. Even, because H.264 halves colours. */
export const fitted = (size: Size, box: Size): Size => {
  const scale = Math.min(1, box.width / size.width, box.height / size.height)
  return { width: even(size.width * scale), height: even(size.height * scale) }
}

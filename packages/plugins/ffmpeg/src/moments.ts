/**
 * From asked moments to the pictures that are on the screen at them, and from those to as few runs of ffmpeg as pay off.
 */
import type { Medium } from "./medium.ts"

/** One picture to keep. */
export interface Pick {
  /** Its place among the medium's pictures. */
  readonly index: number
  /** Just before its moment, on the file's own clock. */
  readonly at: number
}

export interface Chosen {
  /** Ascending, each picture once. */
  readonly picks: ReadonlyArray<Pick>
  /** In the order asked: the moment, and the index of the picture that shows it. Moments outside the medium are gone. */
  readonly wanted: ReadonlyArray<{ readonly at: number; readonly pick: number }>
}

/** Index of the last entry that is not after `value`, or -1. */
const lastUpTo = (ascending: ReadonlyArray<number>, value: number) => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Half a millisecond: what is lost when seconds are written with a few digits. */
const rounding = 0.0005

export const chosen = (medium: Medium, at: ReadonlyArray<number>): Chosen => {
  const still = medium.info.kind === "image"
  const start = medium.shown[0] ?? 0
  const wanted = at.flatMap((moment) => {
    if (still) return moment === 0 ? [{ at: moment, pick: 0 }] : []
    const inside = moment >= 0 && moment < medium.info.duration
    return inside ? [{ at: moment, pick: lastUpTo(medium.shown, start + moment + rounding) }] : []
  })
  const picks = [...new Set(wanted.map(({ pick }) => pick))]
    .sort((one, other) => one - other)
    .map((index) => ({ index, at: (medium.shown[index] ?? 0) - rounding }))
  return { picks, wanted }
}

/** The pick that a decoded picture is, by its moment; none when its pick was damaged and this is a later picture. */
export const pickOf = (medium: Medium, picks: ReadonlyArray<Pick>, at: number): Pick | undefined => {
  const pick = picks.findLast((candidate) => candidate.at <= at)
  const patience = Math.max(0.1, 2 / Math.max(medium.info.frameRate, 1))
  return pick !== undefined && at - pick.at <= patience ? pick : undefined
}

export interface Stretch {
  readonly picks: ReadonlyArray<Pick>
  /** Where ffmpeg may jump to before it decodes, on the file's own clock; absent: from the beginning. */
  readonly from?: number
}

/** Seconds of decoding that cost about as much as another start of ffmpeg. */
const worthJump = 3
/** Terms that ffmpeg's expressions take: they are a chain, and it goes a hundred steps deep. */
const mostTerms = 90

/** Neighbours share a run; a long way from one pick to the next one's key picture starts another. */
export const inStretches = (medium: Medium, picks: ReadonlyArray<Pick>, seekable: boolean): ReadonlyArray<Stretch> => {
  const stretches: Array<{ picks: Array<Pick>; from?: number }> = []
  const start = medium.shown[0] ?? 0
  let reached = start
  for (const pick of picks) {
    const key = seekable ? medium.keys[lastUpTo(medium.keys, pick.at + 2 * rounding)] : undefined
    const current = stretches.at(-1)
    const near = key === undefined || key - reached <= worthJump
    if (current !== undefined && near && current.picks.length < mostTerms) current.picks.push(pick)
    else stretches.push({ picks: [pick], ...(key !== undefined && key > start ? { from: key } : {}) })
    reached = pick.at
  }
  return stretches
}

/**
 * What the copies of a medium must not show: faces, and plates of vehicles that the report is not about. Whatever is unsure is hidden;
 * who decides may look at the original.
 */
import type { BlurRegion } from "../../ports/Encoder.ts"
import type { FindingRow } from "./model.ts"
import { folded } from "./plates.ts"

/** A finding as far as hiding goes. */
export type Seen = Pick<FindingRow, "kind" | "at" | "box" | "text">
type Box = FindingRow["box"]

/** Characters of a reading that must be known before it counts as one of a plate of the report. */
const enough = 4

/** The same plate, read worse: as long, at most one character read differently, and most of them read. */
const readsAs = (text: string, plate: string): boolean => {
  const [read, whole] = [folded(text, "?"), folded(plate)]
  if (read.length !== whole.length) return false
  const known = [...read]
    .map((character, place) => [character, whole[place]])
    .filter(([character]) => character !== "?")
  const same = known.filter(([character, other]) => character === other).length
  return same >= Math.min(enough, whole.length) && known.length - same <= 1
}

/** Parts of the smaller box that the other covers, 0–1. */
const covered = (a: Box, b: Box): number => {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (across <= 0 || down <= 0) return 0
  return (across * down) / Math.min(a.width * a.height, b.width * b.height)
}

/** The findings that copies hide, of all those in one medium. `about`: the plates of the report. */
export const hiddenOf = <A extends Seen>(
  findings: ReadonlyArray<A>,
  about: ReadonlyArray<string>
): ReadonlyArray<A> => {
  const plates = findings.filter(({ kind }) => kind === "plate")
  const own = plates.filter(({ text }) => text !== null && about.some((plate) => readsAs(text, plate)))
  // Of the report's own plate a second, unread finding may lie on the first.
  const onOwn = (one: Seen) =>
    one.text === null && own.some((plate) => plate.at === one.at && covered(plate.box, one.box) > 0.5)
  return [
    ...findings.filter(({ kind }) => kind === "face"),
    ...plates.filter((one) => !own.includes(one) && !onOwn(one))
  ]
}

/** Of a box's sides, added on every side: boxes are drawn tight, and things move between the moments looked at. */
const margin = { still: 0.1, moving: 0.35 } as const

const widened = ({ height, width, x, y }: Box, by: number): Box => ({
  x: x - width * by,
  y: y - height * by,
  width: width * (1 + 2 * by),
  height: height * (1 + 2 * by)
})

/** In a photograph, or in whatever shows one moment only. */
export const stillRegions = (hidden: ReadonlyArray<Seen>): ReadonlyArray<BlurRegion> =>
  hidden.map(({ box }) => ({ box: widened(box, margin.still) }))

/** In frames taken at the moments looked at: each hides what was seen in it, and nothing else. */
export const frameRegions = (hidden: ReadonlyArray<Seen>): ReadonlyArray<BlurRegion> =>
  hidden.map(({ at, box }) => ({ box: widened(box, margin.still), from: (at ?? 0) - 0.005, to: (at ?? 0) + 0.005 }))

/**
 * In a video: from the moment looked at before to the one looked at after, so that between two moments the places of both are hidden.
 * `moments`: those looked at, ascending, in seconds.
 */
export const movingRegions = (hidden: ReadonlyArray<Seen>, moments: ReadonlyArray<number>): ReadonlyArray<BlurRegion> =>
  hidden.map(({ at, box }) => {
    const from = moments.findLast((moment) => moment < (at ?? 0))
    const to = moments.find((moment) => moment > (at ?? 0))
    return {
      box: widened(box, margin.moving),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to })
    }
  })

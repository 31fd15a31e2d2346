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

/** What copies hide of all that was found in one medium, and the plates they must go on showing. */
export interface Sorted<A extends Seen> {
  readonly hidden: ReadonlyArray<A>
  readonly shown: ReadonlyArray<A>
}

/** `about`: the plates of the report. */
export const sortOut = <A extends Seen>(findings: ReadonlyArray<A>, about: ReadonlyArray<string>): Sorted<A> => {
  const plates = findings.filter(({ kind }) => kind === "plate")
  const shown = plates.filter(({ text }) => text !== null && about.some((plate) => readsAs(text, plate)))
  // Of the report's own plate a second, unread finding may lie on the first.
  const onShown = (one: Seen) =>
    one.text === null && shown.some((plate) => plate.at === one.at && covered(plate.box, one.box) > 0.5)
  const hidden = [
    ...findings.filter(({ kind }) => kind === "face"),
    ...plates.filter((one) => !shown.includes(one) && !onShown(one))
  ]
  return { hidden, shown }
}

/** Of a box's sides, added on every side: boxes are drawn tight, and things move between the moments looked at. */
const margin = { still: 0.15, moving: 0.35 } as const

const widened = ({ height, width, x, y }: Box, by: number): Box => ({
  x: x - width * by,
  y: y - height * by,
  width: width * (1 + 2 * by),
  height: height * (1 + 2 * by)
})

/** What is left of a box around another one: above, below, to the left and to the right. */
const around = (box: Box, hole: Box): ReadonlyArray<Box> => {
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

/** A supposed face leaves free the plate that the report is about, which no face ever covers; a plate's place is hidden whole. */
const boxesOf = (one: Seen, by: number, shown: ReadonlyArray<Seen>): ReadonlyArray<Box> =>
  one.kind === "face"
    ? shown.reduce<ReadonlyArray<Box>>(
        (boxes, plate) => boxes.flatMap((box) => around(box, widened(plate.box, margin.still))),
        [widened(one.box, by)]
      )
    : [widened(one.box, by)]

/** In a photograph, or in whatever shows one moment only. */
export const stillRegions = ({ hidden, shown }: Sorted<Seen>): ReadonlyArray<BlurRegion> =>
  hidden.flatMap((one) => boxesOf(one, margin.still, shown).map((box) => ({ box })))

/** In frames taken at the moments looked at: each hides what was seen in it, and nothing else. */
export const frameRegions = ({ hidden, shown }: Sorted<Seen>): ReadonlyArray<BlurRegion> =>
  hidden.flatMap((one) => {
    const at = one.at ?? 0
    const then = shown.filter((plate) => plate.at === one.at)
    return boxesOf(one, margin.still, then).map((box) => ({ box, from: at - 0.005, to: at + 0.005 }))
  })

/**
 * In a video: from the moment looked at before to the one looked at after, so that between two moments the places of both are hidden.
 * `moments`: those looked at, ascending, in seconds.
 */
export const movingRegions = (
  { hidden, shown }: Sorted<Seen>,
  moments: ReadonlyArray<number>
): ReadonlyArray<BlurRegion> =>
  hidden.flatMap((one) => {
    const at = one.at ?? 0
    const from = moments.findLast((moment) => moment < at)
    const to = moments.find((moment) => moment > at)
    const then = shown.filter((plate) => (plate.at ?? 0) >= (from ?? 0) && (plate.at ?? 0) <= (to ?? Infinity))
    const times = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
    return boxesOf(one, margin.moving, then).map((box) => ({ box, ...times }))
  })

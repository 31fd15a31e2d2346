/**
 * What the copies of a medium must not show: faces, and plates of vehicles that the report is not about. Whatever is unsure is hidden;
 * who decides may look at the original.
 */
import type { Box } from "../../ports/Detector.ts"
import { type BlurRegion, maxBlurRegions } from "../../ports/Encoder.ts"
import { around, covered, union, widened } from "./geometry.ts"
import type { FindingRow } from "./model.ts"
import { folded } from "./plates.ts"
import { type Sighting, tracksOf, waysOf } from "./tracks.ts"

/** A finding as far as hiding goes. */
export type Seen = Pick<FindingRow, "kind" | "at" | "box" | "text">

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

/** A supposed face leaves free the plate that the report is about, which no face ever covers; a plate's place is hidden whole. */
const boxesOf = (kind: string, box: Box, shown: ReadonlyArray<Seen>): ReadonlyArray<Box> =>
  kind === "face"
    ? shown.reduce<ReadonlyArray<Box>>(
        (boxes, plate) => boxes.flatMap((one) => around(one, widened(plate.box, margin.still))),
        [box]
      )
    : [box]

/**
 * As many regions as an encoder takes: where there are more, neighbours become one that covers them all. Copies then hide more than they
 * need to; without this a crowd would leave them unmade.
 */
export const atMost = (
  regions: ReadonlyArray<BlurRegion>,
  most: number = maxBlurRegions
): ReadonlyArray<BlurRegion> => {
  const together = Math.ceil(regions.length / most)
  if (together <= 1) return regions
  const sorted = regions.toSorted((a, b) => (a.from ?? 0) - (b.from ?? 0) || a.box.x - b.box.x)
  return Array.from({ length: Math.ceil(sorted.length / together) }, (_, index) =>
    sorted.slice(index * together, (index + 1) * together).reduce(joined)
  )
}

/** Both places for as long as either is hidden. */
const joined = (a: BlurRegion, b: BlurRegion): BlurRegion => ({
  box: union(a.box, b.box),
  ...(a.from === undefined || b.from === undefined ? {} : { from: Math.min(a.from, b.from) }),
  ...(a.to === undefined || b.to === undefined ? {} : { to: Math.max(a.to, b.to) })
})

/** In a photograph, or in whatever shows one moment only. */
export const stillRegions = ({ hidden, shown }: Sorted<Seen>): ReadonlyArray<BlurRegion> =>
  atMost(
    hidden.flatMap(({ box, kind }) => boxesOf(kind, widened(box, margin.still), shown).map((one) => ({ box: one })))
  )

/** In frames taken at the moments looked at: each hides what was seen in it, and nothing else. */
export const frameRegions = ({ hidden, shown }: Sorted<Seen>): ReadonlyArray<BlurRegion> =>
  atMost(
    hidden.flatMap((one) => {
      const then = shown.filter((plate) => plate.at === one.at)
      const times = one.at === null ? {} : { from: one.at - 0.005, to: one.at + 0.005 }
      return boxesOf(one.kind, widened(one.box, margin.still), then).map((box) => ({ box, ...times }))
    })
  )

/** By how much a place may grow and still count as the same. */
const stillness = 1.3
const areaOf = ({ height, width }: Box) => height * width

/** One place after the other, where the thing did not move: one region for both. */
const rested = (holds: ReadonlyArray<BlurRegion>): ReadonlyArray<BlurRegion> =>
  holds.reduce<ReadonlyArray<BlurRegion>>((all, next) => {
    const last = all.at(-1)
    if (last === undefined || areaOf(joined(last, next).box) > stillness * areaOf(next.box)) return [...all, next]
    return [...all.slice(0, -1), joined(last, next)]
  }, [])

const isBeside = (track: ReadonlyArray<Seen>, shown: ReadonlyArray<Seen>) =>
  track.some(
    ({ box, kind }) =>
      kind === "face" &&
      shown.some((plate) => covered(widened(box, margin.moving), widened(plate.box, margin.still)) > 0)
  )

/**
 * In a video. What was seen is hidden from the moment looked at before to the one looked at after; where it moved, so are the places
 * in between, while it passes them. What was seen at no moment that is known is hidden all the time.
 * `moments`: those looked at, ascending, in seconds.
 */
export const movingRegions = (
  { hidden, shown }: Sorted<Seen>,
  moments: ReadonlyArray<number>
): ReadonlyArray<BlurRegion> => {
  const holdOf = ({ at, box }: Sighting): BlurRegion => {
    const from = moments.findLast((moment) => moment < at)
    const to = moments.find((moment) => moment > at)
    return { box, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  }
  const cleared = (kind: string) => (region: BlurRegion) => {
    const then = shown.filter(({ at }) => (at ?? 0) >= (region.from ?? 0) && (at ?? 0) <= (region.to ?? Infinity))
    return boxesOf(kind, widened(region.box, margin.moving), then).map((box) => ({ ...region, box }))
  }
  const timed = hidden.flatMap((one) => (one.at === null ? [] : [{ ...one, at: one.at }]))
  const always = hidden.filter(({ at }) => at === null)
  return atMost([
    ...always.flatMap(({ box, kind }) => cleared(kind)({ box })),
    ...tracksOf(timed, moments).flatMap((track) => {
      const holds = track.map(holdOf)
      // A plate of the report is left free only while it is there, so a face beside its way keeps regions of their own times.
      const places = isBeside(track, shown) ? holds : rested(holds)
      return [...places, ...waysOf(track, moments)].flatMap(cleared(track[0]!.kind))
    })
  ])
}

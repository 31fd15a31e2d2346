/**
 * Which sightings of a film are most likely one thing, and the places it passes between them. A wrong guess hides more, never less: what
 * was seen is hidden for itself as well, see `movingRegions`.
 */
import type { Box } from "../../ports/Detector.ts"
import { covered, onTheWay, padded, union } from "./geometry.ts"

export interface Sighting {
  readonly kind: string
  /** Seconds. */
  readonly at: number
  readonly box: Box
  readonly text: string | null
}

/** A thing that detectors overlooked at this many moments is still the same. */
const overlooked = 1
/** Of its own width: as far as a thing may get from one moment to the next. Further, and it is another one. */
const reach = 4
/** One height as a part of the other, at least. */
const alike = 0.5

/** How little two sightings look like one thing; undefined: not at all. */
const strangeness = (a: Sighting, b: Sighting): number | undefined => {
  const [low, high] = [Math.min(a.box.height, b.box.height), Math.max(a.box.height, b.box.height)]
  if (a.kind !== b.kind || low < alike * high) return undefined
  const distance = Math.hypot(
    a.box.x + a.box.width / 2 - b.box.x - b.box.width / 2,
    a.box.y + a.box.height / 2 - b.box.y - b.box.height / 2
  )
  if (distance > reach * Math.max(a.box.width, b.box.width)) return undefined
  return a.text !== null && a.text === b.text ? distance / 4 : distance
}

/** `moments`: those looked at, ascending. Each sighting is in one track, each track in order of time. */
export const tracksOf = <A extends Sighting>(
  sightings: ReadonlyArray<A>,
  moments: ReadonlyArray<number>
): ReadonlyArray<ReadonlyArray<A>> => {
  const tracks: Array<Array<A>> = []
  const placeOf = ({ at }: A) => moments.findLastIndex((moment) => moment <= at)
  for (const index of [...new Set(sightings.map(placeOf))].sort((a, b) => a - b)) {
    const now = sightings.filter((one) => placeOf(one) === index)
    const taken = new Set<unknown>()
    const pairs = tracks
      .filter((track) => placeOf(track.at(-1)!) >= index - 1 - overlooked)
      .flatMap((track) => now.map((one) => ({ track, one, strange: strangeness(track.at(-1)!, one) })))
      .sort((a, b) => (a.strange ?? Infinity) - (b.strange ?? Infinity))
    for (const { one, strange, track } of pairs) {
      if (strange === undefined || taken.has(track) || taken.has(one)) continue
      track.push(one)
      taken.add(track).add(one)
    }
    for (const one of now) if (!taken.has(one)) tracks.push([one])
  }
  return tracks
}

/** A place and the seconds in which something passes it. */
export interface Passed {
  readonly box: Box
  readonly from: number
  readonly to: number
}

/** Of the way: how far a thing may be off the straight line when both of its ends were seen, and when one is only supposed. */
const astray = { seen: 0.1, supposed: 0.25 } as const
/** Into how many pieces a way is cut at most. */
export const pieces = 6

interface Way {
  readonly a: Sighting
  readonly b: Sighting
  /** Parts of the way from `a` to `b`, and the seconds there. */
  readonly from: readonly [part: number, at: number]
  readonly to: readonly [part: number, at: number]
  readonly astray: number
}

const along = ({ a, astray, b, from, to }: Way, most: number): ReadonlyArray<Passed> => {
  const [start, end] = [onTheWay(a.box, b.box, from[0]), onTheWay(a.box, b.box, to[0])]
  const [across, down] = [Math.abs(end.x - start.x), Math.abs(end.y - start.y)]
  const count = Math.min(most, Math.max(1, Math.ceil(Math.max(across / start.width, down / start.height))))
  return Array.from({ length: count }, (_, index) => ({
    box: padded(
      union(onTheWay(start, end, index / count), onTheWay(start, end, (index + 1) / count)),
      across * astray,
      down * astray
    ),
    from: from[1] + ((to[1] - from[1]) * index) / count,
    to: from[1] + ((to[1] - from[1]) * (index + 1)) / count
  }))
}

/** It stayed so close that hiding the two places hides what is between them. */
const stayed = (a: Sighting, b: Sighting) => {
  const [here, there] = [onTheWay(a.box, b.box, 0), onTheWay(a.box, b.box, 1)]
  return covered(here, there) > 0.75
}

/**
 * Where a thing passes from one sighting to the next, and, going straight on, before its first and after its last until the next moment
 * looked at, at which it was not seen.
 */
export const waysOf = (
  track: ReadonlyArray<Sighting>,
  moments: ReadonlyArray<number>,
  most: number = pieces
): ReadonlyArray<Passed> =>
  track.slice(1).flatMap((b, index) => {
    const a = track[index]!
    if (stayed(a, b)) return []
    const way = { a, b, from: [0, a.at], to: [1, b.at] } as const
    const partAt = (at: number) => (at - a.at) / (b.at - a.at)
    const before = index === 0 ? moments.findLast((moment) => moment < a.at) : undefined
    const after = index === track.length - 2 ? moments.find((moment) => moment > b.at) : undefined
    return [
      ...along({ ...way, astray: astray.seen }, most),
      ...(before === undefined
        ? []
        : along({ ...way, from: [partAt(before), before], to: way.from, astray: astray.supposed }, most)),
      ...(after === undefined
        ? []
        : along({ ...way, from: way.to, to: [partAt(after), after], astray: astray.supposed }, most))
    ]
  })

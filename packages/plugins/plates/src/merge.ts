/**
 * What several frames of one video agree on is surer than one frame: readings of the same plate in different frames are weighed together.
 * One finding is kept per plate and frame, each with its own box.
 */
import type { DetectorFrame, Finding } from "@mahalla/core/plugin"
import type { Face } from "./faces.ts"
import { fold } from "./grammar.ts"
import type { PlateReading } from "./read.ts"

interface Seen {
  readonly frame: number
  readonly reading: PlateReading
}

/** Whether two readings can be the same plate: as long as each other and no sure character against another. */
const compatible = (a: string, b: string): boolean => {
  const one = fold(a)
  const other = fold(b)
  if (one.length !== other.length) return false
  let equal = 0
  for (let i = 0; i < one.length; i++) {
    if (one[i] === other[i]) equal++
    else if (one[i] !== "?" && other[i] !== "?") return false
  }
  return equal >= Math.ceil(one.length * 0.6)
}

/** At most one character apart: a certain reading beside it outvotes the unsure one, two certain ones contradict each other. */
const near = (a: string, b: string): boolean => {
  if (a.length !== b.length) return false
  let apart = 0
  for (let i = 0; i < a.length; i++) if (fold(a[i]!) !== fold(b[i]!)) apart++
  return apart === 1
}

/** How much a further frame that agrees takes off the doubt. */
const agreement = 0.5
/** Unsure readings of this many frames that agree in every character make a certain one, if each was this sure. */
const witnesses = 3
const witness = 0.6

const momentOf = (frames: ReadonlyArray<DetectorFrame>, frame: number) => {
  const at = frames[frame]?.at
  return at === undefined ? {} : { at }
}

/** A plate of which nothing could be read is a place and no more. */
const unread = (frames: ReadonlyArray<DetectorFrame>, frame: number, { box, confidence }: PlateReading): Finding => ({
  kind: "plate",
  frame,
  ...momentOf(frames, frame),
  box,
  confidence,
  certain: false
})

/** Faces are places too, each for itself: nothing says whose they are. */
export const facesOf = (
  frames: ReadonlyArray<DetectorFrame>,
  found: ReadonlyArray<ReadonlyArray<Face>>
): ReadonlyArray<Finding> =>
  found.flatMap((list, frame) =>
    list.map(({ box, confidence }) => ({
      kind: "face",
      frame,
      ...momentOf(frames, frame),
      box,
      confidence,
      certain: false
    }))
  )

export const mergeFrames = (
  frames: ReadonlyArray<DetectorFrame>,
  readings: ReadonlyArray<ReadonlyArray<PlateReading>>
): ReadonlyArray<Finding> => {
  const all: Array<Seen> = readings.flatMap((list, frame) => list.map((reading) => ({ frame, reading })))
  const findings = all.map(({ frame, reading }): Finding => {
    if (reading.text === "") return unread(frames, frame, reading)
    const others = all.filter((other) => other.frame !== frame)
    const agreeing = new Set(others.filter((o) => fold(o.reading.text) === fold(reading.text)).map((o) => o.frame)).size
    const vouching = new Set(
      others
        .filter((o) => fold(o.reading.text) === fold(reading.text) && o.reading.confidence >= witness)
        .map((o) => o.frame)
    ).size
    // Two sure readings one character apart are most likely one plate, read wrongly once: neither is certain unless outvoted clearly.
    const against = new Set(
      others.filter((o) => o.reading.certain && near(o.reading.text, reading.text)).map((o) => o.frame)
    ).size
    const contested = against > 0 && agreeing < 2 * against
    const sure =
      reading.certain ||
      (!reading.text.includes("?") &&
        reading.format !== undefined &&
        reading.confidence >= witness &&
        vouching >= witnesses - 1)
    const better = all
      .filter((o) => o.reading.certain && compatible(o.reading.text, reading.text))
      .sort((a, b) => b.reading.confidence - a.reading.confidence)[0]?.reading
    // An unreadable spot in this frame was read in another one; the text is known, this frame alone does not prove it.
    const text = !sure && reading.text.includes("?") && better !== undefined ? better.text : reading.text
    const certain = sure && !contested
    const confidence = certain
      ? 1 - (1 - Math.max(reading.confidence, 0.8)) * agreement ** Math.min(agreeing, 4)
      : Math.min(0.79, reading.confidence)
    return {
      kind: "plate",
      frame,
      ...momentOf(frames, frame),
      box: reading.box,
      text,
      ...(reading.country === undefined ? {} : { country: reading.country }),
      ...(reading.format === undefined ? {} : { format: reading.format }),
      confidence,
      certain
    }
  })
  return findings.sort((a, b) => b.confidence - a.confidence || a.frame - b.frame)
}

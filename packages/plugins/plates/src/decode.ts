/**
 * From scores per column to texts with probabilities: a prefix beam search over all ways of spelling a text (connectionist temporal
 * classification), which also says how much probability is left for other texts.
 */
import type { Network, Scores } from "./network.ts"

export interface Reading {
  /** O is written as 0: only a national format can tell them apart. */
  readonly text: string
  readonly probability: number
}

interface Beam {
  readonly text: string
  /** Probability of the spellings that end in nothing, and of those that end in the last character. */
  blank: number
  ink: number
}

const width = 8
/** Logarithm of a probability not worth following. */
const floor = Math.log(1e-3)

/** The likeliest texts, best first. */
export const readings = (network: Network, scores: Scores): ReadonlyArray<Reading> => {
  const nothing = scores.kinds - 1
  let beams: Array<Beam> = [{ text: "", blank: 1, ink: 0 }]
  for (let t = 0; t < scores.steps; t++) {
    const next = new Map<string, Beam>()
    const at = (text: string): Beam => {
      let beam = next.get(text)
      if (beam === undefined) next.set(text, (beam = { text, blank: 0, ink: 0 }))
      return beam
    }
    const base = t * scores.kinds
    const pNothing = Math.exp(scores.logs[base + nothing]!)
    const live: Array<number> = []
    for (let k = 0; k < nothing; k++) if (scores.logs[base + k]! > floor) live.push(k)
    // Most columns hold nothing for certain.
    if (live.length === 0) {
      for (const beam of beams) {
        beam.blank = (beam.blank + beam.ink) * pNothing
        beam.ink = 0
      }
      continue
    }
    for (const beam of beams) {
      const total = beam.blank + beam.ink
      const stay = at(beam.text)
      stay.blank += total * pNothing
      for (const k of live) {
        const p = Math.exp(scores.logs[base + k]!)
        const character = network.classes[k]!
        if (beam.text.endsWith(character)) {
          stay.ink += beam.ink * p
          at(beam.text + character).ink += beam.blank * p
        } else at(beam.text + character).ink += total * p
      }
    }
    beams = [...next.values()].sort((a, b) => b.blank + b.ink - a.blank - a.ink).slice(0, width)
  }
  return beams
    .map((beam) => ({ text: beam.text, probability: beam.blank + beam.ink }))
    .filter((r) => r.probability > 1e-6)
}

/** Characters of the likeliest path with the probability of each and the columns it stands in. */
export interface Mark {
  readonly character: string
  readonly probability: number
  readonly from: number
  readonly to: number
}

export const marks = (network: Network, scores: Scores): ReadonlyArray<Mark> => {
  const nothing = scores.kinds - 1
  const found: Array<Mark> = []
  let last = nothing
  for (let t = 0; t < scores.steps; t++) {
    let best = 0
    for (let k = 1; k < scores.kinds; k++)
      if (scores.logs[t * scores.kinds + k]! > scores.logs[t * scores.kinds + best]!) best = k
    if (best !== nothing) {
      const probability = Math.exp(scores.logs[t * scores.kinds + best]!)
      const previous = found.at(-1)
      if (best === last && previous !== undefined)
        found[found.length - 1] = { ...previous, to: t, probability: Math.max(previous.probability, probability) }
      else found.push({ character: network.classes[best]!, probability, from: t, to: t })
    }
    last = best
  }
  return found
}

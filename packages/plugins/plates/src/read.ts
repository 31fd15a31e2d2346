/**
 * Reads the plates of one picture: candidate lines, each cut out several times with small disturbances, each cutting read by the network;
 * what stays the same under all disturbances and obeys a format is certain.
 */
import { findLines } from "./candidates.ts"
import { marks, readings } from "./decode.ts"
import { fold, match, type Match } from "./grammar.ts"
import { boxAround, type Grey, type TextLine } from "./image.ts"
import { type Network, run } from "./network.ts"
import { cutStrip, type Jitter, pyramid, still } from "./strip.ts"

export interface PlateReading {
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
  /** `?` where a character could not be read; empty where the whole could not, though it looks like a plate. */
  readonly text: string
  readonly format?: string
  readonly country?: string
  readonly confidence: number
  readonly certain: boolean
}

/** Lines tried per picture. */
const lineLimit = 10
/** A first look below this is no plate. */
const plausible = 0.02
/** What a certain reading must reach: its mean probability over all cuttings, and the lowest one. */
const surely = 0.8
const everywhere = 0.35
/** What a line that cannot be read must have to be a plate all the same: parts of a character's shape, and length over their height. */
const parts = 4
const shape = { least: 3.5, most: 8 }
/** The same for words and short texts, which signs and lettering have too. */
const surelyWord = 0.9

const disturbances: ReadonlyArray<Jitter> = [
  { zoom: 1.12, shear: 0, tilt: 0 },
  { zoom: 0.92, shear: 0.1, tilt: 0.012 },
  { zoom: 1.04, shear: -0.1, tilt: -0.012 }
]

/** Leans that are tried where the upright look is not clear: a camera beside the car sees its plate so. */
const leans = [0.22, -0.22]
const clear = 0.5
const clearer = 0.25

interface Hypothesis {
  readonly match: Match
  probability: number
}

/** Readings of one cutting by what they settle to, as shares of the probability that all plausible texts have. */
const hypotheses = (
  network: Network,
  levels: ReadonlyArray<Grey>,
  line: TextLine,
  jitter: Jitter,
  countries: ReadonlyArray<string>
) => {
  const strip = cutStrip(levels, line, jitter)
  const scores = run(network, strip)
  const found = new Map<string, Hypothesis>()
  let none = 0
  let total = 0
  for (const reading of readings(network, scores)) {
    const matched = match(reading.text, countries)
    const weight = matched?.weight ?? 0.04
    total += weight * reading.probability
    if (matched === undefined) {
      none += weight * reading.probability
      continue
    }
    const known = found.get(matched.text)
    if (known === undefined) found.set(matched.text, { match: matched, probability: weight * reading.probability })
    else known.probability += weight * reading.probability
  }
  if (total > 0) for (const one of found.values()) one.probability /= total
  return { found, none: total > 0 ? none / total : 1, strip, scores }
}

type Looked = ReturnType<typeof hypotheses>

const best = (looked: Looked): Hypothesis | undefined =>
  [...looked.found.values()].sort((a, b) => b.probability - a.probability)[0]

/** The text with `?` for each character of the likeliest path that is itself unsure. */
const masked = (text: string, network: Network, looked: Looked): string => {
  const path = marks(network, looked.scores)
  if (path.length !== text.length) return text
  return [...text]
    .map((c, i) => (path[i]!.probability < 0.7 || fold(path[i]!.character) !== fold(c) ? "?" : c))
    .join("")
}

/** Whoever hides plates must hide the dirty and the blurred ones too. */
const looksLikePlate = (line: TextLine): boolean => {
  const wide = line.length / line.cap
  return line.support >= parts && wide >= shape.least && wide <= shape.most
}

const readLine = (network: Network, levels: ReadonlyArray<Grey>, line: TextLine, countries: ReadonlyArray<string>) => {
  let first = hypotheses(network, levels, line, still, countries)
  let lean = 0
  if (line.support >= 5 && (best(first)?.probability ?? 0) < clear)
    for (const shear of leans) {
      const look = hypotheses(network, levels, line, { ...still, shear }, countries)
      if ((best(look)?.probability ?? 0) < (best(first)?.probability ?? 0) + clearer) continue
      first = look
      lean = shear
    }
  const guess = best(first)
  if (guess === undefined || guess.probability < plausible)
    return looksLikePlate(line) ? ("unread" as const) : undefined
  const looks = [
    first,
    ...disturbances.map((jitter) =>
      hypotheses(network, levels, line, { ...jitter, shear: jitter.shear + lean }, countries)
    )
  ]
  const texts = new Set(looks.flatMap((looked) => [...looked.found.keys()]))
  let top: { readonly match: Match; readonly mean: number; readonly low: number } | undefined
  for (const text of texts) {
    const each = looks.map((looked) => looked.found.get(text)?.probability ?? 0)
    const mean = each.reduce((a, b) => a + b, 0) / each.length
    const low = Math.min(...each)
    const matched = looks.map((looked) => looked.found.get(text)).find((one) => one !== undefined)!.match
    if (top === undefined || mean > top.mean) top = { match: matched, mean, low }
  }
  if (top === undefined) return "unread" as const
  const path = marks(network, first.scores)
  const ends =
    path.length > 0
      ? [first.strip.toPixels(path[0]!.from * 2), first.strip.toPixels(path.at(-1)!.to * 2 + 2)]
      : undefined
  const centre = ends === undefined ? 0 : (ends[0]! + ends[1]!) / 2
  const where: TextLine =
    ends === undefined
      ? line
      : {
          ...line,
          cx: line.cx + centre,
          cy: line.cy + centre * line.slope,
          length: ends[1]! - ends[0]! + line.cap * 0.3
        }
  const word = top.match.weight < 0.5
  const short = top.match.text.length < 6
  // Road signs and lettering bear words and short texts as well: such a text must be dark on light, and either long or of a format asked for.
  const expected = !(word || short) || (line.dark && (word ? !short : top.match.weight === 1))
  const sure = top.mean >= (word || short ? surelyWord : surely) && top.low >= everywhere
  const certain = sure && expected && !top.match.ambiguous
  return { line: where, top, certain, text: certain ? top.match.text : masked(top.match.text, network, first) }
}

const overlap = (a: PlateReading["box"], b: PlateReading["box"]): boolean =>
  Math.min(a.x + a.width, b.x + b.width) > Math.max(a.x, b.x) &&
  Math.min(a.y + a.height, b.y + b.height) > Math.max(a.y, b.y)

/** Findings of one picture, surest first, in pixels of `grey`. */
export const readPlates = (
  networks: Network,
  grey: Grey,
  countries: ReadonlyArray<string>,
  expired: () => boolean = () => false
): ReadonlyArray<PlateReading> => {
  const levels = pyramid(grey)
  const found: Array<PlateReading> = []
  for (const line of findLines(grey, lineLimit)) {
    if (expired()) break
    const reading = readLine(networks, levels, line, countries)
    if (reading === undefined) continue
    if (reading === "unread") {
      found.push({ box: boxAround(line, grey), text: "", confidence: 0.01, certain: false })
      continue
    }
    const { match: matched, mean } = reading.top
    found.push({
      box: boxAround(reading.line, grey),
      text: reading.text,
      format: matched.format,
      ...(matched.country === undefined ? {} : { country: matched.country }),
      confidence: reading.certain ? mean : Math.min(mean, 0.79),
      certain: reading.certain
    })
  }
  found.sort((a, b) => Number(b.certain) - Number(a.certain) || b.confidence - a.confidence)
  return found.filter((one, i) => !found.slice(0, i).some((better) => overlap(one.box, better.box)))
}

/**
 * The matcher of plate formats. The reader sees O and 0 as one character and takes I for 1 and back; the place in the format settles it.
 */
import { type Format, formats, generic, ownChoice } from "./formats.ts"

export interface Match {
  /** With letters and digits settled. */
  readonly text: string
  readonly format: string
  readonly country?: string
  /** 0–1: how much a text of such a format is to be expected here. */
  readonly weight: number
  /** Another reading of the same characters obeys as good a format: nothing settles O and 0. */
  readonly ambiguous: boolean
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
const digits = "0123456789"
const polish = "ACEFGHJKLMNPQRSTUVWXY"

/** What a character that was read may be on the plate. */
const twins: Readonly<Record<string, string>> = { "0": "0O", O: "0O", "1": "1I", I: "1I" }

const allowed = (token: string): string =>
  token === "L" ? letters : token === "D" || token === "R" ? digits : token === "P" ? polish : token.toUpperCase()

/** The text as the shape has it, or nothing where it does not fit. */
export const settle = (text: string, shape: string): string | undefined => {
  const tokens = shape.replaceAll(" ", "")
  if (tokens.length !== text.length) return undefined
  let settled = ""
  for (let i = 0; i < tokens.length; i++) {
    const choices = twins[text[i]!] ?? text[i]!
    const fits = allowed(tokens[i]!)
    const character = [...choices].find((c) => fits.includes(c))
    if (character === undefined) return undefined
    settled += character
  }
  // There is no region 00; the codes 01 to 99 are all given to some region.
  const region = tokens.indexOf("R")
  if (region >= 0 && settled.slice(region, region + 2) === "00") return undefined
  return settled
}

const matches = (text: string, format: Format): ReadonlyArray<string> => [
  ...new Set(format.shapes.map((shape) => settle(text, shape)).filter((settled) => settled !== undefined))
]

/** I and 1 look different enough that the fewest changes of one into the other are the likelier. O and 0 cannot be told by looks. */
const changes = (read: string, settled: string): number =>
  [...settled].filter((c, i) => c !== read[i] && (c === "I" || c === "1")).length

const rival = (read: string, chosen: string, other: string): boolean =>
  other !== chosen && changes(read, other) === changes(read, chosen)

/** O and 0, I and 1 as one: for comparing readings, not for showing. */
export const fold = (text: string): string => text.replaceAll("O", "0").replaceAll("I", "1")

/**
 * The most expected format that a text obeys. `countries` are tried first, in their order; then the other countries, who must agree;
 * then own-choice words; then any mix of letters and digits, where nothing settles an O. Texts under 4 or over 10 characters obey none.
 */
export const match = (text: string, countries: ReadonlyArray<string>): Match | undefined => {
  if (text.length < 4 || text.length > 10) return undefined
  for (const country of countries) {
    const found = formats
      .filter((format) => format.country === country)
      .flatMap((format) => matches(text, format).map((settled) => ({ settled, format })))
      .sort((a, b) => changes(text, a.settled) - changes(text, b.settled))
    const first = found[0]
    if (first !== undefined)
      return {
        text: first.settled,
        format: first.format.name,
        country,
        weight: 1,
        ambiguous: found.some((other) => rival(text, first.settled, other.settled))
      }
  }
  const others = formats
    .filter((format) => format.country !== undefined && !countries.includes(format.country))
    .flatMap((format) => matches(text, format).map((settled) => ({ settled, format })))
    .sort((a, b) => changes(text, a.settled) - changes(text, b.settled))
  const first = others[0]
  if (first !== undefined)
    return {
      text: first.settled,
      format: first.format.name,
      ...(others.every((other) => other.format.country === first.format.country) && first.format.country !== undefined
        ? { country: first.format.country }
        : {}),
      weight: 0.6,
      ambiguous: others.some((other) => rival(text, first.settled, other.settled))
    }
  const own = matches(text, ownChoice)[0]
  if (own !== undefined) return { text: own, format: ownChoice.name, weight: 0.2, ambiguous: false }
  if (/[A-Z]/.test(text) && /[0-9]/.test(text) && text.length <= 9)
    return { text, format: generic.name, weight: 0.08, ambiguous: /[0O]/.test(text) }
  return undefined
}

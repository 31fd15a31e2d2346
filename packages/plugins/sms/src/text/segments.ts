/**
 * How a text is cut into messages: 160 septets or 70 UTF-16 units in one, 153 or 67 in each of several, because their header takes the
 * rest. No character is cut in two.
 */
import { toSeptets } from "./gsm7.ts"

export interface Segments {
  /** `ucs2` as soon as one character is not in the phones' alphabet: Cyrillic, and the Uzbek letters with ʻ or ʼ. */
  readonly coding: "gsm7" | "ucs2"
  /** Octets of each part, without header, as SMPP carries them. */
  readonly parts: ReadonlyArray<Uint8Array>
}

/** Sizes and limits in septets or octets. */
const cut = (characters: ReadonlyArray<ReadonlyArray<number>>, alone: number, among: number) => {
  const size = characters.reduce((sum, codes) => sum + codes.length, 0)
  if (size <= alone) return [Uint8Array.from(characters.flat())]
  const parts: Array<Array<number>> = [[]]
  for (const codes of characters) {
    if (parts.at(-1)!.length + codes.length > among) parts.push([])
    parts.at(-1)!.push(...codes)
  }
  return parts.map((part) => Uint8Array.from(part))
}

export const segment = (text: string): Segments => {
  const septets = toSeptets(text)
  if (septets !== undefined) return { coding: "gsm7", parts: cut(septets, 160, 153) }
  return {
    coding: "ucs2",
    // By code point: surrogates stay together. `swap16` makes them big-endian.
    parts: cut(
      Array.from(text, (character) => [...Buffer.from(character, "utf16le").swap16()]),
      140,
      134
    )
  }
}

/** The largest number of parts that the header can count. */
export const mostParts = 255

/** Concatenation header of 3GPP TS 23.040, 9.2.3.24.1. `reference` is the same in all parts of one message; `part` counts from 1. */
export const header = (reference: number, parts: number, part: number): Uint8Array =>
  Uint8Array.from([5, 0, 3, reference & 0xff, parts, part])

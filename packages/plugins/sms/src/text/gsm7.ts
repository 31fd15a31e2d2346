/**
 * The phones' own alphabet (GSM 03.38, 3GPP TS 23.038): 127 characters of seven bits, and ten more behind an escape. One octet per
 * septet, as SMPP carries it.
 */

const basic =
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
  "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

const escape = 0x1b

const extension: Readonly<Record<string, number>> = {
  "\f": 0x0a,
  "^": 0x14,
  "{": 0x28,
  "}": 0x29,
  "\\": 0x2f,
  "[": 0x3c,
  "~": 0x3d,
  "]": 0x3e,
  "|": 0x40,
  "€": 0x65
}

const septets = new Map<string, ReadonlyArray<number>>([
  ...[...basic].flatMap((character, code) =>
    code === escape ? [] : [[character, [code]] as [string, ReadonlyArray<number>]]
  ),
  ...Object.entries(extension).map(([character, code]): [string, ReadonlyArray<number>] => [character, [escape, code]])
])
const characters = new Map([...septets].map(([character, codes]) => [codes.join(" "), character]))

/** Septets of each character; undefined when one of them is not in the alphabet. */
export const toSeptets = (text: string): ReadonlyArray<ReadonlyArray<number>> | undefined => {
  const all: Array<ReadonlyArray<number>> = []
  for (const character of text) {
    const codes = septets.get(character)
    if (codes === undefined) return undefined
    all.push(codes)
  }
  return all
}

/** What a phone shows; an escape that leads nowhere is a space. */
export const fromSeptets = (octets: Uint8Array): string => {
  let text = ""
  for (let index = 0; index < octets.length; index++) {
    const code = octets[index]!
    text += (code === escape ? characters.get(`${code} ${octets[++index]}`) : characters.get(`${code}`)) ?? " "
  }
  return text
}

import { describe, expect, it } from "vitest"
import fc from "fast-check"
import { plainApostrophes } from "./apostrophes.ts"
import { fromSeptets } from "./gsm7.ts"
import { header, segment } from "./segments.ts"

const back = (text: string) => {
  const { coding, parts } = segment(text)
  return parts
    .map((part) => (coding === "gsm7" ? fromSeptets(part) : Buffer.from(part).swap16().toString("utf16le")))
    .join("")
}
const count = (text: string) => [segment(text).coding, segment(text).parts.length]

describe("parts of a text", () => {
  it.each([
    ["x".repeat(160), "gsm7", 1],
    ["x".repeat(161), "gsm7", 2],
    ["x".repeat(306), "gsm7", 2],
    ["x".repeat(307), "gsm7", 3],
    ["€".repeat(80), "gsm7", 1],
    ["€".repeat(81), "gsm7", 2],
    // An escape and its character stay together: 76 in a part and not 76.5.
    ["€".repeat(153), "gsm7", 3],
    ["€".repeat(152), "gsm7", 2],
    ["ў".repeat(70), "ucs2", 1],
    ["ў".repeat(71), "ucs2", 2],
    ["ў".repeat(134), "ucs2", 2],
    ["ў".repeat(135), "ucs2", 3],
    ["\u{1F6B0}".repeat(35), "ucs2", 1],
    ["\u{1F6B0}".repeat(36), "ucs2", 2],
    // 33 of two units in 67.
    ["\u{1F6B0}".repeat(67), "ucs2", 3],
    ["Oʻzbekiston", "ucs2", 1],
    ["O'zbekiston @ {1|2} ~^\\ [€]", "gsm7", 1]
  ])("are_counted_before_anything_is_sent %#", (text, coding, parts) => {
    expect(count(text)).toEqual([coding, parts])
  })

  it("say_together_what_the_text_says", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 600 }), (text) => back(text) === text.toWellFormed())
    )
    const alphabet = fc.constantFrom(..."@£èÇ\nØΔΞÆ !\"¤'09:?¡AZÄ§¿azüà\f^{}\\[~]|€")
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 600 }), (text) => {
        const { coding, parts } = segment(text)
        return (
          coding === "gsm7" &&
          back(text) === text &&
          parts.every(({ length }) => length <= (parts.length === 1 ? 160 : 153))
        )
      })
    )
  })

  it("carry_the_header_of_the_standard", () => {
    expect([...header(0x1a7, 3, 2)]).toEqual([5, 0, 3, 0xa7, 3, 2])
  })

  it("cost_less_with_plain_apostrophes", () => {
    const text = `Murojaatingiz koʻrib chiqildi, gʻolib maʼlum: ${"x".repeat(100)}`
    expect(count(text)).toEqual(["ucs2", 3])
    expect(count(plainApostrophes(text))).toEqual(["gsm7", 1])
    expect(plainApostrophes("O‘zbek, ma’lum")).toBe("O'zbek, ma'lum")
  })
})

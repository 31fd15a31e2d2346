import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formats } from "./formats.ts"
import { fold, match, settle } from "./grammar.ts"

const home = ["UZ", "GE"]

describe("plate grammar", () => {
  it.each([
    ["01A123BC", "01A123BC", "uz-private"],
    ["OIA123BC", "01A123BC", "uz-private"],
    ["90A07200", "90A072OO", "uz-private"],
    ["01777AAA", "01777AAA", "uz-legal"],
    ["0I777A0A", "01777AOA", "uz-legal"],
    ["85123AB", "85123AB", "uz-motorcycle"],
    ["01M123456", "01M123456", "uz-foreign-company"],
    ["30H00I234", "30H001234", "uz-foreigner"],
    ["T1O472901", "T10472901", "uz-temporary"],
    ["DO12345", "D012345", "uz-diplomatic"],
    ["X1O2O3O", "X102030", "uz-diplomatic"],
    ["CMD0101", "CMD0101", "uz-head-of-mission"],
    ["UN0101", "UN0101", "uz-united-nations"],
    ["PAA00I", "PAA001", "uz-state"],
    ["AB123CD", "AB123CD", "ge-private"],
    ["Q1707I0", "QI707IO", "ge-private"],
    ["00P310", "OOP310", "ge-private-2004"],
    ["AB123C", "AB123C", "ge-trailer"],
    ["A01234", "AO1234", "ge-motorcycle"]
  ])("settles %s as %s, %s", (read, text, format) => {
    expect(match(read, home)).toMatchObject({ text, format, ambiguous: false })
  })

  it("says so where nothing settles a letter and a digit", () => {
    // A private car of series O, or a trailer with the number 0123.
    expect(match("010123AA", home)).toMatchObject({ ambiguous: true })
    expect(match("017770AA", home)).toMatchObject({ ambiguous: true })
    expect(match("Z0A99X9Y", home)).toMatchObject({ format: "eu-generic", ambiguous: true })
  })

  it("tries the asked countries first, in their order", () => {
    expect(match("RK828AG", ["SK", "GE"])).toMatchObject({ country: "SK", weight: 1 })
    expect(match("RK828AG", ["GE", "SK"])).toMatchObject({ country: "GE", weight: 1 })
    expect(match("RK828AG", ["UZ"])).toMatchObject({ text: "RK828AG", weight: 0.6 })
    expect(match("RK828AG", ["UZ"])).not.toHaveProperty("country")
  })

  it("takes own-choice words, and nothing too short, too long or all digits", () => {
    expect(match("GWAGEN", home)).toMatchObject({ text: "GWAGEN", format: "eu-own-choice" })
    expect(match("KMB0RAK", home)).toMatchObject({ text: "KMBORAK" })
    for (const text of ["", "AB1", "123456", "ABCDEFGHIJK", "A1B2C3D4E5F"]) expect(match(text, home)).toBeUndefined()
  })

  it("knows no region 00", () => {
    expect(match("00A123BC", ["UZ"])?.format).not.toBe("uz-private")
  })

  const shapes = formats.flatMap((format) => format.shapes.map((shape) => ({ country: format.country!, shape })))
  const plate = fc
    .constantFrom(...shapes)
    .chain(({ country, shape }) =>
      fc
        .tuple(
          ...[...shape.replaceAll(" ", "")].map((token) =>
            token === "L"
              ? fc.constantFrom(..."ABCDEFGHIJKLMNOPQRSTUVWXYZ")
              : token === "P"
                ? fc.constantFrom(..."ACEFGHJKLMNPQRSTUVWXY")
                : token === "D"
                  ? fc.constantFrom(..."0123456789")
                  : token === "R"
                    ? fc.constantFrom(..."123456789")
                    : fc.constant(token.toUpperCase())
          )
        )
        .map((characters) => ({ country, shape, text: characters.join("") }))
    )

  it("settles every plate of every shape to itself, however O, 0, I and 1 were read", () => {
    fc.assert(
      fc.property(plate, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), ({ shape, text }, flips) => {
        const other: Record<string, string> = { O: "0", "0": "O", I: "1", "1": "I" }
        const read = [...text].map((c, i) => (flips[i] === true ? (other[c] ?? c) : c)).join("")
        expect(settle(read, shape)).toBe(text)
      })
    )
  })

  it("never changes anything but O and 0, I and 1", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Z0-9]{0,12}$/),
        fc.subarray(["UZ", "GE", "SK", "PL", "DE"]),
        (text, countries) => {
          const found = match(text, countries)
          if (found !== undefined) expect(fold(found.text)).toBe(fold(text))
        }
      )
    )
  })

  it("finds some format of the right country for every plate of every shape", () => {
    fc.assert(
      fc.property(plate, ({ country, text }) => {
        expect(match(text, [country])?.country).toBe(country)
      })
    )
  })
})

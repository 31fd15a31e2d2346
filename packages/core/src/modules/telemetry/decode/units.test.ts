import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { convert, ucum } from "./units.ts"

describe("converts exactly", () => {
  const table: ReadonlyArray<readonly [number, string, string, number]> = [
    [1, "bar", "Pa", 100_000],
    [4.2, "bar", "kPa", 420],
    [1, "MPa", "bar", 10],
    [1, "psi", "Pa", 6894.757293168362],
    [14.5, "psi", "bar", 0.9997398075094124],
    [10, "mH2O", "kPa", 98.0665],
    [760, "mm[Hg]", "Pa", 101_324.72],
    [1, "L/s", "m3/h", 3.6],
    [60, "l/min", "L/s", 1],
    [1, "gpm", "L/min", 3.785411784],
    [24, "m3/d", "m3/h", 1],
    [1, "m3", "L", 1_000],
    [1, "gal", "L", 3.785411784],
    [1, "ft3", "L", 28.316846592],
    [100, "°C", "[degF]", 212],
    [-40, "°F", "Cel", -40],
    [0, "Cel", "K", 273.15],
    [37, "Cel", "K", 310.15],
    [0.5, "1", "%", 50],
    [55, "%RH", "/", 0.55],
    [1, "ft", "m", 0.3048],
    [1, "in", "mm", 25.4],
    [3_600, "s", "h", 1]
  ]
  test.each(table)("%d %s in %s is %d", (value, from, to, expected) => {
    expect(convert(value, from, to)).toBe(expected)
  })
})

test("refuses_units_of_different_kinds_and_unknown_ones", () => {
  expect(convert(1, "bar", "m3/h")).toBeUndefined()
  expect(convert(1, "bar", "furlong")).toBeUndefined()
  expect(convert(1e308, "MPa", "Pa")).toBeUndefined()
  expect(convert(1, "constructor", "Pa")).toBeUndefined()
})

test("an_unknown_unit_equals_itself", () => {
  expect(convert(3, "{count}", "{count}")).toBe(3)
  expect(ucum("{count}")).toBe("{count}")
})

test("there_and_back_is_the_same_to_the_last_digits", () => {
  const groups = [
    ["Pa", "hPa", "kPa", "MPa", "bar", "mbar", "atm", "psi", "mH2O", "mm[Hg]"],
    ["m3/h", "L/s", "L/min", "gpm", "m3/d"],
    ["L", "m3", "gal", "ft3", "mL"],
    ["m", "cm", "mm", "ft", "in"]
  ]
  const pair = fc
    .constantFrom(...groups)
    .chain((group) => fc.tuple(fc.constantFrom(...group), fc.constantFrom(...group)))
  fc.assert(
    fc.property(pair, fc.double({ min: -1e9, max: 1e9, noNaN: true }), ([from, to], value) => {
      const back = convert(convert(value, from, to)!, to, from)!
      expect(Math.abs(back - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-14 + 1e-300)
    })
  )
})

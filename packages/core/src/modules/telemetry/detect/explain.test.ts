import { expect, it } from "vitest"
import { band, clockTime, quantity, span, weekTime } from "./explain.ts"

const of = (unit: string, resolution?: number) => ({
  key: "k",
  title: "T",
  unit,
  ...(resolution === undefined ? {} : { resolution })
})

it.each<[number, string, number | undefined, string]>([
  [2.1, "bar", 0.1, "2.1 bar"],
  [2, "bar", 0.01, "2.00 bar"],
  [-0.04, "bar", 0.1, "0.0 bar"],
  [1234.5678, "m3/h", 5, "1235 m³/h"],
  [1234.5678, "m3/h", undefined, "1235 m³/h"],
  [0.000123456, "1", undefined, "0.0001235"],
  [21.25, "Cel", 0.5, "21.3 °C"],
  [40, "%", undefined, "40 %"],
  [1e18, "Pa", 0.1, "1000000000000000000.0 Pa"]
])("writes_%s_of_%s_at_resolution_%s", (value, unit, resolution, expected) => {
  expect(quantity(of(unit, resolution), value)).toBe(expected)
})

it("writes_a_band_and_one_value_where_both_ends_read_the_same", () => {
  expect(band(of("bar", 0.1), 3.44, 3.86)).toBe("3.4 to 3.9")
  expect(band(of("bar", 0.1), 3.41, 3.43)).toBe("3.4")
})

it.each([
  [0, "0 s"],
  [45.4, "45 s"],
  [300, "5 min"],
  [7140, "119 min"],
  [7200, "2 h"],
  [12_000, "3 h 20 min"],
  [432_000, "5 d"]
])("writes_%s_seconds", (seconds, expected) => {
  expect(span(seconds)).toBe(expected)
})

it("writes_times_as_they_are_there", () => {
  const at = Date.parse("2026-05-11T22:10:59Z")
  expect(clockTime({}, at)).toBe("22:10")
  expect(weekTime({}, at)).toBe("Mon 22:10")
  expect(weekTime({ utcOffset: () => 18_000 }, at)).toBe("Tue 03:10")
  expect(weekTime({ utcOffset: () => -36_000 }, Date.parse("1969-12-29T01:00:00Z"))).toBe("Sun 15:00")
})

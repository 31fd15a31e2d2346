import { expect, it } from "vitest"
import { dayMillis, monday, normal, random } from "../../../test/water.ts"
import { detect, freshState } from "./index.ts"

const five = 300_000
const perDay = dayMillis / five
const told = (values: ReadonlyArray<number>, resolution?: number) => {
  const state = freshState()
  const definition = { key: "p", title: "Pressure", unit: "bar", ...(resolution === undefined ? {} : { resolution }) }
  return values.flatMap((value, index) =>
    detect(definition, {}, state, { at: monday + index * five, value, receivedAt: monday + index * five })
      .filter(({ kind }) => kind === "baseline")
      .map((anomaly) => [index, anomaly] as const)
  )
}
const noisy = (days: number, seed: number) => {
  const noise = normal(random(seed))
  return Array.from({ length: days * perDay }, () => 3 + 0.1 * noise())
}

it("tells_a_value_six_deviations_off_and_not_one_of_five", () => {
  for (const [off, expected] of [
    [0.5, 0],
    [-0.5, 0],
    [0.8, 1],
    [-0.8, 1]
  ] as const) {
    const values = noisy(6, 1)
    values[5 * perDay] = 3 + off
    const found = told(values)
    expect(found).toHaveLength(expected)
    if (expected === 1) expect(found[0]?.[0]).toBe(5 * perDay)
  }
})

it("says_what_was_expected", () => {
  const values = noisy(6, 1)
  values[5 * perDay + 38] = 2.1
  const [[, anomaly] = []] = told(values, 0.1)
  expect(anomaly?.explanation).toBe("2.1 bar at 03:10; 2.4 to 3.6 was expected after the past day")
  expect(anomaly?.expected.low).toBeCloseTo(2.4, 1)
  expect(anomaly?.expected.high).toBeCloseTo(3.6, 1)
})

it("tells_a_lasting_change_a_few_times_only", () => {
  const values = noisy(12, 2).map((value, index) => (index >= 8 * perDay ? value + 1.5 : value))
  const found = told(values)
  expect(found[0]?.[0]).toBe(8 * perDay)
  expect(found.length).toBeLessThanOrEqual(3)
})

it("takes_the_resolution_for_the_least_deviation", () => {
  const values = Array.from({ length: 5 * perDay }, () => 3)
  values[4 * perDay] = 3.5
  expect(told(values, 0.1)).toEqual([])
  expect(told(values, 0.01)).toHaveLength(1)
})

it("needs_no_resolution_to_see_that_a_constant_changed", () => {
  for (const [constant, other] of [
    [3, 0],
    [0, 3],
    [3, 3.01]
  ] as const) {
    const values: Array<number> = Array.from({ length: 5 * perDay }, () => constant)
    values[4 * perDay] = other
    expect(told(values).map(([index]) => index)).toEqual([4 * perDay])
  }
})

it("tells_normal_noise_hardly_ever", () => {
  const counts = Array.from({ length: 8 }, (_, seed) => told(noisy(90, seed + 50)).length)
  expect(counts.reduce((all, count) => all + count, 0)).toBeLessThanOrEqual(2)
})

import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { dayMillis, monday, normal, random } from "../../../test/water.ts"
import type { Anomaly, DatastreamDefinition } from "../model.ts"
import { detect, freshState } from "./index.ts"

const pressure: DatastreamDefinition = { key: "pressure", title: "Pressure", unit: "bar" }
const five = 300_000

/** One value every five minutes. */
const records = (
  values: ReadonlyArray<number>,
  definition: Partial<DatastreamDefinition> = {},
  sensitivity = 0.5
): ReadonlyArray<readonly [number, Anomaly]> => {
  const state = freshState()
  return values.flatMap((value, index) => {
    const at = monday + index * five
    return detect({ ...pressure, ...definition }, { sensitivity }, state, { at, value, receivedAt: at })
      .filter(({ kind }) => kind === "record")
      .map((anomaly) => [index, anomaly] as const)
  })
}
const noisy = (count: number, seed: number, mean = 3, deviation = 0.1): Array<number> => {
  const noise = normal(random(seed))
  return Array.from({ length: count }, () => mean + deviation * noise())
}
const perDay = dayMillis / five

it("tells_a_value_beyond_the_band_of_the_past_weeks", () => {
  const values = noisy(20 * perDay, 1)
  values[19 * perDay] = 5
  const [, anomaly] = records(values).find(([index]) => index === 19 * perDay) ?? []
  expect(anomaly?.expected.low).toBeCloseTo(2.6, 1)
  expect(anomaly?.expected.high).toBeCloseTo(3.3, 1)
  expect(anomaly?.explanation).toMatch(/^5 bar at 00:00, above the 2\.6\d* to 3\.3\d* of the past weeks$/)
})

it("tells_a_level_that_was_never_so_low_though_no_single_value_is", () => {
  // Every value has been there before, but never this long.
  const values = Array.from({ length: 20 * perDay }, (_, index) => 3 + 0.5 * Math.sin(index))
  for (let index = 19 * perDay; index < 20 * perDay; index++) values[index] = 2.5 + 0.1 * Math.sin(index)
  const found = records(values, { resolution: 0.01 })
  expect(found.length).toBeGreaterThan(0)
  expect(found[0]?.[0]).toBeGreaterThanOrEqual(19 * perDay)
  expect(found[0]?.[1].explanation).toMatch(/on average lately, below the|falling faster than in the past weeks/)
})

it("learns_fifty_readings_and_a_day_before_it_speaks", () => {
  for (const at of [10, 49, perDay - 1]) {
    const values = noisy(perDay + 60, 2)
    values[at] = 99
    expect(records(values.slice(0, perDay), {}, 1)).toEqual([])
  }
})

it("is_not_blind_after_one_outlier", () => {
  const values = noisy(12 * perDay, 3)
  values[8 * perDay] = 900
  values[11 * perDay] = 9
  const found = records(values).map(([index]) => index)
  expect(found).toEqual(expect.arrayContaining([8 * perDay, 11 * perDay]))
})

it("tells_one_thing_once", () => {
  const values = noisy(12 * perDay, 4)
  for (let index = 10 * perDay; index < 10.5 * perDay; index++) values[index] = (values[index] ?? 0) + 4
  const found = records(values)
  expect(found.length).toBeLessThanOrEqual(3)
  expect(found[0]?.[0]).toBe(10 * perDay)
})

it("knows_no_unit", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: -12, max: 12 }), (seed, power) => {
      const values = noisy(3 * perDay, seed)
      const scale = 2 ** power
      const told = (of: ReadonlyArray<number>, by: number) =>
        records(of, {}, 0.9).map(([index, { expected, score }]) => [
          index,
          score,
          expected.low / by,
          expected.high / by
        ])
      expect(
        told(
          values.map((value) => value * scale),
          scale
        )
      ).toEqual(told(values, 1))
      expect(
        records(
          values.map((value) => -value),
          {},
          0.9
        ).map(([index]) => index)
      ).toEqual(records(values, {}, 0.9).map(([index]) => index))
    }),
    { numRuns: 25 }
  )
})

describe("a long quiet sensor", () => {
  /** Half a year of 2.10 with a step of its resolution once in a while. */
  const quiet = (step: number) => {
    const uniform = random(5)
    return Array.from({ length: 180 * perDay }, () =>
      uniform() < 0.001 ? 2.1 + (uniform() < 0.5 ? -step : step) : 2.1
    )
  }
  const kinds = (values: ReadonlyArray<number>, definition: Partial<DatastreamDefinition>) => {
    const state = freshState()
    return values.flatMap((value, index) => {
      const at = monday + index * five
      return detect({ ...pressure, ...definition }, {}, state, { at, value, receivedAt: at }).map(({ kind }) => kind)
    })
  }

  it("is_not_told_by_its_own_resolution", () => {
    expect(kinds(quiet(0.01), { resolution: 0.01 })).toEqual([])
  })

  it("is_told_by_what_is_ten_times_that", () => {
    const values = quiet(0.01)
    values[170 * perDay] = 2.2
    expect(kinds(values, { resolution: 0.01 })).toContain("record")
    expect(kinds(quiet(0.1), { resolution: 0.01 })).toContain("record")
  })
})

it("tells_noise_alone_seldom", () => {
  // Eight datastreams for ninety days at five minutes: 207,360 readings.
  const counts = Array.from({ length: 8 }, (_, seed) => records(noisy(90 * perDay, seed + 100)).length)
  const total = counts.reduce((all, count) => all + count, 0)
  console.info(`record: ${total} anomalies in ${8 * 90} days of normal noise`)
  expect(total).toBeLessThanOrEqual(20)
})

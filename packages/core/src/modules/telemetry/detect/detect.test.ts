import fc from "fast-check"
import { expect, it } from "vitest"
import { dayMillis, hourMillis, monday, normal, random, waterMeter } from "../../../test/water.ts"
import type { Anomaly, DatastreamDefinition } from "../model.ts"
import {
  decodeState,
  detect,
  encodeState,
  freshState,
  utcOffsetIn,
  type DatastreamState,
  type DetectSettings,
  type Judged
} from "./index.ts"

const flow: DatastreamDefinition = {
  key: "flow",
  title: "Flow",
  unit: "m3/h",
  minimum: 0,
  maximum: 200,
  maxRate: 0.2,
  flatAfter: 7200,
  resolution: 0.1
}

const all = (
  readings: Iterable<Judged>,
  settings: DetectSettings = {},
  state: DatastreamState = freshState(),
  definition: DatastreamDefinition = flow
): ReadonlyArray<Anomaly> => [...readings].flatMap((reading) => detect(definition, settings, state, reading))

/** Ten days or so in which something happens now and then: spikes, steps, silences, late readings, clocks that are off. */
const eventful = fc
  .record({
    seed: fc.integer(),
    interval: fc.constantFrom(60, 300, 900, 3600, 7200),
    days: fc.integer({ min: 1, max: 16 }),
    mishap: fc.double({ min: 0, max: 0.05, noNaN: true })
  })
  .map(({ days, interval, mishap, seed }): ReadonlyArray<Judged> => {
    const uniform = random(seed)
    let step = 0
    return [...waterMeter({ days: Math.min(days, interval / 30), interval, seed })].map((reading) => {
      if (uniform() >= mishap) return { ...reading, value: reading.value + step }
      const kind = Math.floor(uniform() * 5)
      if (kind === 0) return { ...reading, value: 20 + 500 * (uniform() - 0.5) }
      if (kind === 1) step += 40 * (uniform() - 0.5)
      if (kind === 2) return { ...reading, at: reading.at - uniform() * dayMillis }
      if (kind === 3) return { ...reading, at: reading.at + uniform() * dayMillis }
      return { ...reading, value: reading.value + step, receivedAt: reading.receivedAt + uniform() * hourMillis }
    })
  })
const anySettings = fc.record({
  sensitivity: fc.double({ min: 0, max: 1, noNaN: true }),
  utcOffset: fc.constantFrom(utcOffsetIn("Europe/Madrid"), utcOffsetIn("Asia/Tashkent"))
})

it("tells_the_same_after_a_restart_from_what_was_written", () => {
  let told = 0
  fc.assert(
    fc.property(eventful, anySettings, fc.double({ min: 0, max: 1, noNaN: true }), (readings, settings, part) => {
      const cut = Math.floor(part * readings.length)
      const [stayed, left] = [freshState(), freshState()]
      const expected = all(readings, settings, stayed)
      const before = all(readings.slice(0, cut), settings, left)
      const returned = decodeState(encodeState(left))
      expect([...before, ...all(readings.slice(cut), settings, returned)]).toEqual(expected)
      expect(returned).toEqual(stayed)
      told += expected.length
    }),
    { numRuns: 60 }
  )
  expect(told).toBeGreaterThan(50)
})

it("gives_finite_numbers_a_score_above_the_asked_and_the_readings_own_time_and_value", () => {
  fc.assert(
    fc.property(eventful, anySettings, (readings, settings) => {
      const state = freshState()
      for (const reading of readings)
        for (const anomaly of detect(flow, settings, state, reading)) {
          expect(anomaly.score).toBeGreaterThanOrEqual(1 - settings.sensitivity - 1e-12)
          expect(anomaly.score).toBeLessThanOrEqual(1)
          expect(anomaly).toMatchObject({ at: reading.at, value: reading.value })
          expect(Number.isFinite(anomaly.expected.low) && Number.isFinite(anomaly.expected.high)).toBe(true)
          expect(anomaly.expected.low).toBeLessThanOrEqual(anomaly.expected.high)
          expect(anomaly.explanation).not.toMatch(/NaN|Infinity|undefined|null/)
        }
    }),
    { numRuns: 60 }
  )
})

it("looks_at_nothing_that_comes_later", () => {
  fc.assert(
    fc.property(eventful, fc.integer({ min: 0, max: 500 }), (readings, length) => {
      const whole = all(readings)
      const part = all(readings.slice(0, length))
      expect(whole.slice(0, part.length)).toEqual(part)
    }),
    { numRuns: 20 }
  )
})

it("does_not_judge_late_readings_and_learns_nothing_from_them", () => {
  const [without, with_] = [freshState(), freshState()]
  const uniform = random(7)
  const settings = { sensitivity: 1 }
  for (const reading of waterMeter({ days: 12 })) {
    expect(detect(flow, settings, with_, reading)).toEqual(detect(flow, settings, without, reading))
    if (uniform() < 0.3) {
      const late = { ...reading, at: reading.at - 1 - Math.floor(uniform() * 5 * dayMillis), value: 9999 }
      expect(detect(flow, settings, with_, late)).toEqual([])
    }
  }
  const lateRun = /^late/
  const clock = Object.fromEntries(Object.entries(with_.clock).filter(([name]) => !lateRun.test(name)))
  expect(without).toMatchObject({ ...with_, clock })
})

it("passes_over_what_is_no_reading", () => {
  const state = freshState()
  const before = encodeState(state)
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    for (const name of ["at", "value", "receivedAt"] as const)
      expect(detect(flow, {}, state, { at: monday, value: 20, receivedAt: monday, [name]: bad })).toEqual([])
  for (const value of [1.1e18, -1.7e308])
    expect(detect(flow, {}, state, { at: monday, value, receivedAt: monday })).toEqual([])
  expect(encodeState(state)).toEqual(before)
})

it("keeps_only_finite_numbers_whatever_the_values", () => {
  const wild = { key: "wild", title: "Wild", unit: "1" }
  const value = fc.oneof(fc.double({ min: -1e18, max: 1e18, noNaN: true }), fc.constantFrom(0, 5e-324, -1e18, 1e18))
  fc.assert(
    fc.property(fc.array(value, { minLength: 200, maxLength: 400 }), (values) => {
      const state = freshState()
      const readings = values.map((of, index) => ({ at: index * 3_600_000, value: of, receivedAt: index * 3_600_000 }))
      const told = all(readings, { sensitivity: 1 }, state, wild)
      expect(told.filter(({ explanation, score }) => !(score <= 1) || /NaN|Infinity/.test(explanation))).toEqual([])
      const { baseline, record, season } = state
      const numbers = [baseline.mean, baseline.variance, record.slow, record.value.high, record.trend.low]
      numbers.push(season.smooth, season.shiftSquare, ...season.weekMean, ...season.between, ...season.within)
      expect(numbers.filter((number) => !Number.isFinite(number))).toEqual([])
    }),
    { numRuns: 30 }
  )
})

it("tells_nothing_statistical_at_sensitivity_0_and_everything_at_1", () => {
  const spiky = [...waterMeter({ days: 21, seed: 3 })].map((reading, index) =>
    index % 1500 === 1499 ? { ...reading, value: 190 } : reading
  )
  const { maxRate: _, flatAfter: __, ...calm } = flow
  const counts = [0, 0.3, 0.5, 0.7, 1].map((sensitivity) => all(spiky, { sensitivity }, freshState(), calm).length)
  expect(counts[0]).toBe(0)
  expect(counts[2]).toBeGreaterThan(1)
  expect(counts).toEqual(counts.toSorted((a, b) => a - b))
  expect(counts[4]).toBeGreaterThan(5 * (counts[2] ?? 0))
})

it("judges_a_reading_every_second_as_it_judges_one_a_minute", () => {
  // The same hour of a burst, after ten days of the same noise by the minute.
  const kinds = (interval: number) => {
    const noise = normal(random(11))
    const state = freshState()
    const found = new Set<string>()
    for (let at = monday; at < monday + 3 * dayMillis; at += interval * 1000) {
      const value = 3 + 0.02 * noise() - (at > monday + 2.9 * dayMillis ? 0.6 : 0)
      const definition = { key: "pressure", title: "Pressure", unit: "bar", resolution: 0.01 }
      for (const { kind } of detect(definition, {}, state, { at, value, receivedAt: at }))
        found.add(`${kind} ${Math.floor((10 * (at - monday)) / dayMillis)}`)
    }
    return [...found].toSorted((a, b) => (a < b ? -1 : 1))
  }
  expect(kinds(5)).toEqual(["baseline 29", "record 29"])
  expect(kinds(60)).toEqual(["baseline 29", "record 29"])
  expect(kinds(300)).toEqual(["baseline 29", "record 29"])
})

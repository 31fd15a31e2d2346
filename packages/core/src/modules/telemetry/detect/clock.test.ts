import { expect, it } from "vitest"
import { detect, freshState, type DetectSettings } from "./index.ts"

const start = Date.UTC(2026, 4, 11, 3, 10)
const minute = 60_000
const definition = { key: "level", title: "Level", unit: "m", maxRate: 0.001 }

/** Minutes of the reading and of its receipt, from the start. */
type Row = readonly [number, number]

const told = (rows: ReadonlyArray<Row>, settings: DetectSettings = {}) => {
  const state = freshState()
  const anomalies = rows.flatMap(([at, receivedAt]) =>
    detect(definition, settings, state, {
      at: start + at * minute,
      value: 3,
      receivedAt: start + receivedAt * minute
    }).map(({ explanation, kind }) => [kind, receivedAt, explanation] as const)
  )
  return { anomalies, state }
}
/** `count` readings, one a minute from `from` on, each received `delay` minutes later. */
const run = (from: number, count: number, delay: number): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, index) => [from + index, from + index + delay])

it("tells_at_once_that_a_clock_is_ahead_and_goes_by_its_own", () => {
  const { anomalies, state } = told(run(120, 5, -120))
  expect(anomalies).toEqual([["clock", 0, "the device's clock is 2 h ahead: a reading of 05:10 was received at 03:10"]])
  expect(state.clock.newest).toBe(start + 4 * minute)
  expect(told([[1, 0]]).anomalies).toEqual([])
})

it("tells_it_once_an_hour_and_again_when_it_comes_back", () => {
  expect(told(run(120, 122, -120)).anomalies.map(([, received]) => received)).toEqual([0, 60, 120])
  expect(
    told([
      [10, 0],
      [1, 1],
      [20, 2]
    ]).anomalies.map(([, received]) => received)
  ).toEqual([0, 2])
})

it("tells_a_clock_that_is_behind_when_even_the_quickest_reading_of_an_hour_came_late", () => {
  const { anomalies } = told(run(-30, 70, 30))
  expect(anomalies).toEqual([
    [
      "clock",
      60,
      "every reading of the past 60 min came at least 30 min late: the device's clock is behind, or something holds its readings back"
    ]
  ])
  expect(told(run(-4, 300, 4)).anomalies).toEqual([])
})

it("takes_what_waited_in_a_memory_for_no_fault_of_the_clock", () => {
  const memory = Array.from({ length: 600 }, (_, index): Row => [index, 600])
  expect(told([...memory, ...run(601, 200, 0)]).anomalies).toEqual([])
  // Ten at a time, each lot with readings of up to ten minutes before.
  const lots = Array.from({ length: 600 }, (_, index): Row => [index, Math.ceil((index + 1) / 10) * 10])
  expect(told(lots).anomalies).toEqual([])
})

it("tells_a_clock_that_jumped_back_and_goes_on_with_it", () => {
  const { anomalies, state } = told([...run(0, 100, 0), ...run(40, 30, 60)])
  expect(anomalies).toEqual([
    [
      "clock",
      110,
      "the device's clock has jumped back: the last 11 readings came in order and 60 min late, and all are older than one before them"
    ]
  ])
  expect(state.clock.newest).toBe(start + 69 * minute)
  expect(state.seen).toBe(100 + 20)
})

it("takes_late_readings_that_catch_up_or_come_between_for_no_jump", () => {
  const between = Array.from({ length: 60 }, (_, index): ReadonlyArray<Row> => [
    [100 + index, 100 + index],
    [40 + index, 100 + index]
  ]).flat()
  expect(told([...run(0, 100, 0), ...between]).anomalies).toEqual([])
  const catchingUp = Array.from({ length: 60 }, (_, index): Row => [index, 100 + index / 4])
  expect(told([...run(0, 100, 0), ...catchingUp]).anomalies).toEqual([])
})

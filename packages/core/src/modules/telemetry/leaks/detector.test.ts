import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { burst, houses, type Leak, places, readingsAt, sensors } from "../../../test/street.ts"
import { decodeLeakState, encodeLeakState, nightBytes } from "./codec.ts"
import { acceptLeaks, knownLeaks, observe } from "./detector.ts"
import type { LeakFound, LeakGroup } from "./group.ts"
import { decodeWithOtherPlaces } from "./places.ts"
import { emptyLeakState, type LeakState } from "./state.ts"

const withoutModel: LeakGroup = { sensors, timeZone: "Asia/Tashkent" }
const withModel: LeakGroup = { ...withoutModel, places }

/** Tashkent is five hours ahead: its nights' windows are 21:00–23:00 UTC of the day before. */
const start = Date.UTC(2026, 0, 1, 20)
const day = 86_400_000
const step = 300_000

interface Town {
  readonly group: LeakGroup
  readonly nights: number
  readonly leaks?: ReadonlyArray<Leak>
  readonly seed?: number
  /** Changes the readings of a step, or their order. */
  readonly change?: (readings: ReadonlyArray<readonly [number, number]>, night: number) => typeof readings
  readonly each?: (state: LeakState, night: number) => LeakState
}

/** Feeds nights, of which only the hours around the window are of use here. */
const live = ({ change, each, group, leaks = [], nights, seed = 1 }: Town) => {
  let state = emptyLeakState(group)
  const found: Array<LeakFound & { readonly night: number }> = []
  for (let night = 0; night < nights; night++) {
    for (let minute = 0; minute <= 270; minute += 10) {
      const at = start + night * day + minute * 60_000
      const readings = readingsAt(night, minute, leaks, seed).map((value, sensor) => [sensor, value] as const)
      for (const [sensor, value] of change?.(readings, night) ?? readings) {
        const leak = observe(group, state, sensor, at, value)
        if (leak !== undefined) found.push({ ...leak, night })
      }
    }
    state = each?.(state, night) ?? state
  }
  return { found, state }
}

describe("a zone's leaks", () => {
  it("names_the_place_of_a_burst_within_a_week", () => {
    for (const house of [1, 3, 5]) {
      const { found } = live({ group: withModel, nights: 100, leaks: [burst(house, 90)] })
      expect(found.map(({ kind, place }) => [kind, place])).toEqual([["leak", `house ${house}`]])
      expect(found[0]!.night).toBeGreaterThanOrEqual(90)
      expect(found[0]!.night).toBeLessThan(97)
      expect(found[0]!.flow).toBeGreaterThan(1)
      expect(found[0]!.flow).toBeLessThan(2)
      expect(found[0]!.at).toBe(Date.UTC(2026, 0, 1, 23) + found[0]!.night * day)
    }
  })

  it("says_nothing_in_quiet_months", () => {
    for (const seed of [1, 2, 3]) expect(live({ group: withModel, nights: 250, seed }).found).toEqual([])
  })

  it("names_the_sensor_beside_the_leak_where_there_is_no_model", () => {
    const { found } = live({ group: withoutModel, nights: 110, leaks: [burst(5, 90)] })
    expect(found[0]?.place).toMatch(/^p[45]$/)
    expect(found[0]?.flow).toBeUndefined()
  })

  it("alerts_a_leak_that_grows_for_months_once", () => {
    const growing: Leak = { house: 4, from: 80, flow: (nights) => 2 * Math.min(1, nights / 60) ** 2 }
    const { found } = live({ group: withModel, nights: 250, leaks: [growing] })
    expect(found.map(({ place }) => place)).toEqual(["house 4"])
    expect(found[0]!.night).toBeLessThan(140)
  })

  it("tells_after_some_weeks_where_a_leak_is_and_how_large", () => {
    const growing: Leak = { house: 2, from: 80, flow: (nights) => 2 * Math.min(1, nights / 30) }
    const { state } = live({ group: withModel, nights: 150, leaks: [growing] })
    const [known, ...others] = knownLeaks(withModel, state)
    expect(others).toEqual([])
    expect(known?.place).toBe("house 2")
    expect(known?.zone).toContain("house 2")
    expect(known?.flow).toBeGreaterThan(1)
    expect(known?.flow).toBeLessThan(2.2)
  })

  it("finds_a_second_leak_beside_a_known_one", () => {
    const { found } = live({ group: withModel, nights: 180, leaks: [burst(5, 90), burst(2, 150)] })
    expect(found.map(({ place }) => place)).toEqual(["house 5", "house 2"])
    expect(found[1]!.night).toBeGreaterThanOrEqual(150)
  })

  it("finds_a_second_leak_at_the_same_place_after_the_first_was_accepted", () => {
    const leaks = [burst(5, 90), burst(5, 150)]
    const accepted = live({
      group: withModel,
      nights: 180,
      leaks,
      each: (state, night) => {
        if (night === 110) acceptLeaks(withModel, state)
        return state
      }
    })
    expect(accepted.found.map(({ place }) => place)).toEqual(["house 5", "house 5"])
    expect(accepted.found[1]!.night).toBeGreaterThanOrEqual(150)
    expect(live({ group: withModel, nights: 180, leaks }).found).toHaveLength(1)
  })

  it("is_not_alarmed_by_a_sensor_or_an_inlet_that_falls_silent", () => {
    const silent = (sensors: ReadonlyArray<number>): Town => ({
      group: withModel,
      nights: 200,
      change: (readings, night) =>
        night > 100 && night < 130 ? readings.filter(([sensor]) => !sensors.includes(sensor)) : readings
    })
    expect(live(silent([2, 3])).found).toEqual([])
    expect(live(silent([houses])).found).toEqual([])
    expect(live(silent(Array.from({ length: houses + 1 }, (_, sensor) => sensor))).found).toEqual([])
    // And a leak is still found with two sensors gone for good.
    const { found } = live({ ...silent([]), leaks: [burst(5, 140)], change: (readings) => readings.slice(2) })
    expect(found).toEqual([])
    const later = live({
      ...silent([]),
      leaks: [burst(5, 140)],
      change: (readings, night) => (night > 100 ? readings.filter(([sensor]) => sensor !== 1) : readings)
    })
    expect(later.found.map(({ place }) => place)).toEqual(["house 5"])
  })

  it("finds_a_burst_by_the_inflow_where_there_are_no_pressures", () => {
    const group: LeakGroup = { timeZone: "Asia/Tashkent", sensors: sensors.slice(houses) }
    const change: Town["change"] = (readings) => readings.slice(houses).map(([, value]) => [0, value] as const)
    const { found } = live({ group, nights: 120, leaks: [burst(3, 90, 4)], change })
    expect(found.map(({ place }) => place)).toEqual([undefined])
    expect(found[0]!.night).toBeGreaterThanOrEqual(90)
    expect(found[0]!.night).toBeLessThan(100)
    expect(live({ group, nights: 250, change }).found).toEqual([])
  })

  it("gives_the_same_whatever_the_order_of_sensors_in_a_step", () => {
    const town = { group: withModel, nights: 96, leaks: [burst(3, 90)] }
    const straight = live(town)
    expect(straight.found).toHaveLength(1)
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          sensors.map((_, sensor) => sensor),
          { minLength: sensors.length }
        ),
        (order) => {
          const shuffled = live({ ...town, change: (readings) => order.map((sensor) => readings[sensor]!) })
          expect(shuffled.found).toEqual(straight.found)
          expect(encodeLeakState(shuffled.state)).toEqual(encodeLeakState(straight.state))
        }
      ),
      { numRuns: 10 }
    )
  })

  it("goes_on_after_being_written_down_as_if_nothing_had_been", () => {
    const town = { group: withModel, nights: 175, leaks: [burst(3, 90), burst(5, 150)] }
    const straight = live(town)
    expect(straight.found).toHaveLength(2)
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(170), { minLength: 1, maxLength: 6 }), (nights) => {
        const stopped = live({
          ...town,
          each: (state, night) => (nights.includes(night) ? decodeLeakState(withModel, encodeLeakState(state))! : state)
        })
        expect(stopped.found).toEqual(straight.found)
        expect(encodeLeakState(stopped.state)).toEqual(encodeLeakState(straight.state))
      }),
      { numRuns: 10 }
    )
  })

  it("stays_of_one_size_and_knows_states_that_are_not_its_own", () => {
    const early = encodeLeakState(live({ group: withModel, nights: 3 }).state)
    const late = encodeLeakState(live({ group: withModel, nights: 200 }).state)
    expect(late.byteLength).toBe(early.byteLength)
    expect(decodeLeakState(withoutModel, late)).toBeDefined()
    expect(decodeLeakState({ ...withModel, places: withModel.places!.slice(1) }, late)).toBeUndefined()
    expect(decodeLeakState({ ...withModel, sensors: sensors.slice(1) }, late)).toBeUndefined()
    expect(decodeLeakState(withModel, late.slice(8))).toBeUndefined()
    expect(decodeLeakState(withModel, new Uint8Array(5))).toBeUndefined()
  })

  it("changes_between_two_nights_only_in_what_is_written_with_every_reading", () => {
    const { state } = live({ group: withModel, nights: 96, leaks: [burst(3, 90)] })
    expect(state.known).toHaveLength(1)
    const before = encodeLeakState(state)
    // The next night, until the minute before it is judged.
    for (let minute = 0; minute < 210; minute += 10)
      readingsAt(96, minute, [], 1).forEach((value, sensor) =>
        observe(withModel, state, sensor, start + 96 * day + minute * 60_000, value)
      )
    const after = encodeLeakState(state)
    const kept = nightBytes(state)
    expect(after.subarray(0, kept)).not.toEqual(before.subarray(0, kept))
    expect(after.subarray(kept)).toEqual(before.subarray(kept))
    expect(kept).toBeLessThan(after.byteLength / 4)
  })

  it("keeps_what_it_has_learnt_and_a_known_leak_when_a_model_comes_later", () => {
    const leaks = [burst(2, 90), burst(5, 150)]
    const { found } = live({ group: withoutModel, nights: 110, leaks })
    expect(found).toHaveLength(1)
    let group = withoutModel
    const state = live({ group, nights: 110, leaks }).state
    group = { ...withModel, places: places.toReversed() }
    const other = decodeWithOtherPlaces(group, encodeLeakState(state))!
    expect(other.baseline).toEqual(state.baseline)
    expect(knownLeaks(group, other).map(({ place }) => place)).toEqual(["house 2"])
    const later: Array<LeakFound> = []
    for (let night = 110; night < 175; night++)
      for (let minute = 0; minute <= 270; minute += 10)
        readingsAt(night, minute, leaks, 1).forEach((value, sensor) => {
          const leak = observe(group, other, sensor, start + night * day + minute * 60_000, value)
          if (leak !== undefined) later.push(leak)
        })
    // The first is not found again, the second is.
    expect(later.map(({ place }) => place)).toEqual(["house 5"])
    expect(later[0]!.at).toBeGreaterThan(start + 150 * day)
    expect(decodeWithOtherPlaces({ ...group, sensors: sensors.slice(1) }, encodeLeakState(state))).toBeUndefined()
    expect(decodeWithOtherPlaces(group, new Uint8Array(12))).toBeUndefined()
  })

  it("leaves_out_what_comes_after_the_night_was_judged", () => {
    const state = emptyLeakState(withModel)
    for (let at = start; at <= start + 4 * 3_600_000; at += step) observe(withModel, state, 0, at, 50)
    const judged = encodeLeakState(state)
    observe(withModel, state, 0, start + 2 * 3_600_000, 10)
    expect(Array.from(decodeLeakState(withModel, encodeLeakState(state))!.tally.slice(0, 2))).toEqual(
      Array.from(decodeLeakState(withModel, judged)!.tally.slice(0, 2))
    )
  })
})

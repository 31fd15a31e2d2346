import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { onCall, type Shift } from "./rota.ts"

const shift = (given: Partial<Shift> = {}): Shift => ({
  layer: 0,
  days: [1, 2, 3, 4, 5],
  from: 9 * 60,
  to: 18 * 60,
  principalId: "day",
  ...given
})
const night = shift({ from: 18 * 60, to: 9 * 60, principalId: "night" })
const always = shift({ layer: 1, days: [1, 2, 3, 4, 5, 6, 7], from: 0, to: 0, principalId: "always" })
const shifts = [shift(), night, always]
/** In Tashkent, UTC+5 all the year. */
const at = (local: string) => Date.parse(`${local}:00+05:00`)
const called = (moment: number, overrides: Parameters<typeof onCall>[0]["overrides"] = [], zone = "Asia/Tashkent") =>
  onCall({ shifts, rotations: [], overrides }, moment, zone)

describe("a rota", () => {
  it.each([
    ["2026-11-20T09:00", "day"],
    ["2026-11-20T17:59", "day"],
    ["2026-11-20T18:00", "night"],
    // Friday's night ends on Saturday morning; Sunday's night does not begin.
    ["2026-11-21T08:59", "night"],
    ["2026-11-21T09:00", "always"],
    ["2026-11-23T08:59", "always"],
    ["2026-11-23T09:00", "day"]
  ])("at_%s_calls_%s", (local, who) => {
    expect(called(at(local))).toEqual([who])
  })

  it("calls_whoever_stands_in_and_nobody_else_for_as_long_as_that", () => {
    const overrides = [{ from: at("2026-11-20T12:00"), until: at("2026-11-20T13:00"), principalId: "friend" }]
    expect(called(at("2026-11-20T11:59"), overrides)).toEqual(["day"])
    expect(called(at("2026-11-20T12:00"), overrides)).toEqual(["friend"])
    expect(called(at("2026-11-20T13:00"), overrides)).toEqual(["day"])
  })

  it("follows_the_clocks_of_the_citys_zone_when_they_change", () => {
    // Berlin leaves summer time on 2026-10-25 at 03:00: nine o'clock is 07:00 UTC on the Friday before and 08:00 on the Monday after.
    const first = (utc: string) => called(Date.parse(utc), [], "Europe/Berlin")
    expect(first("2026-10-23T06:59:00Z")).toEqual(["night"])
    expect(first("2026-10-23T07:00:00Z")).toEqual(["day"])
    expect(first("2026-10-26T07:59:00Z")).toEqual(["always"])
    expect(first("2026-10-26T08:00:00Z")).toEqual(["day"])
  })

  const anyShift = fc.record({
    layer: fc.nat(3),
    days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
    from: fc.nat(1439),
    to: fc.nat(1439),
    principalId: fc.constantFrom("a", "b", "c")
  })
  const moment = fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2028, 0, 1) })
  const zone = fc.constantFrom("Asia/Tashkent", "Europe/Berlin", "America/St_Johns", "Pacific/Apia")

  it("always_calls_somebody_where_a_layer_covers_the_week", () => {
    fc.assert(
      fc.property(fc.array(anyShift), moment, zone, (some, time, timeZone) => {
        const whole = shift({ layer: 9, days: [1, 2, 3, 4, 5, 6, 7], from: 300, to: 300, principalId: "last" })
        expect(
          onCall({ shifts: [...some, whole], rotations: [], overrides: [] }, time, timeZone).length
        ).toBeGreaterThan(0)
      })
    )
  })

  it("never_calls_anybody_of_a_lower_layer_than_one_who_is_on", () => {
    fc.assert(
      fc.property(fc.array(anyShift, { minLength: 1 }), moment, zone, (some, time, timeZone) => {
        const alone = (layer: number) =>
          onCall({ shifts: some.filter((one) => one.layer === layer), rotations: [], overrides: [] }, time, timeZone)
        const first = [0, 1, 2, 3].find((layer) => alone(layer).length > 0)
        expect(onCall({ shifts: some, rotations: [], overrides: [] }, time, timeZone)).toEqual(
          first === undefined ? [] : alone(first)
        )
      })
    )
  })

  it("covers_as_much_of_a_week_as_a_shift_lasts_on_its_days", () => {
    const quarter = fc.nat(95).map((count) => count * 15)
    fc.assert(
      fc.property(anyShift, quarter, quarter, (given, from, to) => {
        const monday = Date.parse("2026-11-16T00:00:00+05:00")
        const quarters = Array.from({ length: 7 * 96 }, (_, count) => monday + count * 900_000)
        const covered = quarters.filter(
          (time) =>
            onCall({ shifts: [{ ...given, from, to }], rotations: [], overrides: [] }, time, "Asia/Tashkent").length > 0
        )
        // No shift is longer than a day, so what runs over midnight never meets the next one.
        const lasts = from < to ? to - from : 1440 - from + to
        expect(covered.length * 15).toBe(lasts * given.days.length)
      }),
      { numRuns: 25 }
    )
  })
})

import * as DateTime from "effect/DateTime"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import type { WorkingCalendar } from "../tenancy/Tenant.ts"
import { addPlainTime, addWorkingTime, parseDuration, workingTimeBetween } from "./calendar.ts"

const office: WorkingCalendar = { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] }
const at = (text: string) => DateTime.makeUnsafe(text)
const iso = (moment: DateTime.DateTime) => DateTime.formatIso(moment)
const local = (moment: DateTime.DateTime, zone: string) =>
  DateTime.formatIsoOffset(DateTime.setZoneNamedUnsafe(moment, zone))

describe("parseDuration", () => {
  it("reads_days_and_time", () => {
    assert.deepStrictEqual(parseDuration("P2D"), { days: 2, seconds: 0 })
    assert.deepStrictEqual(parseDuration("PT4H"), { days: 0, seconds: 14_400 })
    assert.deepStrictEqual(parseDuration("P1DT2H3M4S"), { days: 1, seconds: 7_384 })
    assert.deepStrictEqual(parseDuration("PT0S"), { days: 0, seconds: 0 })
  })
  for (const text of ["", "P", "PT", "P1DT", "P1W", "P1M", "1D", "PT1.5H", "-P1D", "PT5", "p1d", "P1D "]) {
    it(`refuses_${JSON.stringify(text)}`, () => assert.throws(() => parseDuration(text), /cannot be read/))
  }
})

describe("addPlainTime", () => {
  it("keeps_the_local_time_over_a_change_of_clocks", () => {
    const due = addPlainTime(at("2026-03-28T11:00:00Z"), parseDuration("P1D"), "Europe/Berlin")
    assert.strictEqual(local(due, "Europe/Berlin"), "2026-03-29T12:00:00.000+02:00")
    assert.strictEqual(
      iso(addPlainTime(at("2026-03-28T11:00:00Z"), parseDuration("PT24H"), "Europe/Berlin")),
      "2026-03-29T11:00:00.000Z"
    )
  })
})

describe("addWorkingTime", () => {
  // 2026-11-20 is a Friday; Tashkent is at +05:00 the whole year.
  const cases: ReadonlyArray<readonly [string, string, string, string, Partial<WorkingCalendar>?]> = [
    ["a day leads to the same time tomorrow", "2026-11-18T10:30", "P1D", "2026-11-19T10:30"],
    ["a day leads over the weekend", "2026-11-20T10:30", "P1D", "2026-11-23T10:30"],
    [
      "a day leads over holidays",
      "2026-11-20T10:30",
      "P1D",
      "2026-11-25T10:30",
      { holidays: ["2026-11-23", "2026-11-24"] }
    ],
    ["begins with the next opening", "2026-11-21T15:00", "P1D", "2026-11-24T09:00"],
    ["after closing time is tomorrow", "2026-11-18T20:00", "PT1H", "2026-11-19T10:00"],
    ["closing time itself is tomorrow", "2026-11-18T18:00", "P1D", "2026-11-20T09:00"],
    ["before opening is today", "2026-11-18T06:00", "PT1H", "2026-11-18T10:00"],
    ["hours go on after the weekend", "2026-11-20T16:00", "PT4H", "2026-11-23T11:00"],
    ["a full day of hours ends at closing time", "2026-11-18T09:00", "PT9H", "2026-11-18T18:00"],
    ["days come before hours", "2026-11-19T17:00", "P1DT2H", "2026-11-23T10:00"],
    ["nothing waits for the opening", "2026-11-21T15:00", "PT0S", "2026-11-23T09:00"],
    ["a Friday weekend", "2026-11-19T17:00", "PT2H", "2026-11-21T10:00", { days: [6, 7, 1, 2, 3, 4] }],
    [
      "round the clock",
      "2026-11-18T23:30",
      "PT1H",
      "2026-11-19T00:30",
      { days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "24:00" }
    ]
  ]
  for (const [name, start, within, due, calendar] of cases) {
    it(name.replaceAll(" ", "_"), () => {
      const end = addWorkingTime(
        at(`${start}:00+05:00`),
        parseDuration(within),
        { ...office, ...calendar },
        "Asia/Tashkent"
      )
      assert.strictEqual(local(end, "Asia/Tashkent"), `${due}:00.000+05:00`)
    })
  }

  it("keeps_office_hours_local_over_a_change_of_clocks", () => {
    const due = addWorkingTime(at("2026-03-27T16:00:00Z"), parseDuration("PT2H"), office, "Europe/Berlin")
    assert.strictEqual(local(due, "Europe/Berlin"), "2026-03-30T10:00:00.000+02:00")
  })

  it("counts_the_hours_that_really_pass_in_a_night_shift", () => {
    const nights: WorkingCalendar = { days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "06:00", holidays: [] }
    const length = (day: string) =>
      workingTimeBetween(at(`${day}T00:00:00+02:00`), at(`${day}T12:00:00+02:00`), nights, "Europe/Berlin") / 3_600_000
    assert.deepStrictEqual([length("2026-03-29"), length("2026-03-30"), length("2026-10-25")], [5, 6, 7])
  })

  it("refuses_a_calendar_without_hours", () => {
    assert.throws(() =>
      addWorkingTime(at("2026-11-18T10:00:00Z"), { days: 1, seconds: 0 }, { ...office, days: [] }, "UTC")
    )
    assert.throws(() =>
      addWorkingTime(at("2026-11-18T10:00:00Z"), { days: 1, seconds: 0 }, { ...office, to: "09:00" }, "UTC")
    )
  })
})

describe("laws_of_working_time", () => {
  const zone = fc.constantFrom("Europe/Berlin", "Asia/Tashkent", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC")
  const halfHours = (min: number, max: number) =>
    fc.integer({ min, max }).map((half) => `${String(half >> 1).padStart(2, "0")}:${half % 2 === 0 ? "00" : "30"}`)
  const calendarOf = (earliest: number, latest: number): fc.Arbitrary<WorkingCalendar> =>
    fc.record({
      days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 }),
      from: halfHours(earliest, latest - 12),
      to: halfHours(latest - 11, latest),
      holidays: fc.array(
        fc
          .integer({ min: 0, max: 4_000 })
          .map((day) => new Date(Date.UTC(2016, 0, 1 + day)).toISOString().slice(0, 10)),
        { maxLength: 20 }
      )
    })
  const anyHours = calendarOf(0, 48)
  const dayHours = calendarOf(12, 44)
  const moment = fc
    .integer({ min: Date.UTC(2016, 0, 1) / 1000, max: Date.UTC(2027, 0, 1) / 1000 })
    .map((seconds) => DateTime.makeUnsafe(seconds * 1000))
  const seconds = fc.integer({ min: 0, max: 400_000 }).map((value) => ({ days: 0, seconds: value }))
  const span = fc.record({ days: fc.integer({ min: 0, max: 20 }), seconds: fc.integer({ min: 0, max: 200_000 }) })
  const millis = DateTime.toEpochMillis

  const inside = (end: DateTime.DateTime, calendar: WorkingCalendar, timeZone: string) => {
    const minute = workingTimeBetween(
      DateTime.subtract(end, { minutes: 1 }),
      DateTime.add(end, { minutes: 1 }),
      calendar,
      timeZone
    )
    return minute > 0
  }

  it("what_is_added_is_what_lies_between", () => {
    fc.assert(
      fc.property(moment, seconds, anyHours, zone, (start, duration, calendar, timeZone) => {
        const end = addWorkingTime(start, duration, calendar, timeZone)
        assert.strictEqual(workingTimeBetween(start, end, calendar, timeZone), duration.seconds * 1000)
      }),
      { numRuns: 400 }
    )
  })

  it("never_ends_outside_the_hours_nor_before_the_start", () => {
    fc.assert(
      fc.property(moment, span, anyHours, zone, (start, duration, calendar, timeZone) => {
        const end = addWorkingTime(start, duration, calendar, timeZone)
        assert.isTrue(inside(end, calendar, timeZone), iso(end))
        assert.isAtLeast(millis(end), millis(start))
      }),
      { numRuns: 400 }
    )
  })

  it("a_later_start_or_a_longer_span_never_ends_earlier", () => {
    fc.assert(
      fc.property(
        moment,
        seconds,
        seconds,
        fc.nat(200_000),
        anyHours,
        zone,
        (start, a, more, later, calendar, timeZone) => {
          const end = millis(addWorkingTime(start, a, calendar, timeZone))
          const longer = { days: 0, seconds: a.seconds + more.seconds }
          assert.isAtLeast(millis(addWorkingTime(start, longer, calendar, timeZone)), end)
          assert.isAtLeast(millis(addWorkingTime(DateTime.add(start, { seconds: later }), a, calendar, timeZone)), end)
        }
      ),
      { numRuns: 300 }
    )
  })

  // In the hours in which clocks are changed, the same local time on another day cannot keep the order: it comes twice, or never.
  it("with_days_too_when_the_clocks_change_outside_the_hours", () => {
    fc.assert(
      fc.property(
        moment,
        span,
        fc.nat(20),
        fc.nat(200_000),
        dayHours,
        zone,
        (start, a, moreDays, later, calendar, timeZone) => {
          const end = millis(addWorkingTime(start, a, calendar, timeZone))
          assert.isAtLeast(millis(addWorkingTime(start, { ...a, days: a.days + moreDays }, calendar, timeZone)), end)
          assert.isAtLeast(millis(addWorkingTime(DateTime.add(start, { seconds: later }), a, calendar, timeZone)), end)
        }
      ),
      { numRuns: 300 }
    )
  })

  it("a_working_day_keeps_the_local_time", () => {
    fc.assert(
      fc.property(moment, fc.integer({ min: 1, max: 20 }), dayHours, zone, (start, days, calendar, timeZone) => {
        const begun = addWorkingTime(start, { days: 0, seconds: 0 }, calendar, timeZone)
        const end = addWorkingTime(start, { days, seconds: 0 }, calendar, timeZone)
        assert.strictEqual(local(end, timeZone).slice(11, 23), local(begun, timeZone).slice(11, 23))
      }),
      { numRuns: 300 }
    )
  })

  it("spans_add_up", () => {
    fc.assert(
      fc.property(moment, moment, moment, anyHours, zone, (one, two, three, calendar, timeZone) => {
        const [a, b, c] = [one, two, three].sort((x, y) => millis(x) - millis(y))
        const start = DateTime.max(a!, DateTime.subtract(c!, { days: 60 }))
        const middle = DateTime.max(start, b!)
        assert.strictEqual(
          workingTimeBetween(start, middle, calendar, timeZone) + workingTimeBetween(middle, c!, calendar, timeZone),
          workingTimeBetween(start, c!, calendar, timeZone)
        )
      }),
      { numRuns: 100 }
    )
  })
})

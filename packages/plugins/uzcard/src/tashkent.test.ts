import * as fc from "fast-check"
import { expect, it } from "vitest"
import { daysAround, fromDate12, toDate12 } from "./tashkent.ts"

it("reads_and_writes_the_moments_of_tashkent", () => {
  expect(toDate12(Date.parse("2026-11-20T19:00:00Z"))).toBe("261121000000")
  expect(fromDate12("261121000000")).toBe(Date.parse("2026-11-20T19:00:00Z"))
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(2001, 0) / 1_000, max: Date.UTC(2099, 0) / 1_000 }), (seconds) => {
      expect(fromDate12(toDate12(seconds * 1_000))).toBe(seconds * 1_000)
    })
  )
})

it("takes_nothing_for_a_moment_that_is_none", () => {
  for (const text of [
    "",
    "26112100000",
    "261321000000",
    "260230120000",
    "261121240000",
    "261121006000",
    "2611210000aa"
  ])
    expect(fromDate12(text)).toBeUndefined()
})

it("asks_for_the_two_days_that_hold_a_utc_day", () => {
  expect(daysAround("2026-11-20")).toEqual({ from: "20261120", to: "20261121" })
  expect(daysAround("2026-12-31")).toEqual({ from: "20261231", to: "20270101" })
})

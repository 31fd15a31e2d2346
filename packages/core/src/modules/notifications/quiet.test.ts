import { describe, expect, it } from "vitest"
import { nextDay, nextDigest, quietDaysOf, quietUntil, startOfDay } from "./quiet.ts"

const at = (text: string) => Date.parse(text)
const iso = (epoch: number | undefined) =>
  epoch === undefined ? undefined : new Date(epoch).toISOString().replace(".000", "")
const hours = (from: string, until: string, weekend?: { from: string; until: string }) =>
  quietDaysOf({ quietHours: { from, until, ...(weekend === undefined ? {} : { weekend }) } })!

describe("quiet hours", () => {
  it.each([
    // Tashkent is UTC+5 all the year.
    ["22:00", "08:00", "Asia/Tashkent", "2026-11-20T16:59:59Z", undefined],
    ["22:00", "08:00", "Asia/Tashkent", "2026-11-20T17:00:00Z", "2026-11-21T03:00:00Z"],
    ["22:00", "08:00", "Asia/Tashkent", "2026-11-20T20:30:00Z", "2026-11-21T03:00:00Z"],
    ["22:00", "08:00", "Asia/Tashkent", "2026-11-21T02:59:59Z", "2026-11-21T03:00:00Z"],
    ["22:00", "08:00", "Asia/Tashkent", "2026-11-21T03:00:00Z", undefined],
    ["13:00", "15:00", "Asia/Tashkent", "2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z"],
    ["13:00", "15:00", "Asia/Tashkent", "2026-11-20T10:00:00Z", undefined],
    ["08:00", "08:00", "Asia/Tashkent", "2026-11-20T03:00:00Z", undefined],
    // Belgrade: clocks go back at 03:00 on 2026-10-25 and forward at 02:00 on 2026-03-29.
    ["22:00", "08:00", "Europe/Belgrade", "2026-10-24T21:00:00Z", "2026-10-25T07:00:00Z"],
    ["22:00", "08:00", "Europe/Belgrade", "2026-10-25T06:59:59Z", "2026-10-25T07:00:00Z"],
    ["22:00", "08:00", "Europe/Belgrade", "2026-10-25T07:00:00Z", undefined],
    ["22:00", "08:00", "Europe/Belgrade", "2026-03-29T00:30:00Z", "2026-03-29T06:00:00Z"],
    ["22:00", "08:00", "Europe/Belgrade", "2026-03-29T06:00:00Z", undefined],
    // They end within the hour that the clocks jump over: when it is over.
    ["22:00", "02:30", "Europe/Belgrade", "2026-03-29T00:59:00Z", "2026-03-29T01:30:00Z"],
    // They begin in the hour that comes twice: at its first time.
    ["02:30", "05:00", "Europe/Belgrade", "2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z"]
  ])("from %s to %s in %s at %s end at %s", (from, until, zone, now, expected) => {
    expect(iso(quietUntil(at(now), hours(from, until), zone))).toBe(expected)
  })

  it.each([
    ["2026-11-20T16:30:00Z", undefined, "Friday 20:30"],
    ["2026-11-20T18:30:00Z", "2026-11-21T05:00:00Z", "Friday 22:30, ends as Saturday ends"],
    ["2026-11-21T16:30:00Z", "2026-11-22T05:00:00Z", "Saturday 20:30"],
    ["2026-11-22T16:30:00Z", "2026-11-23T04:00:00Z", "Sunday 20:30, ends as Monday ends"],
    ["2026-11-22T04:30:00Z", "2026-11-22T05:00:00Z", "Sunday 08:30"],
    ["2026-11-23T04:30:00Z", undefined, "Monday 08:30"]
  ])("at weekends are longer in Tbilisi: %s", (now, expected, when) => {
    const days = hours("22:00", "08:00", { from: "20:00", until: "09:00" })
    expect([when, iso(quietUntil(at(now), days, "Asia/Tbilisi"))]).toEqual([when, expected])
  })
})

describe("the hour of a digest", () => {
  it.each([
    ["daily", 18, 5, "Asia/Tashkent", "2026-11-20T12:59:59Z", "2026-11-20T13:00:00Z"],
    ["daily", 18, 5, "Asia/Tashkent", "2026-11-20T13:00:00Z", "2026-11-21T13:00:00Z"],
    ["daily", 0, 5, "Asia/Tashkent", "2026-11-20T13:00:00Z", "2026-11-20T19:00:00Z"],
    ["weekly", 9, 5, "Asia/Tashkent", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z"],
    ["weekly", 9, 5, "Asia/Tashkent", "2026-11-20T04:00:00Z", "2026-11-27T04:00:00Z"],
    ["weekly", 9, 1, "Asia/Tashkent", "2026-11-20T04:00:00Z", "2026-11-23T04:00:00Z"],
    // An hour that there is not, and one that there is twice.
    ["daily", 2, 5, "Europe/Belgrade", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"],
    ["daily", 2, 5, "Europe/Belgrade", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z"],
    ["daily", 2, 5, "Europe/Belgrade", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z"]
  ] as const)("%s at %i (day %i) in %s after %s is %s", (digest, hour, day, zone, now, expected) => {
    expect(iso(nextDigest(at(now), { digest, hour, day }, zone))).toBe(expected)
  })

  it("is on the city's days", () => {
    expect(iso(startOfDay(at("2026-11-20T20:00:00Z"), "Asia/Tashkent"))).toBe("2026-11-20T19:00:00Z")
    expect(iso(nextDay(at("2026-11-20T20:00:00Z"), "Asia/Tashkent"))).toBe("2026-11-21T19:00:00Z")
  })
})

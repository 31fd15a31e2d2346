import { expect, it } from "vitest"
import { utcOffsetIn } from "./index.ts"

it.each([
  ["Asia/Tashkent", "2026-06-01T00:00:00Z", 5],
  ["Asia/Kathmandu", "2026-06-01T00:00:00Z", 5.75],
  ["Europe/Madrid", "2026-03-29T00:59:59.999Z", 1],
  ["Europe/Madrid", "2026-03-29T01:00:00Z", 2],
  ["Europe/Madrid", "2026-10-25T00:59:59.999Z", 2],
  ["Europe/Madrid", "2026-10-25T01:00:00Z", 1],
  ["Australia/Lord_Howe", "2026-04-04T14:59:59Z", 11],
  ["Australia/Lord_Howe", "2026-04-04T15:00:00Z", 10.5]
])("knows_how_far_%s_is_ahead_at_%s", (zone, time, hours) => {
  const offset = utcOffsetIn(zone)
  expect(offset(Date.parse(time))).toBe(hours * 3600)
  expect(offset(Date.parse(time))).toBe(hours * 3600)
})

it("agrees_with_the_calendar_at_every_quarter_of_a_year", () => {
  for (const timeZone of ["Europe/Madrid", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"]) {
    const offset = utcOffsetIn(timeZone)
    const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" })
    // Two hours and a quarter, so that every quarter of the day has its turn.
    for (let at = Date.UTC(2026, 0, 1); at < Date.UTC(2027, 0, 1); at += 8_100_000) {
      const [, sign = "+", hours = "0", minutes = "0"] = /GMT(?:([+-])(\d+):(\d+))?$/.exec(format.format(at)) ?? []
      expect(offset(at)).toBe((Number(hours) * 3600 + Number(minutes) * 60) * (sign === "-" ? -1 : 1) + 0)
    }
  }
})

it("stays_right_when_it_has_forgotten_days", () => {
  const offset = utcOffsetIn("Europe/Madrid")
  for (let day = 0; day < 4000; day++) offset(Date.UTC(2020, 0, 1 + day))
  expect(offset(Date.parse("2026-07-01T12:00:00Z"))).toBe(7200)
  expect(offset(Date.parse("2026-01-01T12:00:00Z"))).toBe(3600)
})

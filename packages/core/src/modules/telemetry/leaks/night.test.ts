import { describe, expect, it } from "vitest"
import { countNight, meansOf, nightOf, tallyWidth, weekdayOf } from "./night.ts"

const at = (iso: string, timeZone = "Asia/Tashkent") => nightOf(Date.parse(iso), timeZone)

describe("nights", () => {
  it("are_local", () => {
    expect(at("2026-03-01T20:59:59Z").inside).toBe(false)
    expect(at("2026-03-01T21:00:00Z").inside).toBe(true)
    expect(at("2026-03-01T22:59:59Z").inside).toBe(true)
    expect(at("2026-03-01T23:00:00Z").inside).toBe(false)
    expect(at("2026-03-01T21:30:00Z").end).toBe(Date.parse("2026-03-01T23:00:00Z"))
    expect(weekdayOf(at("2026-03-01T21:30:00Z").night)).toBe(0)
    expect(weekdayOf(at("2026-03-01T18:30:00Z").night)).toBe(6)
  })

  it("follow_the_clock_when_it_is_put_forward", () => {
    // In Berlin 02:00 became 03:00 on 29 March 2026; the window is one hour long.
    expect(at("2026-03-29T00:59:00Z", "Europe/Berlin").inside).toBe(false)
    expect(at("2026-03-29T01:00:00Z", "Europe/Berlin").inside).toBe(true)
    expect(at("2026-03-29T02:00:00Z", "Europe/Berlin").inside).toBe(false)
  })

  it("know_the_noise_of_a_sensor_whose_value_drifts", () => {
    const tally = new Float64Array(2 * tallyWidth)
    for (let step = 0; step < 24; step++) {
      countNight(tally, 0, 50 + 0.1 * step + (step % 2 === 0 ? 0.01 : -0.01))
      if (step < 5) countNight(tally, 1, 1)
    }
    const { mean, noise } = meansOf(tally)
    expect(mean[0]).toBeCloseTo(51.15, 6)
    expect(noise[0]).toBeLessThan(0.02 ** 2)
    // Too few readings are none.
    expect(mean[1]).toBeNaN()
    expect(noise[1]).toBeNaN()
  })
})

import { describe, expect, it } from "vitest"
import { dayMillis, monday, waterMeter, type WaterOptions } from "../../../test/water.ts"
import type { Anomaly, DatastreamDefinition } from "../model.ts"
import { detect, freshState, utcOffsetIn, type DetectSettings } from "./index.ts"

const flow: DatastreamDefinition = {
  key: "flow",
  title: "Flow",
  unit: "m3/h",
  minimum: 0,
  maximum: 500,
  resolution: 0.1
}
const utc = utcOffsetIn("UTC")
const daysOf = (at: number): number => (at - monday) / dayMillis

interface Story extends WaterOptions {
  /** What the sensor makes of the value. */
  readonly sensor?: (value: number, at: number) => number
}

/** Anomalies of one meter with the day of each, since the beginning. */
const tell = ({ sensor = (value) => value, ...options }: Story, settings: DetectSettings = { utcOffset: utc }) => {
  const state = freshState()
  const found: Array<readonly [number, Anomaly]> = []
  for (const reading of waterMeter(options))
    for (const anomaly of detect(flow, settings, state, { ...reading, value: sensor(reading.value, reading.at) }))
      found.push([daysOf(anomaly.at), anomaly])
  return found
}
/** The same with twelve seeds: days after `since` of the first anomaly, and all that came before it. */
const many = (since: number, story: Story) => {
  const delays: Array<number> = []
  let before = 0
  for (let seed = 1; seed <= 12; seed++) {
    const days = tell({ ...story, seed }).map(([day]) => day)
    before += days.filter((day) => day < since).length
    delays.push((days.find((day) => day >= since) ?? Number.POSITIVE_INFINITY) - since)
  }
  return { before, delays: delays.toSorted((a, b) => a - b) }
}

describe("after six weeks", () => {
  it("tells_a_leak_that_raises_the_night_flow_by_a_twentieth", () => {
    const { before, delays } = many(42, { days: 63, change: (value, at) => (daysOf(at) >= 42 ? value + 1 : value) })
    console.info(`leak of 5 % of the night flow: found after days ${delays.map((days) => days.toFixed(1)).join(", ")}`)
    expect(delays.filter((days) => days < 15).length).toBeGreaterThanOrEqual(10)
    expect(before).toBeLessThanOrEqual(4)
  })

  it("tells_a_leak_of_a_tenth_within_a_week", () => {
    const { delays } = many(42, { days: 50, change: (value, at) => (daysOf(at) >= 42 ? value + 2 : value) })
    expect(delays.filter((days) => days < 7)).toHaveLength(12)
  })

  it("tells_a_sensor_that_drifts_by_a_hundredth_a_day_either_way", () => {
    for (const sign of [1, -1]) {
      const sensor = (value: number, at: number) => value * (1 + sign * 0.01 * Math.max(0, daysOf(at) - 42))
      const { delays } = many(42, { days: 54, sensor })
      console.info(`drift of ${sign} % a day: found after days ${delays.map((days) => days.toFixed(1)).join(", ")}`)
      expect(delays.filter((days) => days < 11)).toHaveLength(12)
    }
  })

  it("tells_a_stuck_sensor_within_half_a_day_though_nobody_named_a_time", () => {
    let stuck = 0
    const sensor = (value: number, at: number) => (daysOf(at) >= 42.5 ? stuck : (stuck = value))
    const { delays } = many(42.5, { days: 44, sensor })
    expect(delays.filter((days) => days < 0.5)).toHaveLength(12)
  })

  it("tells_a_burst_at_night_by_what_is_usual_then", () => {
    const burst = (value: number, at: number) => (daysOf(at) >= 42.125 ? value + 20 : value)
    const [[day, anomaly] = []] = tell({ days: 42.5, change: burst }).filter(([, { kind }]) => kind === "season")
    expect(day).toBeLessThan(42.14)
    expect(anomaly?.explanation).toMatch(
      /^[34]\d\.\d m³\/h at 03:\d\d; 1\d\.\d to 2\d\.\d was expected at this hour of the week$/
    )
  })

  it.each([2, 4, 20])("says_about_how_large_a_leak_of_%i_is", (leak) => {
    const found = tell({ days: 50, change: (value, at) => (daysOf(at) >= 42 ? value + leak : value) })
    const sizes = found.flatMap(([day, { explanation }]) => {
      const [, size] =
        /^about (\d+\.\d) m³\/h above what is usual at each hour of the week, on average of the last \d days: /.exec(
          explanation
        ) ?? []
      return day < 42 || size === undefined ? [] : [Number(size)]
    })
    expect(sizes.length).toBeGreaterThan(0)
    expect(sizes[0]).toBeGreaterThan(leak / 2)
    expect(sizes[0]).toBeLessThan(leak * 1.5)
  })
})

it("judges_nothing_in_its_first_week", () => {
  const wild = { days: 7, change: (value: number, at: number) => (daysOf(at) > 3 ? value * 3 : value) }
  expect(tell(wild, { utcOffset: utc, sensitivity: 0.6 }).filter(([, { kind }]) => kind === "season")).toEqual([])
})

describe("when the clocks change", () => {
  const madrid = utcOffsetIn("Europe/Madrid")
  /** 29 March 2026. */
  const change = (Date.UTC(2026, 2, 29, 1) - monday) / dayMillis
  const after = (settings: DetectSettings) =>
    [1, 2, 3, 4, 5, 6].map(
      (seed) => tell({ days: change + 6, seed, utcOffset: madrid }, settings).filter(([day]) => day >= change).length
    )

  it("tells_nothing_where_the_place_is_known", () => {
    expect(after({ utcOffset: madrid })).toEqual([0, 0, 0, 0, 0, 0])
  })

  it("would_tell_it_by_a_clock_that_does_not_change", () => {
    expect(after({ utcOffset: () => 3600 }).filter((count) => count > 0)).toHaveLength(6)
  })
})

it("tells_a_districts_noise_alone_seldom", () => {
  const kinds: Record<string, number> = {}
  for (let seed = 1; seed <= 12; seed++)
    for (const [, { kind }] of tell({ days: 120, seed })) kinds[kind] = (kinds[kind] ?? 0) + 1
  console.info(`anomalies in ${12 * 120} days of a district's noise: ${JSON.stringify(kinds)}`)
  expect(Object.values(kinds).reduce((all, count) => all + count, 0)).toBeLessThanOrEqual(14)
})

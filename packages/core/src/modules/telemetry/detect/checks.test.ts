import { describe, expect, it } from "vitest"
import type { Anomaly, DatastreamDefinition } from "../model.ts"
import { detect, freshState, type DetectSettings, type Judged } from "./index.ts"

const start = Date.UTC(2026, 4, 11, 3, 10)
const pressure: DatastreamDefinition = { key: "pressure", title: "Pressure", unit: "bar", resolution: 0.1 }

/** Seconds from the start, value. */
type Row = readonly [number, number]

const tell = (
  definition: Partial<DatastreamDefinition>,
  rows: ReadonlyArray<Row>,
  settings: DetectSettings = {}
): ReadonlyArray<readonly [number, Anomaly]> => {
  const state = freshState()
  return rows.flatMap(([seconds, value]) => {
    const at = start + seconds * 1000
    const reading: Judged = { at, value, receivedAt: at }
    return detect({ ...pressure, ...definition }, settings, state, reading).map(
      (anomaly) => [seconds, anomaly] as const
    )
  })
}
const told = (...given: Parameters<typeof tell>) => tell(...given).map(([seconds, { kind }]) => `${kind} ${seconds}`)

/** Every minute one of the values. */
const minutes = (...values: ReadonlyArray<number>): ReadonlyArray<Row> =>
  values.map((value, index) => [index * 60, value])
const times = (count: number, value: number): ReadonlyArray<number> => Array.from({ length: count }, () => value)

describe("range", () => {
  it.each<[string, Partial<DatastreamDefinition>, ReadonlyArray<number>, ReadonlyArray<string>]>([
    ["within, the bounds themselves too", { minimum: 0, maximum: 6 }, [0, 3, 6], []],
    ["above", { minimum: 0, maximum: 6 }, [3, 6.1], ["range 60"]],
    ["below", { minimum: 0, maximum: 6 }, [3, -0.1], ["range 60"]],
    ["only a maximum", { maximum: 6 }, [-5, 7], ["range 60"]],
    ["only a minimum", { minimum: 0 }, [99, -1], ["range 60"]],
    ["nothing is known", {}, [-99, 99], []],
    ["once while it lasts", { maximum: 6 }, times(60, 7), ["range 0"]],
    ["once an hour while it lasts", { maximum: 6 }, times(122, 7), ["range 0", "range 3600", "range 7200"]],
    ["again when it comes back", { maximum: 6 }, [7, 5, 7], ["range 0", "range 120"]]
  ])("tells_a_value_the_sensor_cannot_give: %s", (_, definition, values, expected) => {
    expect(told(definition, minutes(...values))).toEqual(expected)
  })

  it("says_what_came_and_what_is_possible", () => {
    const [[, anomaly]] = tell({ minimum: 0, maximum: 6 }, minutes(7.4)) as [readonly [number, Anomaly]]
    expect(anomaly).toEqual({
      kind: "range",
      at: start,
      value: 7.4,
      expected: { low: 0, high: 6 },
      score: 1,
      explanation: "7.4 bar at 03:10; 0.0 to 6.0 is possible"
    })
  })

  it("learns_nothing_from_it", () => {
    const definition = { ...pressure, minimum: 0, maximum: 6, maxRate: 0.01 }
    const [clean, spoiled] = [freshState(), freshState()]
    for (let minute = 0; minute < 3000; minute++) {
      const reading = { at: start + minute * 60_000, value: 3 + (minute % 7) / 10, receivedAt: start + minute * 60_000 }
      detect(definition, {}, clean, reading)
      detect(definition, {}, spoiled, minute % 100 === 50 ? { ...reading, value: -9999 } : reading)
    }
    for (const bound of ["high", "low", "mean"] as const)
      expect(spoiled.record.value[bound]).toBeCloseTo(clean.record.value[bound], 1)
    expect(spoiled.baseline.mean).toBeCloseTo(clean.baseline.mean, 1)
    for (const [ofWeek, mean] of clean.season.weekMean.entries())
      expect(spoiled.season.weekMean[ofWeek]).toBeCloseTo(mean, 1)
  })
})

describe("rate", () => {
  it.each<[string, number | undefined, ReadonlyArray<Row>, ReadonlyArray<string>]>([
    [
      "slower than that",
      0.01,
      [
        [0, 3],
        [60, 3.6]
      ],
      []
    ],
    [
      "faster",
      0.01,
      [
        [0, 3],
        [60, 3.8]
      ],
      ["rate 60"]
    ],
    [
      "faster, downward",
      0.01,
      [
        [0, 3],
        [60, 2.2]
      ],
      ["rate 60"]
    ],
    [
      "a step is told once",
      0.01,
      [
        [0, 3],
        [60, 5],
        [120, 5],
        [180, 5]
      ],
      ["rate 60"]
    ],
    [
      "a spike is told once",
      0.01,
      [
        [0, 3],
        [60, 5],
        [120, 3],
        [180, 3]
      ],
      ["rate 60"]
    ],
    [
      "the sensor's own noise is none",
      0.001,
      [
        [0, 3],
        [1, 3.1],
        [2, 3]
      ],
      []
    ],
    [
      "a long way in a long time",
      0.01,
      [
        [0, 1],
        [600, 6]
      ],
      []
    ],
    [
      "two at one time say nothing of speed",
      0.01,
      [
        [0, 1],
        [0, 6]
      ],
      []
    ],
    [
      "nobody knows how fast it may be",
      undefined,
      [
        [0, 1],
        [1, 99]
      ],
      []
    ]
  ])("tells_a_change_faster_than_any_real_one: %s", (_, maxRate, rows, expected) => {
    expect(told(maxRate === undefined ? {} : { maxRate }, rows)).toEqual(expected)
  })

  it("compares_with_the_last_value_the_sensor_can_give", () => {
    expect(told({ maxRate: 0.01, minimum: 0 }, minutes(3, -9999, 3.1))).toEqual(["range 60"])
  })

  it("says_how_far_and_how_fast", () => {
    const [[, anomaly]] = tell({ maxRate: 0.01 }, minutes(3, 5)) as [readonly [number, Anomaly]]
    expect(anomaly.expected).toEqual({ low: 2.4, high: 3.6 })
    expect(anomaly.explanation).toBe(
      "5.0 bar at 03:11, 2.0 above what it was 60 s before; at most 0.6 is possible in that time"
    )
  })
})

describe("flat", () => {
  const flatAfter = 1800
  it.each<[string, ReadonlyArray<Row>, ReadonlyArray<string>]>([
    ["not yet", minutes(...times(30, 3)), []],
    ["half an hour of it", minutes(...times(31, 3)), ["flat 1800"]],
    ["once an hour while it lasts", minutes(...times(100, 3)), ["flat 1800", "flat 5400"]],
    ["anew after a change", minutes(...times(31, 3), 3.1, ...times(31, 3)), ["flat 1800", "flat 3720"]],
    ["the least change is one", minutes(...times(20, 3), 3.1, ...times(20, 3)), []],
    [
      "a silence proves nothing",
      [
        [0, 3],
        [60, 3],
        [1800, 3]
      ],
      []
    ],
    [
      "steps of a third prove it",
      [
        [0, 3],
        [600, 3],
        [1200, 3],
        [1800, 3]
      ],
      ["flat 1800"]
    ]
  ])("tells_a_sensor_that_is_stuck: %s", (_, rows, expected) => {
    expect(told({ flatAfter }, rows)).toEqual(expected)
  })

  it("says_since_when", () => {
    const [[, anomaly]] = tell({ flatAfter }, minutes(2.5, ...times(31, 3)), { utcOffset: () => 18_000 }) as [
      readonly [number, Anomaly]
    ]
    expect(anomaly.explanation).toBe("exactly 3.0 bar since Mon 08:11 (30 min); some change was expected within 30 min")
  })

  it("says_nothing_where_nobody_expects_changes", () => {
    expect(told({}, minutes(...times(500, 3)))).toEqual([])
  })
})

describe("gap", () => {
  it.each<[string, number | undefined, ReadonlyArray<Row>, ReadonlyArray<string>]>([
    [
      "two left out",
      60,
      [
        [0, 3],
        [180, 3]
      ],
      []
    ],
    [
      "three left out",
      60,
      [
        [0, 3],
        [181, 3]
      ],
      ["gap 181"]
    ],
    [
      "each one",
      60,
      [
        [0, 3],
        [300, 3],
        [600, 3]
      ],
      ["gap 300", "gap 600"]
    ],
    [
      "nobody said how often",
      undefined,
      [
        [0, 3],
        [60, 3],
        [99_999, 3]
      ],
      []
    ]
  ])("tells_a_silence: %s", (_, interval, rows, expected) => {
    expect(told({}, rows, interval === undefined ? {} : { interval })).toEqual(expected)
  })

  it("says_from_when_to_when", () => {
    const [[, anomaly]] = tell(
      {},
      [
        [0, 3],
        [12_000, 3]
      ],
      { interval: 300 }
    ) as [readonly [number, Anomaly]]
    expect(anomaly.explanation).toBe(
      "no reading from Mon 03:10 to Mon 06:30 (3 h 20 min); one every 5 min was expected"
    )
  })
})

it("tells_plain_facts_whatever_the_sensitivity", () => {
  const rows: ReadonlyArray<Row> = [
    [0, 3],
    [60, 7],
    [120, 3],
    [900, 4]
  ]
  for (const sensitivity of [0, 0.5, 1])
    expect(told({ maximum: 6, maxRate: 0.001 }, rows, { sensitivity, interval: 60 })).toEqual([
      "range 60",
      "gap 900",
      "rate 900"
    ])
})

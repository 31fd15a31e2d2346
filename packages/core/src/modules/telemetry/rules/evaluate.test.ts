import { assert, describe, it } from "vitest"
import type { Anomaly } from "../model.ts"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact, RuleEffect } from "./facts.ts"
import { episodeOf } from "./names.ts"
import { makeState } from "./state.ts"

const tenant = { timeZone: "Asia/Tashkent", holidays: ["2026-11-25"] }
const d1: DeviceFacts = {
  id: "d1",
  profile: "pressure",
  groups: ["north"],
  attributes: { limit: 5, armed: true, name: "x" },
  expectedInterval: 60
}
const rule = (condition: Condition, more: Partial<RuleDefinition> = {}): RuleDefinition => ({
  id: "r",
  version: 1,
  title: { en: "R" },
  scope: { kind: "each", profiles: ["pressure"] },
  levels: [{ severity: "major", condition }],
  ...more
})
const above = (value: number, more = {}): Condition => ({
  kind: "compare",
  datastream: "p",
  is: "above",
  than: { kind: "constant", value },
  ...more
})
const s = (seconds: number) => seconds * 1000
const read = (at: number, value: number, key = "p", device = "d1", sequence?: number): Fact => ({
  ...{ kind: "reading", device, key, at: s(at), value },
  ...(sequence === undefined ? {} : { sequence })
})
const tick = (at: number): Fact => ({ kind: "tick", at: s(at) })
const known = (device: DeviceFacts = d1, at = 0): Fact => ({ kind: "device", device, at: s(at) })
const brief = ({ at, do: what, flapping, severity }: RuleEffect) =>
  `${at / 1000} ${what} ${severity}${flapping ? " flapping" : ""}`
const run = (rules: ReadonlyArray<RuleDefinition>, facts: ReadonlyArray<Fact>, start = 0) => {
  const compiled = compileRules(rules, tenant)
  return evaluate(compiled, makeState(compiled), [known(d1, start), ...facts])
}
const told = (condition: Condition, facts: ReadonlyArray<Fact>, more: Partial<RuleDefinition> = {}, start = 0) =>
  run([rule(condition, more)], facts, start).map(brief)

/** Readings at every tenth second. */
const readings = (...values: ReadonlyArray<number>) => values.map((value, place) => read(10 * (place + 1), value))
const of = (is: "above" | "at-least" | "below" | "at-most" | "equal" | "not-equal", value: number, more = {}) =>
  above(value, { is, ...more })

describe("leaves", () => {
  const tables: ReadonlyArray<readonly [string, Condition, ReadonlyArray<Fact>, ReadonlyArray<string>]> = [
    ["above", of("above", 5), readings(5, 6, 5), ["20 raise major", "30 clear major"]],
    ["at least", of("at-least", 5), readings(4, 5, 4), ["20 raise major", "30 clear major"]],
    ["below", of("below", 5), readings(5, 4, 5), ["20 raise major", "30 clear major"]],
    ["at most", of("at-most", 5), readings(6, 5, 6), ["20 raise major", "30 clear major"]],
    ["equal", of("equal", 5), readings(4, 5, 6), ["20 raise major", "30 clear major"]],
    ["not equal", of("not-equal", 5), readings(5, 4, 5), ["20 raise major", "30 clear major"]],
    ["clear threshold", above(5, { clear: 4 }), readings(6, 5, 4.5, 4, 4.5), ["10 raise major", "40 clear major"]],
    ["delta", above(2, { of: "delta" }), readings(9, 10, 13, 13), ["30 raise major", "40 clear major"]],
    ["delta below", of("below", -2, { of: "delta" }), readings(9, 10, 7, 7), ["30 raise major", "40 clear major"]],
    ["rate", above(0.2, { of: "rate" }), readings(9, 10, 13, 13), ["30 raise major", "40 clear major"]],
    [
      "another datastream",
      above(0, { than: { kind: "datastream", datastream: "q" } }),
      [read(10, 5), read(20, 4, "q"), read(30, 6, "q"), read(40, 7)],
      ["20 raise major", "30 clear major", "40 raise major"]
    ],
    ["attribute", above(0, { than: { kind: "attribute", attribute: "limit" } }), readings(5, 6), ["20 raise major"]],
    ["no attribute", above(0, { than: { kind: "attribute", attribute: "name" } }), readings(5, 6), []],
    [
      "changed attribute",
      above(0, { than: { kind: "attribute", attribute: "limit" } }),
      [read(10, 5), known({ ...d1, attributes: { limit: 4 } }, 15), known({ ...d1, attributes: { limit: true } }, 16)],
      ["15 raise major"]
    ],
    [
      "offline by the clock",
      { kind: "offline", intervals: 2 },
      [read(10, 1), tick(129), tick(500)],
      ["130 raise major"]
    ],
    ["offline from the start", { kind: "offline", intervals: 2 }, [tick(119), tick(120)], ["120 raise major"]],
    [
      "offline by the next reading",
      { kind: "offline", intervals: 2 },
      [read(10, 1), read(200, 1)],
      ["130 raise major", "200 clear major"]
    ],
    [
      "a reading at the last moment",
      { kind: "offline", intervals: 2 },
      [read(10, 1), read(130, 1, "q"), tick(249)],
      []
    ],
    [
      "offline by datastream",
      { kind: "offline", intervals: 2, datastream: "q" },
      [read(10, 1, "q"), read(100, 1), read(140, 1)],
      ["130 raise major"]
    ],
    [
      "an interval that becomes shorter",
      { kind: "offline", intervals: 2 },
      [read(10, 1), known({ ...d1, expectedInterval: 10 }, 50)],
      ["50 raise major"]
    ],
    [
      "geofence",
      {
        kind: "geofence",
        is: "outside",
        area: {
          type: "Polygon",
          coordinates: [
            [
              [0, 0],
              [2, 0],
              [2, 2],
              [0, 2],
              [0, 0]
            ]
          ]
        }
      },
      [1, 3, 2, 3].flatMap((longitude, place) => [
        read(10 * (place + 1), 1, "latitude"),
        read(10 * (place + 1), longitude, "longitude")
      ]),
      ["20 raise major", "30 clear major", "40 raise major"]
    ]
  ]
  for (const [name, condition, facts, expected] of tables)
    it(name.replaceAll(" ", "_"), () => assert.deepEqual(told(condition, facts), expected))

  it("an_anomaly_lasts_and_the_next_one_prolongs_it", () => {
    const anomaly = (at: number, kind: Anomaly["kind"], score: number): Fact => ({
      ...{ kind: "anomaly", device: "d1", key: "p" },
      anomaly: { kind, at: s(at), value: 1, expected: { low: 0, high: 0 }, score, explanation: "" }
    })
    const leaf: Condition = {
      kind: "anomaly",
      datastream: "p",
      anomalies: ["flat", "rate"],
      minScore: 0.5,
      seconds: 30
    }
    assert.deepEqual(
      told(leaf, [
        ...[read(10, 1), anomaly(10, "flat", 0.4), anomaly(10, "season", 0.9), anomaly(10, "rate", 0.5), read(20, 1)],
        ...[anomaly(20, "flat", 1), read(45, 1), read(50, 1), tick(60)]
      ]),
      ["10 raise major", "50 clear major"]
    )
    assert.deepEqual(told(leaf, [read(10, 1), anomaly(9, "flat", 1)]), [], "older than the last reading")
  })

  // 2026-11-20 is a Friday; Tashkent is at +05:00 the whole year.
  const at = (text: string) => Date.parse(`2026-11-${text}:00+05:00`) / 1000
  const hours = (from: string, to: string, more = {}) =>
    told(
      { kind: "schedule", days: [5, 1], from: "09:00", to: "18:00", ...more },
      [read(at(from), 1), tick(at(to))],
      {},
      at(from)
    ).map((text) => {
      const [seconds, what] = text.split(" ")
      return `${new Date((Number(seconds) + 18_000) * 1000).toISOString().slice(8, 16)} ${what}`
    })
  it("a_schedule_is_of_the_tenants_hours", () => {
    assert.deepEqual(hours("20T08:00", "24T00:00"), [
      ...["20T09:00 raise", "20T18:00 clear", "23T09:00 raise", "23T18:00 clear"]
    ])
    assert.deepEqual(
      hours("20T08:00", "21T12:00", { from: "22:00", to: "06:00" }),
      ["20T22:00 raise", "21T06:00 clear"],
      "hours over midnight belong to the day on which they begin"
    )
    assert.deepEqual(hours("24T12:00", "27T12:00", { days: [3, 4], holidays: "except" }), [
      ...["26T09:00 raise", "26T18:00 clear"]
    ])
    assert.deepEqual(hours("24T12:00", "27T12:00", { days: [3, 4], holidays: "only" }), [
      ...["25T09:00 raise", "25T18:00 clear"]
    ])
    assert.deepEqual(
      hours("20T08:00", "27T12:00", { days: [5, 6, 7], from: "00:00", to: "24:00" }),
      ["20T08:00 raise", "23T00:00 clear", "27T00:00 raise"],
      "days that follow each other are one span"
    )
  })
})

describe("combinators", () => {
  const p = above(5)
  const q = above(5, { datastream: "q" })
  it("all_any_and_not_nest", () => {
    const facts = [read(10, 6), read(20, 6, "q"), read(30, 1), read(40, 1, "q")]
    assert.deepEqual(told({ kind: "all", conditions: [p, q] }, facts), ["20 raise major", "30 clear major"])
    assert.deepEqual(told({ kind: "any", conditions: [p, q] }, facts), ["10 raise major", "40 clear major"])
    assert.deepEqual(told({ kind: "not", condition: { kind: "any", conditions: [p, q] } }, facts), ["40 raise major"])
  })
  it("what_is_unknown_neither_raises_nor_clears", () => {
    assert.deepEqual(told({ kind: "not", condition: q }, [read(10, 6)]), [])
    assert.deepEqual(told({ kind: "any", conditions: [p, q] }, [read(10, 6), read(20, 1)]), ["10 raise major"])
    assert.deepEqual(told({ kind: "any", conditions: [p, q] }, [read(10, 6), read(20, 1), read(30, 1, "q")]), [
      ...["10 raise major", "30 clear major"]
    ])
  })
  const held: Condition = { kind: "held", seconds: 60, condition: p }
  it("held_raises_when_the_span_is_over_whoever_notices", () => {
    assert.deepEqual(told(held, [read(10, 6), read(30, 7), tick(200)]), ["70 raise major"])
    assert.deepEqual(told(held, [read(10, 6), read(90, 7)]), ["70 raise major"])
    assert.deepEqual(told(held, [read(10, 6), read(70, 7), read(71, 7)]), ["70 raise major"])
    assert.deepEqual(told(held, [read(10, 6), read(71, 1)]), ["70 raise major", "71 clear major"])
    assert.deepEqual(told(held, [read(10, 6), read(70, 1), tick(500)]), [])
    assert.deepEqual(told(held, [read(10, 6), read(50, 1), read(60, 6), tick(119)]), [])
  })
  it("repeated_counts_beginnings_within_the_span", () => {
    const repeated: Condition = { kind: "repeated", times: 3, seconds: 60, condition: p }
    assert.deepEqual(told(repeated, [...readings(6, 6, 6, 6), tick(999)]), [], "one beginning")
    assert.deepEqual(told(repeated, [...readings(6, 1, 6, 1, 6, 1), tick(999)]), ["50 raise major", "70 clear major"])
    assert.deepEqual(told(repeated, [read(10, 6), read(20, 1), read(30, 6), read(40, 1), read(70, 6)]), [])
  })
  it("spans_nest", () => {
    const inner: Condition = { kind: "repeated", times: 2, seconds: 100, condition: held }
    assert.deepEqual(told(inner, [read(0, 6), read(70, 1), read(80, 6), tick(500)]), [
      ...["140 raise major", "160 clear major"]
    ])
  })
})

describe("alerts", () => {
  it("escalate_and_de_escalate_in_one_episode", () => {
    const levels = [
      { severity: "warning", condition: above(3) },
      { severity: "critical", condition: above(7) },
      { severity: "major", condition: above(5) }
    ] as const
    const effects = run([rule(above(0), { levels })], readings(4, 8, 6, 8, 4, 1))
    assert.deepEqual(effects.map(brief), [
      ...["10 raise warning", "20 update critical", "30 update major", "40 update critical", "50 update warning"],
      "60 clear warning"
    ])
    assert.strictEqual(new Set(effects.map(({ episode }) => episode)).size, 1)
  })
  it("wait_for_a_clear_condition_of_their_own", () => {
    const clear = { condition: above(2, { is: "below" }) }
    assert.deepEqual(told(above(5), readings(1, 6, 4, 1), { clear }), ["20 raise major", "40 clear major"])
  })
  it("wait_for_the_clear_delay_and_go_on_when_it_comes_back", () => {
    const clear = { after: 30 }
    assert.deepEqual(told(above(5), [...readings(6, 1, 6, 1), tick(69)], { clear }), ["10 raise major"])
    assert.deepEqual(told(above(5), [...readings(6, 1, 6, 1), tick(99)], { clear }), [
      ...["10 raise major", "70 clear major"]
    ])
  })
  it("that_come_and_go_too_often_stay_up_until_an_hour_is_quiet", () => {
    const facts = readings(6, 1, 6, 1, 6, 1, 6, 1)
    const once = told(above(5), [...facts, tick(3679)], { perHour: 2 })
    assert.deepEqual(once, ["10 raise major", "20 clear major", "30 raise major", "40 update major flapping"])
    assert.deepEqual(told(above(5), [...facts, tick(3680)], { perHour: 2 }), [...once, "3680 clear major flapping"])
    assert.strictEqual(told(above(5), facts).length, 8, "six an hour by default")
    assert.strictEqual(
      told(
        above(5),
        [...facts, ...facts].map((fact, place) => ({ ...fact, at: s(place * 10) }) as Fact)
      ).length,
      12
    )
  })
  it("are_not_touched_by_late_and_repeated_readings", () => {
    assert.deepEqual(told(above(5), [read(10, 1), read(5, 9), read(10, 9)]), [])
    assert.deepEqual(told(above(5), [read(10, 6), read(5, 1), read(10, 1)]), ["10 raise major"])
    assert.deepEqual(told(above(5), [read(10, 1), read(10, 9, "p", "d1", 1)]), ["10 raise major"])
  })
  it("of_datastreams_out_of_step_count_from_when_both_are_known", () => {
    const both: Condition = {
      kind: "held",
      seconds: 60,
      condition: { kind: "all", conditions: [above(5), above(5, { datastream: "q" })] }
    }
    assert.deepEqual(told(both, [read(50, 6), read(20, 6, "q"), tick(200)]), ["110 raise major"])
  })
  it("say_why", () => {
    const condition: Condition = { kind: "held", seconds: 600, condition: above(2, { is: "below", unit: "bar" }) }
    const [effect] = run([rule(condition)], [read(10, 1.9), tick(700)])
    assert.deepInclude(effect!.because, { reason: "condition", text: "p is 1.9 bar, against below 2 bar, for 10 min" })
  })
  it("are_named_by_what_began_them_whoever_noticed", () => {
    const held = rule({ kind: "held", seconds: 60, condition: above(5) })
    const name = (facts: ReadonlyArray<Fact>, one = held) =>
      run([one], facts).find((effect) => effect.do === "raise")?.episode
    const began = read(10, 6, "p", "d1", 3)
    const expected = episodeOf(["r", "d1", s(10), 3, s(70), 0])
    assert.strictEqual(name([began, tick(70)]), expected)
    assert.strictEqual(name([began, read(60, 7), read(90, 7)]), expected)
    assert.match(expected, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const offline = rule({ kind: "offline", intervals: 2 })
    assert.strictEqual(name([began, tick(500)], offline), episodeOf(["r", "d1", s(10), 3, s(130), 0]))
    assert.strictEqual(name([began], rule(above(5))), episodeOf(["r", "d1", s(10), 3, s(10), 0]))
  })
  it("of_one_moment_have_names_of_their_own", () => {
    const q = above(5, { datastream: "q" })
    const r = above(5, { datastream: "r" })
    const either: Condition = { kind: "any", conditions: [{ kind: "not", condition: q }, r] }
    const effects = run(
      [rule({ kind: "all", conditions: [above(5), either] })],
      [read(5, 1, "q"), read(5, 1, "r"), read(10, 6), read(10, 6, "q"), read(10, 6, "r")]
    )
    assert.deepEqual(effects.map(brief), ["10 raise major", "10 clear major", "10 raise major"])
    const [first, cleared, second] = effects.map(({ episode }) => episode)
    assert.strictEqual(cleared, first)
    assert.notStrictEqual(second, first)
  })
  it("keep_to_their_scope", () => {
    const facts = [known({ ...d1, id: "d2", groups: ["south"] }), known({ ...d1, id: "d3", profile: "flow" })]
    const all = ["d1", "d2", "d3", "d4"].map((id) => read(10, 6, "p", id))
    const who = (scope: RuleDefinition["scope"]) =>
      run([rule(above(5), { scope })], [...facts, ...all]).map(({ originator }) => originator)
    assert.deepEqual(who({ kind: "each", profiles: ["pressure"] }), ["d1", "d2"])
    assert.deepEqual(who({ kind: "each", groups: ["north"] }), ["d1", "d3"])
    assert.deepEqual(who({ kind: "each", profiles: ["pressure"], groups: ["north"] }), ["d1"])
    assert.deepEqual(who({ kind: "each", devices: ["d3", "d4"] }), ["d3"])
  })
  it("clear_when_the_device_leaves_the_scope_or_is_gone", () => {
    const [raised, left] = run([rule(above(5))], [read(10, 6), known({ ...d1, profile: "flow" }, 20)])
    assert.deepInclude(left, { do: "clear", episode: raised!.episode, severity: "major" })
    assert.strictEqual(left!.because.reason, "out of scope")
    const [up, gone] = run([rule(above(5))], [read(10, 6), { kind: "gone", device: "d1", at: s(30) }])
    assert.deepInclude(gone, { do: "clear", episode: up!.episode, at: s(30) })
    assert.strictEqual(gone!.because.reason, "device gone")
  })
  it("of_sets_look_at_several_devices", () => {
    const leak = rule(
      {
        ...{ kind: "compare", datastream: "flow", member: "inlet", is: "above" },
        than: { kind: "datastream", datastream: "flow", member: "outlet" }
      },
      {
        scope: {
          kind: "sets",
          sets: [
            { id: "main", members: { inlet: "d1", outlet: "d2" } },
            { id: "side", members: { inlet: "d2", outlet: "d3" } }
          ]
        }
      }
    )
    const effects = run(
      [leak],
      [
        ...[known({ ...d1, id: "d2" }), known({ ...d1, id: "d3" })],
        ...[read(10, 5, "flow"), read(11, 5, "flow", "d2"), read(12, 4, "flow", "d3"), read(20, 6, "flow")]
      ]
    )
    assert.deepEqual(
      effects.map((effect) => `${effect.originator} ${brief(effect)}`),
      ["set:side 12 raise major", "set:main 20 raise major"]
    )
  })
})

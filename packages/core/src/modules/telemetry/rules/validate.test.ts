import { assert, describe, it } from "vitest"
import type { Condition, RuleDefinition } from "./definition.ts"
import { defineRule, validateRule } from "./validate.ts"
import type { RuleVocabulary } from "./vocabulary.ts"

const stream = (key: string, unit: string, more = {}) => ({ key, title: key, unit, ...more })
const vocabulary: RuleVocabulary = {
  profiles: new Map([
    [
      "pressure",
      {
        datastreams: [stream("p", "bar", { minimum: 0, maximum: 16 }), stream("q", "bar"), stream("t", "Cel")],
        expectedInterval: 60
      }
    ],
    ["meter", { datastreams: [stream("flow", "m3/h")] }]
  ]),
  profileOf: (device) => ({ d1: "pressure", d2: "meter", d3: "meter" })[device]
}
const rule = (condition: unknown, more = {}) => ({
  ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each", profiles: ["pressure"] } },
  levels: [{ severity: "major", condition }],
  ...more
})
const is = (name: string, value: number, more = {}): Condition =>
  ({ kind: "compare", datastream: "p", is: name, than: { kind: "constant", value }, ...more }) as Condition
const all = (...conditions: ReadonlyArray<Condition>): Condition => ({ kind: "all", conditions })
const any = (...conditions: ReadonlyArray<Condition>): Condition => ({ kind: "any", conditions })
const schedule = (more = {}) => ({ kind: "schedule", days: [1], from: "09:00", to: "18:00", ...more }) as Condition
const square = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
  [0, 0]
]
const geofence = (ring: ReadonlyArray<ReadonlyArray<number>>) =>
  ({ kind: "geofence", is: "inside", area: { type: "Polygon", coordinates: [ring] } }) as Condition
const sets = { kind: "sets", sets: [{ id: "main", members: { inlet: "d2", outlet: "d3" } }] }
const flow = (member: string, more = {}) => is("above", 1, { datastream: "flow", member, ...more })

describe("validateRule", () => {
  const good: ReadonlyArray<readonly [string, unknown]> = [
    ["a comparison", rule(is("above", 5, { unit: "bar", clear: 4 }))],
    ["a rate in its unit", rule(is("above", 5, { of: "rate", unit: "bar/s" }))],
    ["another datastream of its unit", rule(is("above", 0, { than: { kind: "datastream", datastream: "q" } }))],
    ["a band", rule(all(is("above", 2), is("below", 6)))],
    ["two datastreams", rule(all(is("above", 6), is("below", 2, { datastream: "q" })))],
    ["value and change", rule(all(is("above", 6), is("below", 2, { of: "delta" })))],
    [
      "what has just begun",
      rule(all(is("above", 5), { kind: "not", condition: { kind: "held", seconds: 9, condition: is("above", 5) } }))
    ],
    ["a night", rule(schedule({ from: "22:00", to: "06:00" }))],
    ["a place", rule(geofence(square))],
    ["silence", rule({ kind: "offline", intervals: 2 })],
    [
      "sets",
      rule(flow("inlet", { than: { kind: "datastream", datastream: "flow", member: "outlet" } }), { scope: sets })
    ],
    [
      "a group, where some profile knows it",
      rule(is("above", 5, { datastream: "flow" }), { scope: { kind: "each", groups: ["g"] } })
    ],
    ["a clear condition", rule(is("above", 5), { clear: { condition: is("below", 3), after: 60 } })]
  ]
  for (const [name, input] of good)
    it(`takes_${name}`.replaceAll(/[ ,]+/g, "_"), () => {
      const checked = validateRule(input, vocabulary)
      assert.deepEqual([checked.errors, checked.warnings], [[], []])
      assert.deepEqual(checked.rule, input as RuleDefinition)
    })

  const level = "/levels/0/condition"
  const bad: ReadonlyArray<readonly [string, unknown, ReadonlyArray<string>]> = [
    ["an unknown datastream", rule(is("above", 5, { datastream: "x" })), [`${level}/datastream`]],
    [
      "an unknown datastream deep inside",
      rule(all(is("above", 1), { kind: "not", condition: is("above", 5, { datastream: "x" }) })),
      [`${level}/conditions/1/condition/datastream`]
    ],
    ["a unit of something else", rule(is("above", 5, { unit: "m3/h" })), [`${level}/unit`]],
    ["a rate without seconds", rule(is("above", 5, { of: "rate", unit: "bar" })), [`${level}/unit`]],
    [
      "datastreams of two units",
      rule(is("above", 0, { than: { kind: "datastream", datastream: "t" } })),
      [`${level}/than`]
    ],
    [
      "an unknown datastream to compare with",
      rule(is("above", 0, { than: { kind: "datastream", datastream: "x" } })),
      [`${level}/than/datastream`]
    ],
    ["a contradiction", rule(all(is("above", 6), is("below", 2))), [level]],
    ["a contradiction at one point", rule(all(is("above", 6), is("at-most", 6))), [level]],
    ["a contradiction with not", rule(all(is("above", 6), { kind: "not", condition: is("above", 5) })), [level]],
    ["a contradiction in every choice", rule(all(is("above", 6), any(is("below", 2), is("equal", 3)))), [level]],
    [
      "a clear condition that cannot hold",
      rule(is("above", 6), { clear: { condition: all(is("above", 3), is("below", 3)) } }),
      ["/clear/condition"]
    ],
    ["a clear threshold on the wrong side", rule(is("above", 5, { clear: 6 })), [`${level}/clear`]],
    ["a clear threshold of equality", rule(is("equal", 5, { clear: 5 })), [`${level}/clear`]],
    ["nothing to join", rule(all()), [`${level}/conditions`]],
    ["hours that are none", rule(schedule({ from: "25:00" })), [`${level}/from`]],
    ["hours of no length", rule(schedule({ from: "09:00", to: "09:00" })), [`${level}/to`]],
    ["no days", rule(schedule({ days: [] })), [`${level}/days`]],
    ["an eighth day", rule(schedule({ days: [8] })), [`${level}/days/0`]],
    ["an open polygon", rule(geofence(square.slice(0, 4))), [`${level}/area/coordinates/0`]],
    ["a member without sets", rule(is("above", 5, { member: "inlet" })), [`${level}/member`]],
    ["a set without that member", rule(flow("side"), { scope: sets }), [`${level}/member`]],
    ["sets without a member", rule(is("above", 1, { datastream: "flow" }), { scope: sets }), [`${level}/member`]],
    ["sets that nobody looks at", rule(schedule(), { scope: sets }), ["/scope"]],
    [
      "two levels of one severity",
      rule(is("above", 5), { levels: [5, 6].map((value) => ({ severity: "major", condition: is("above", value) })) }),
      ["/levels/1/severity"]
    ],
    [
      "an unknown severity",
      rule(is("above", 5), { levels: [{ severity: "bad", condition: is("above", 5) }] }),
      ["/levels/0/severity"]
    ],
    ["no scope", rule(is("above", 5), { scope: { kind: "each" } }), ["/scope"]],
    [
      "an unknown profile",
      rule(is("above", 5), { scope: { kind: "each", profiles: ["x"] } }),
      ["/scope/profiles/0", `${level}/datastream`]
    ],
    [
      "an unknown device",
      rule(flow("inlet"), { scope: { kind: "sets", sets: [{ id: "main", members: { inlet: "d9" } }] } }),
      ["/scope/sets/0/members/inlet"]
    ],
    [
      "silence of devices that promise nothing",
      rule({ kind: "offline", intervals: 2 }, { scope: { kind: "each", profiles: ["meter"] } }),
      [level]
    ],
    ["a word too many", rule({ ...is("above", 5), colour: "red" }), [`${level}/colour`]],
    [
      "more conditions than anybody reads",
      rule(any(...Array.from({ length: 20 }, () => any(...Array.from({ length: 10 }, () => is("above", 5)))))),
      ["/levels"]
    ],
    ["a title of a page", rule(is("above", 5), { title: { en: "R", ru: "Р".repeat(201) } }), ["/title/ru"]],
    ["a span below nothing", rule({ kind: "held", seconds: -1, condition: is("above", 5) }), [`${level}/seconds`]]
  ]
  for (const [name, input, pointers] of bad)
    it(`refuses_${name.replaceAll(" ", "_")}`, () => {
      const checked = validateRule(input, vocabulary)
      assert.deepEqual(
        checked.errors.map(({ pointer }) => pointer),
        pointers
      )
      assert.isUndefined(checked.rule)
    })

  const doubtful: ReadonlyArray<readonly [string, unknown, string]> = [
    ["every possible value", rule(is("at-least", 0)), "/levels"],
    ["one or the other", rule(any(is("above", 5), is("at-most", 5))), "/levels"],
    ["all the time", rule(schedule({ days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "24:00" })), "/levels"],
    ["a clear threshold beyond the possible", rule(is("above", 5, { clear: -1 })), "/levels"],
    [
      "a clear condition beyond the possible",
      rule(is("above", 5), { clear: { condition: is("below", 0) } }),
      "/clear/condition"
    ],
    [
      "a clear condition beside its level",
      rule(is("above", 5), { clear: { condition: is("above", 6) } }),
      "/clear/condition"
    ],
    ["a threshold beyond the possible", rule(is("above", 17)), level],
    ["held for ever", rule({ kind: "held", seconds: 9, condition: is("at-least", 0) }), "/levels"]
  ]
  for (const [name, input, pointer] of doubtful)
    it(`warns_of_${name.replaceAll(" ", "_")}`, () => {
      const checked = validateRule(input, vocabulary)
      assert.deepEqual(checked.errors, [])
      assert.deepEqual(
        checked.warnings.map((issue) => issue.pointer),
        [pointer]
      )
      assert.isDefined(checked.rule)
    })
})

describe("defineRule", () => {
  it("gives_the_same_data_and_names_every_mistake", () => {
    const definition = rule(is("above", 5)) as RuleDefinition
    assert.deepEqual(defineRule(definition), definition)
    assert.deepEqual(JSON.parse(JSON.stringify(defineRule(definition))), definition)
    assert.throws(() => defineRule({ ...definition, version: 0 }), /Rule r: \/version: /)
  })
})

import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact } from "./facts.ts"
import { makeState } from "./state.ts"
import { inUnit, outOfUnit } from "./units.ts"
import { validateRule } from "./validate.ts"
import type { RuleVocabulary } from "./vocabulary.ts"

const tenant = { timeZone: "UTC", holidays: [] }
const device = (id: string, units: Readonly<Record<string, string>>): DeviceFacts => ({
  ...{ id, profile: id, groups: [], attributes: { limit: 300 }, units }
})
const bar = device("bar", { p: "bar", q: "kPa", t: "Cel" })
const kPa = device("kPa", { p: "kPa", q: "bar", t: "K" })
const rule = (condition: unknown, more: object = {}): RuleDefinition =>
  ({
    ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each", profiles: ["bar", "kPa"] } },
    levels: [{ severity: "major", condition }],
    ...more
  }) as RuleDefinition
const below = (value: number, more: object = {}) => ({
  ...{ kind: "compare", datastream: "p", is: "below", than: { kind: "constant", value } },
  ...more
})
const read = (at: number, name: string, value: number, key = "p"): Fact => ({
  ...{ kind: "reading", device: name, key },
  ...{ at: at * 1000, value }
})
const told = (condition: object, ...facts: ReadonlyArray<Fact>) => {
  const compiled = compileRules([rule(condition as Condition)], tenant)
  const introduced = [bar, kPa].map((one): Fact => ({ kind: "device", at: 0, device: one }))
  return evaluate(compiled, makeState(compiled), [...introduced, ...facts])
}
const brief = (...given: Parameters<typeof told>) =>
  told(...given).map(({ at, do: what, originator }) => `${originator} ${at / 1000} ${what}`)

describe("a_threshold_in_a_unit_of_its_own", () => {
  it("means_the_same_whatever_a_profile_measures_in", () => {
    const facts = [read(10, "bar", 4), read(10, "kPa", 400), read(20, "bar", 2.9), read(20, "kPa", 290)]
    const expected = ["bar 20 raise", "kPa 20 raise"]
    assert.deepEqual(brief(below(3, { unit: "bar" }), ...facts), expected)
    assert.deepEqual(brief(below(300, { unit: "kPa" }), ...facts), expected)
    assert.deepEqual(
      brief(below(0, { unit: "kPa", than: { kind: "attribute", attribute: "limit" } }), ...facts),
      expected
    )
  })

  it("clears_at_the_threshold_of_that_unit_and_says_its_values_in_it", () => {
    const effects = told(
      below(300, { unit: "kPa", clear: 350 }),
      ...[2.9, 3.2, 3.6].map((value, place) => read(10 * (place + 1), "bar", value))
    )
    assert.deepEqual(
      effects.map(({ at, do: what }) => `${at / 1000} ${what}`),
      ["10 raise", "30 clear"]
    )
    assert.strictEqual(effects[0]!.because.text, "p is 290 kPa, against below 300 kPa")
  })

  it("compares_two_datastreams_in_one_unit", () => {
    const leaf = below(0, { than: { kind: "datastream", datastream: "q" } })
    const facts = [read(10, "bar", 4), read(11, "bar", 390, "q"), read(12, "bar", 410, "q")]
    assert.deepEqual(brief(leaf, ...facts), ["bar 12 raise"])
  })

  it("knows_differences_and_rates", () => {
    const leaf = { ...below(0), is: "at-least", than: { kind: "constant", value: 60 }, of: "rate", unit: "kPa/min" }
    assert.deepEqual(brief(leaf, read(10, "bar", 4), read(20, "bar", 4.09), read(30, "bar", 4.2)), ["bar 30 raise"])
    assert.strictEqual(inUnit("delta", 5, "K", "Cel"), 5)
    assert.strictEqual(inUnit("value", 278.15, "K", "Cel"), 5)
    assert.strictEqual(inUnit("rate", 1, "bar", "bar"), undefined)
    assert.strictEqual(inUnit("rate", 1, "[abc]/s", "[abc]"), 1)
    assert.closeTo(outOfUnit("rate", 0.01, "bar", "kPa/min")!, 60, 1e-9)
    assert.closeTo(outOfUnit("value", 20, "Cel", "[degF]")!, 68, 1e-9)
  })
})

describe("units_that_do_not_convert", () => {
  const stream = (key: string, unit: string, more: object = {}) => ({ key, title: key, unit, ...more })
  const vocabulary: RuleVocabulary = {
    profiles: new Map([
      [
        "bar",
        { datastreams: [stream("p", "bar", { minimum: 0, maximum: 16 }), stream("q", "kPa"), stream("f", "m3/h")] }
      ],
      [
        "kPa",
        { datastreams: [stream("p", "kPa", { minimum: 0, maximum: 1600 }), stream("q", "bar"), stream("f", "L/s")] }
      ]
    ]),
    profileOf: () => undefined
  }
  const checked = (condition: unknown) => {
    const { errors, warnings } = validateRule(rule(condition), vocabulary)
    return { errors: errors.map(({ pointer }) => pointer), warnings: warnings.map(({ pointer }) => pointer) }
  }
  const fine = { errors: [], warnings: [] }
  const leaf = "/levels/0/condition"

  it("are_refused_and_others_are_not", () => {
    assert.deepEqual(checked(below(300, { unit: "kPa" })), fine)
    assert.deepEqual(checked(below(0, { than: { kind: "datastream", datastream: "q" } })), fine)
    assert.deepEqual(checked(below(1, { of: "rate", unit: "kPa/min" })), fine)
    assert.deepEqual(checked(below(1, { unit: "m3/h" })).errors, [`${leaf}/unit`, `${leaf}/unit`])
    assert.deepEqual(checked(below(1, { of: "rate", unit: "kPa" })).errors, [`${leaf}/unit`, `${leaf}/unit`])
    assert.isNotEmpty(checked(below(0, { than: { kind: "datastream", datastream: "f" } })).errors)
  })

  it("must_be_said_where_profiles_measure_in_several", () => {
    assert.deepEqual(checked(below(3)).errors, [leaf])
  })

  it("do_not_hide_what_can_never_hold", () => {
    const above = { ...below(5, { unit: "bar" }), is: "above" }
    assert.deepEqual(checked({ kind: "all", conditions: [above, below(450, { unit: "kPa" })] }).errors, [leaf])
    assert.deepEqual(checked({ kind: "all", conditions: [above, below(550, { unit: "kPa" })] }), fine)
    assert.deepEqual(checked({ ...above, unit: "kPa", than: { kind: "constant", value: 1500 } }), fine)
    assert.deepEqual(checked({ ...above, unit: "kPa", than: { kind: "constant", value: 1700 } }).warnings, [leaf])
  })
})

/** What rules say of devices that have just come, and of what these have measured before. */
import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact } from "./facts.ts"
import type { StoredOriginator } from "./model.ts"
import { makeState } from "./state.ts"
import { decode, encode } from "./store.ts"

const tenant = { timeZone: "UTC", holidays: [] }
const device = (id: string): DeviceFacts => ({ id, profile: "p", groups: [], attributes: {}, expectedInterval: 60 })
const registered = (at: number, id = "d"): Fact => ({ kind: "device", at: at * 1000, device: device(id) })
const read = (at: number, value: number, key = "p"): Fact => ({
  ...{ kind: "reading", device: "d", key },
  ...{ at: at * 1000, value }
})
const above: Condition = { kind: "compare", datastream: "p", is: "above", than: { kind: "constant", value: 5 } }
const held: Condition = { kind: "held", seconds: 60, condition: above }
const rule = (condition: Condition, more: Partial<RuleDefinition> = {}): RuleDefinition => ({
  ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each", profiles: ["p"] } },
  levels: [{ severity: "major", condition }],
  ...more
})
const told = (definition: RuleDefinition, ...facts: ReadonlyArray<Fact>) => {
  const compiled = compileRules([definition], tenant)
  return evaluate(compiled, makeState(compiled), facts).map(
    ({ at, do: what, severity }) => `${at / 1000} ${what} ${severity}`
  )
}

describe("a_device_that_has_just_come", () => {
  const kept = [read(100, 6), read(130, 7), read(170, 6), read(200, 1)]
  it("is_judged_by_the_time_of_what_it_kept_for_itself", () => {
    assert.deepEqual(told(rule(held), registered(1000), ...kept), ["160 raise major", "200 clear major"])
    const silent = told(rule({ kind: "offline", intervals: 2 }), registered(1000), ...kept, {
      kind: "tick",
      at: 900_000
    })
    assert.deepEqual(silent, ["320 raise major"])
  })

  it("is_judged_from_the_first_word_on_and_no_earlier", () => {
    const facts = [registered(1000), read(990, 1), read(100, 6, "q"), read(995, 6), read(996, 1)]
    assert.deepEqual(told(rule(above), ...facts), ["995 raise major", "996 clear major"])
  })

  it("keeps_what_was_concluded_of_its_silence", () => {
    const facts = [registered(1000), { kind: "tick", at: 2_000_000 } as const, read(100, 6), read(2100, 6)]
    const silent = rule({ kind: "offline", intervals: 2 })
    assert.deepEqual(told(silent, ...facts), ["1120 raise major", "2100 clear major"])
  })
})

describe("a_set_that_has_just_come", () => {
  it("says_nothing_before_all_of_its_members_are_there", () => {
    const not = (condition: Condition): Condition => ({ kind: "not", condition })
    const levels = [
      { severity: "minor" as const, condition: not({ kind: "anomaly", datastream: "p", member: "a", seconds: 1 }) },
      { severity: "critical" as const, condition: not({ kind: "offline", member: "b", intervals: 1 }) }
    ]
    const scope = { kind: "sets" as const, sets: [{ id: "s", members: { a: "d1", b: "d2" } }] }
    const facts = [registered(0, "d1"), registered(0, "d2")]
    assert.deepEqual(told(rule(above, { levels, scope }), ...facts), ["0 raise critical"])
  })
})

describe("a_set_of_which_a_member_is_gone", () => {
  const aboveFive = (member: string): Condition => ({ ...above, member })
  const pair = (kind: "all" | "any", more: Partial<RuleDefinition> = {}): RuleDefinition =>
    rule(above, {
      levels: [{ severity: "major", condition: { kind, conditions: [aboveFive("a"), aboveFive("b")] } }],
      scope: { kind: "sets", sets: [{ id: "s", members: { a: "d1", b: "d2" } }] },
      ...more
    })
  const both = [registered(0, "d1"), registered(0, "d2")]
  const of = (id: string, at: number, value: number): Fact => ({ ...read(at, value), device: id }) as Fact
  const gone = (at: number): Fact => ({ kind: "gone", at: at * 1000, device: "d1" })
  const up = [of("d1", 10, 6), of("d2", 10, 6)]

  it("keeps_no_alert_that_does_not_hold_without_it_and_begins_anew_when_it_returns", () => {
    const later = [of("d2", 30, 1), of("d2", 40, 6), registered(50, "d1"), of("d2", 60, 7), of("d1", 70, 6)]
    assert.deepEqual(told(pair("all"), ...both, ...up, gone(20), ...later), [
      "10 raise major",
      "20 clear major",
      "70 raise major"
    ])
    const compiled = compileRules([pair("all", { clear: { after: 600 } })], tenant)
    const effects = evaluate(compiled, makeState(compiled), [...both, ...up, gone(20)])
    assert.deepEqual(
      effects.map(({ because }) => because.reason),
      ["condition", "device gone"]
    )
  })

  it("goes_on_with_the_others", () => {
    assert.deepEqual(told(pair("any"), ...both, ...up, gone(20), of("d2", 30, 7), of("d2", 40, 1)), [
      "10 raise major",
      "40 clear major"
    ])
  })

  it("knows_that_it_went_while_nobody_looked", () => {
    const compiled = compileRules([pair("all")], tenant)
    const state = makeState(compiled)
    evaluate(compiled, state, [...both, ...up])
    const stored = JSON.parse(JSON.stringify(encode(state, "set:s"))) as StoredOriginator
    const restarted = makeState(compiled)
    decode(restarted, [stored])
    const effects = evaluate(compiled, restarted, [registered(20, "d2"), of("d2", 30, 7)])
    assert.deepEqual(
      effects.map((effect) => effect.do),
      ["clear"]
    )
  })
})

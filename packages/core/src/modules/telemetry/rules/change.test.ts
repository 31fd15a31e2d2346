import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { Fact, RuleEffect } from "./facts.ts"
import { makeState, takeChanged } from "./state.ts"
import { decode, encode } from "./store.ts"

const tenant = { timeZone: "UTC", holidays: [] }
const above = (value: number, datastream = "p"): Condition => ({
  ...{ kind: "compare", datastream, is: "above" },
  than: { kind: "constant", value }
})
const held = (condition: Condition, seconds = 60): Condition => ({ kind: "held", seconds, condition })
const rule = (version: number, condition: Condition, more: Partial<RuleDefinition> = {}): RuleDefinition => ({
  ...{ id: "r", version, title: { en: "R" }, scope: { kind: "each", profiles: ["p"] } },
  levels: [{ severity: "major", condition }],
  ...more
})
const read = (at: number, value: number, key = "p"): Fact => ({
  kind: "reading",
  device: "d",
  key,
  at: at * 1000,
  value
})
const tick = (at: number): Fact => ({ kind: "tick", at: at * 1000 })
const known: Fact = {
  ...{ kind: "device", at: 0 },
  device: { id: "d", profile: "p", groups: [], attributes: {}, expectedInterval: 60 }
}
const brief = ({ at, because: { reason }, do: what, rule: id, severity, version }: RuleEffect) =>
  `${id}@${version} ${at / 1000} ${what} ${severity}: ${reason}`

/** What is said after the rules have changed, in the running state and, the same, in one that was stored meanwhile. */
const after = (
  old: ReadonlyArray<RuleDefinition>,
  facts: ReadonlyArray<Fact>,
  young: ReadonlyArray<RuleDefinition>,
  then: ReadonlyArray<Fact>
) => {
  const [before, now] = [compileRules(old, tenant), compileRules(young, tenant)]
  const state = makeState(before)
  const first = evaluate(before, state, [known, ...facts])
  const { time } = state
  const stored = JSON.stringify([...state.originators.keys()].map((id) => encode(state, id)))
  const running = evaluate(now, state, then)
  const restarted = makeState(now)
  decode(restarted, JSON.parse(stored) as Parameters<typeof decode>[1])
  assert.deepEqual(evaluate(now, restarted, [{ ...known, at: time } as Fact, ...then]), running)
  return { first, then: running.map(brief), effects: running, state }
}

describe("a_rule_that_changes", () => {
  const up = [read(10, 6)]
  it("keeps_its_alert_when_its_condition_is_the_same", () => {
    const { effects, first, then } = after(
      [rule(1, above(5))],
      up,
      [rule(2, above(5), { title: { en: "New" } })],
      [read(20, 1)]
    )
    assert.deepEqual(then, ["r@2 20 clear major: condition"])
    assert.strictEqual(effects[0]!.episode, first[0]!.episode)
  })
  it("tells_another_severity", () => {
    const levels = [{ severity: "minor", condition: above(5) }] as const
    assert.deepEqual(after([rule(1, above(5))], up, [rule(2, above(5), { levels })], []).then, [
      "r@2 10 update minor: rule changed"
    ])
  })
  it("keeps_its_alert_when_the_new_condition_holds_too", () => {
    const { then } = after([rule(1, above(5))], up, [rule(2, above(5.5))], [read(20, 5.2)])
    assert.deepEqual(then, ["r@2 20 clear major: condition"])
  })
  it("clears_its_alert_when_nothing_is_wrong_any_more", () => {
    const { effects, first, then } = after([rule(1, above(5))], up, [rule(2, above(7))], [])
    assert.deepEqual(then, ["r@2 10 clear major: rule changed"])
    assert.strictEqual(effects[0]!.episode, first[0]!.episode)
    assert.deepEqual(after([rule(1, above(5))], up, [rule(2, above(5, "q"))], []).then, then)
  })
  it("goes_on_counting_where_a_condition_is_the_same", () => {
    const both: Condition = { kind: "any", conditions: [held(above(5)), above(9)] }
    assert.deepEqual(after([rule(1, held(above(5)))], up, [rule(2, both)], [tick(100)]).then, [
      "r@2 70 raise major: condition"
    ])
    assert.deepEqual(after([rule(1, held(above(5)))], up, [rule(2, held(above(5), 80))], [tick(100)]).then, [
      "r@2 90 raise major: condition"
    ])
  })
  it("clears_when_it_is_gone_and_says_so_of_the_version_that_raised_it", () => {
    const { state, then } = after(
      [rule(1, above(5)), rule(1, above(9), { id: "s" })],
      up,
      [rule(1, above(9), { id: "s" })],
      []
    )
    assert.deepEqual(then, ["r@1 10 clear major: out of scope"])
    assert.deepEqual(takeChanged(state), [{ originator: "d", decided: true }])
  })
  it("takes_its_row_along_when_no_rule_is_left", () => {
    const { state, then } = after([rule(1, above(5))], up, [], [])
    assert.deepEqual(then, ["r@1 10 clear major: out of scope"])
    assert.deepEqual(takeChanged(state), [{ originator: "d", decided: true }])
    assert.isUndefined(encode(state, "d"))
  })
  it("begins_where_the_clock_stands_when_it_is_new", () => {
    const offline = rule(1, { kind: "offline", intervals: 2 }, { id: "s" })
    assert.deepEqual(after([], [tick(1000)], [offline], [tick(1100)]).then, [])
    // Nor is a datastream that no rule looked at before.
    const quiet = rule(1, { kind: "offline", intervals: 2, datastream: "q" }, { id: "s" })
    const heard = [read(10, 1), read(900, 1, "q"), read(1000, 1)]
    assert.deepEqual(after([rule(1, above(5))], heard, [rule(1, above(5)), quiet], [tick(1119), tick(1121)]).then, [
      "s@1 1120 raise major: condition"
    ])
    assert.deepEqual(after([rule(1, above(5))], up, [rule(1, above(5)), offline], [tick(129), tick(130)]).then, [
      "s@1 130 raise major: condition"
    ])
  })
})

describe("a_rule_that_is_switched_off_and_on_again", () => {
  const other = rule(1, above(9), { id: "s" })
  const offline = rule(1, { kind: "offline", intervals: 2 })
  /** The rules that hold one after the other; before the last, what there is is stored and read back too. */
  const stages = (facts: ReadonlyArray<Fact>, ...rules: ReadonlyArray<ReadonlyArray<RuleDefinition>>) => {
    const all = rules.map((some) => compileRules(some, tenant))
    const state = makeState(all[0]!)
    const effects = [...evaluate(all[0]!, state, [known, ...facts])]
    for (const compiled of all.slice(1, -1)) effects.push(...evaluate(compiled, state, []))
    const [last, { time }] = [all.at(-1)!, state]
    const stored = JSON.stringify([...state.originators.keys()].map((id) => encode(state, id)))
    const restarted = makeState(last)
    decode(restarted, JSON.parse(stored) as Parameters<typeof decode>[1])
    const again = evaluate(last, restarted, [{ ...known, at: time } as Fact])
    const running = evaluate(last, state, [])
    assert.deepEqual(again, running)
    return { effects: [...effects, ...running], state }
  }
  const raises = (effects: ReadonlyArray<RuleEffect>) =>
    effects.filter(({ do: what }) => what === "raise").map(({ episode }) => episode)

  it("raises_the_alert_of_a_silent_device_anew", () => {
    const facts = [read(10, 6), tick(1000)]
    const both = [other, offline]
    const { effects } = stages(facts, both, [other], both, [other], both)
    assert.deepEqual(effects.map(brief), [
      "r@1 130 raise major: condition",
      "r@1 130 clear major: out of scope",
      "r@1 130 raise major: condition",
      "r@1 130 clear major: out of scope",
      "r@1 130 raise major: condition"
    ])
    assert.lengthOf(new Set(raises(effects)), 3)
  })

  it("raises_anew_what_the_last_value_says_and_as_its_next_version_too", () => {
    const high = (version: number) => rule(version, above(5))
    const watched = [other, high(1)]
    const { effects } = stages([read(10, 6)], watched, [other], watched, [other], [other, high(2)])
    assert.lengthOf(new Set(raises(effects)), 3)
  })

  it("is_forgotten_when_nothing_can_be_said_twice_any_more", () => {
    const { state } = stages([read(10, 6)], [other, rule(1, above(5))], [other])
    assert.hasAllKeys(encode(state, "d")!.rules, ["r", "s"])
    evaluate(state.compiled, state, [read(11, 1)])
    assert.hasAllKeys(encode(state, "d")!.rules, ["s"])
  })
})

describe("takeChanged", () => {
  it("tells_what_is_decided_from_what_has_only_moved", () => {
    const compiled = compileRules([rule(1, above(5))], tenant)
    const state = makeState(compiled)
    const changed = (facts: ReadonlyArray<Fact>) => {
      evaluate(compiled, state, facts)
      return takeChanged(state)
    }
    assert.deepEqual(changed([known]), [{ originator: "d", decided: true }])
    assert.deepEqual(changed([read(10, 1)]), [{ originator: "d", decided: true }], "now it is known")
    assert.deepEqual(changed([read(15, 1), read(20, 2)]), [{ originator: "d", decided: false }])
    assert.deepEqual(changed([read(30, 6), read(40, 6)]), [{ originator: "d", decided: true }])
    assert.deepEqual(changed([read(30, 6)]), [])
    assert.deepEqual(changed([{ kind: "gone", device: "d", at: 50_000 }]), [{ originator: "d", decided: true }])
    assert.isUndefined(encode(state, "d"))
  })
  it("counts_what_it_cannot_use", () => {
    const compiled = compileRules([rule(1, above(5))], tenant)
    const state = makeState(compiled)
    const strange: ReadonlyArray<Fact> = [
      read(10, Number.NaN),
      read(Infinity, 1),
      { ...read(10, 1), device: "x" } as Fact
    ]
    assert.deepEqual(evaluate(compiled, state, [known, ...strange]), [])
    assert.strictEqual(state.ignored, 3)
    assert.deepEqual(evaluate(compiled, state, [read(11, 6)]).map(brief), ["r@1 11 raise major: condition"])
  })
})

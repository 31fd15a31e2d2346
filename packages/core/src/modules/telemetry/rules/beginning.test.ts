/** What rules say of devices that have just come, and of what these have measured before. */
import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact } from "./facts.ts"
import { makeState } from "./state.ts"

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

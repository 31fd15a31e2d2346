import type { StoredOriginator } from "./model.ts"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import { type Condition, type RuleDefinition, severities } from "./definition.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact, RuleEffect } from "./facts.ts"
import { reference } from "../../../test/ruleReference.ts"
import { makeState, type RulesState } from "./state.ts"
import { decode, encode, freeze } from "./store.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
/** Milliseconds. The reader of the whole history takes its time. */
const timeout = soak ? 3_600_000 : 240_000
const device: DeviceFacts = { id: "d", profile: "p", groups: [], attributes: { limit: 1 }, expectedInterval: 20 }
const known: Fact = { kind: "device", device, at: 0 }
const tenant = { timeZone: "UTC", holidays: [] }

const key = fc.constantFrom("p", "q")
const small = fc.integer({ min: -1, max: 3 })
const seconds = fc.integer({ min: 1, max: 60 })
const minute = fc.constantFrom("00:01", "00:02")

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        datastream: key,
        is: fc.constantFrom("above", "at-least", "below", "at-most", "equal", "not-equal"),
        of: fc.constantFrom("value", "delta", "rate"),
        than: fc.oneof(
          { weight: 4, arbitrary: small.map((value) => ({ kind: "constant" as const, value })) },
          key.map((datastream) => ({ kind: "datastream" as const, datastream })),
          fc.constant({ kind: "attribute" as const, attribute: "limit" })
        ),
        gap: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined })
      })
      .map(({ gap, ...one }) => {
        const more =
          one.is === "above" || one.is === "at-least" ? -1 : one.is === "below" || one.is === "at-most" ? 1 : 0
        return one.than.kind === "constant" && gap !== undefined && more !== 0
          ? { kind: "compare" as const, ...one, clear: one.than.value + more * gap }
          : { kind: "compare" as const, ...one }
      })
  },
  fc.record({ kind: fc.constant("anomaly" as const), datastream: key, minScore: fc.constantFrom(0, 0.5), seconds }),
  fc.record(
    { kind: fc.constant("offline" as const), datastream: key, intervals: fc.integer({ min: 1, max: 3 }) },
    { requiredKeys: ["kind", "intervals"] }
  ),
  fc.constantFrom("inside" as const, "outside" as const).map((is) => ({
    ...{ kind: "geofence" as const, is },
    area: {
      type: "Polygon" as const,
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
  })),
  fc.record({ days: fc.constantFrom([4], [1, 5]), from: minute }).map(({ days, from }) => ({
    ...{ kind: "schedule" as const, days, from, to: "00:03" }
  }))
)

const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, depthSize: "medium" },
    { weight: 3, arbitrary: leaf },
    fc.record({
      kind: fc.constantFrom("all" as const, "any" as const),
      conditions: fc.array(tie("condition"), { minLength: 1, maxLength: 3 })
    }),
    fc.record({ kind: fc.constant("not" as const), condition: tie("condition") }),
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("held" as const), seconds, condition: tie("condition") }) },
    fc.record({
      kind: fc.constant("repeated" as const),
      times: fc.integer({ min: 2, max: 3 }),
      seconds,
      condition: tie("condition")
    })
  )
}))

const rule: fc.Arbitrary<RuleDefinition> = fc
  .record({
    levels: fc.uniqueArray(fc.record({ severity: fc.constantFrom(...severities), condition }), {
      ...{ minLength: 1, maxLength: 3, selector: ({ severity }) => severity }
    }),
    clear: fc.option(fc.record({ condition, after: fc.constantFrom(0, 7, 30) }, { requiredKeys: [] }), {
      nil: undefined
    }),
    perHour: fc.integer({ min: 1, max: 4 })
  })
  .map(({ clear, ...one }) => ({
    ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each" as const, profiles: ["p"] } },
    ...one,
    ...(clear === undefined ? {} : { clear })
  }))

/** Mostly forward, sometimes late, sometimes twice. */
const step = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 25 }) },
  fc.integer({ min: -15, max: -1 }),
  fc.constant(0)
)
const coordinate = (key: "latitude" | "longitude", value: number, at: number): Fact => ({
  ...{ kind: "reading", device: "d", key, at, value }
})
const kinds: fc.Arbitrary<(at: number) => Fact | ReadonlyArray<Fact>> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({ key: fc.constantFrom("p", "q", "r"), value: small, sequence: fc.constantFrom(0, 1) })
      .map((one) => (at: number): Fact => ({ kind: "reading", device: "d", at, ...one }))
  },
  fc.record({ key, score: fc.constantFrom(0.2, 0.9) }).map(({ key, score }) => (at: number): Fact => ({
    ...{ kind: "anomaly", device: "d", key },
    anomaly: { kind: "record", at, value: 0, expected: { low: 0, high: 0 }, score, explanation: "" }
  })),
  fc
    .integer({ min: 0, max: 4 })
    .map((longitude) => (at: number) => [coordinate("latitude", 1, at), coordinate("longitude", longitude, at)]),
  fc.constant((at: number): Fact => ({ kind: "tick", at }))
)
const streamOf = (kinds: fc.Arbitrary<(at: number) => Fact | ReadonlyArray<Fact>>, length: number) =>
  fc
    .array(fc.tuple(step, kinds), { minLength: Math.floor(length / 2), maxLength: length, size: "max" })
    .map((steps) => {
      let now = 0
      return steps.flatMap(([by, make]) => {
        now = Math.max(0, now + by)
        return make(now * 1000)
      })
    })
const stream = (length: number) => streamOf(kinds, length)
/** Coordinates also one at a time. */
const halting = (length: number) =>
  streamOf(
    fc.oneof(
      { weight: 4, arbitrary: kinds },
      fc
        .record({
          key: fc.constantFrom("latitude" as const, "longitude" as const),
          value: fc.integer({ min: 0, max: 4 })
        })
        .map(
          ({ key, value }) =>
            (at: number) =>
              coordinate(key, value, at)
        )
    ),
    length
  )

const brief = ({ at, do: what, flapping, severity }: Pick<RuleEffect, "at" | "do" | "flapping" | "severity">) => ({
  do: what,
  severity,
  at,
  flapping
})
const start = (rules: ReadonlyArray<RuleDefinition>) => {
  const compiled = compileRules(rules, tenant)
  return { compiled, state: makeState(compiled) }
}
const saved = (state: RulesState): ReadonlyArray<StoredOriginator> =>
  JSON.parse(
    JSON.stringify([...state.originators.keys()].map((id) => encode(state, id)))
  ) as ReadonlyArray<StoredOriginator>

describe("rules", () => {
  it("mean_what_a_reader_of_the_whole_history_says", { timeout }, () => {
    let said = 0
    fc.assert(
      fc.property(rule, stream(40), (definition, facts) => {
        const { compiled, state } = start([definition])
        const effects = evaluate(compiled, state, [known, ...facts])
        assert.deepEqual(effects.map(brief), reference(definition, device, facts))
        said += effects.length
        const raised = effects.filter((one) => one.do === "raise").map(({ episode }) => episode)
        assert.strictEqual(new Set(raised).size, raised.length, "one name, one episode")
      }),
      { numRuns: soak ? 30_000 : 2_000 }
    )
    assert.isAbove(said, 1000, "random rules say something")
  })

  it("keep_the_peace_of_an_hour_as_the_reader_does", { timeout }, () => {
    fc.assert(
      fc.property(rule, stream(30), stream(10), (definition, facts, later) => {
        const quiet: Fact = { kind: "tick", at: 4_500_000 }
        const all = [...facts, quiet, ...later.map((fact) => moved(fact, 4_000_000))]
        const { compiled, state } = start([definition])
        assert.deepEqual(evaluate(compiled, state, [known, ...all]).map(brief), reference(definition, device, all))
      }),
      { numRuns: soak ? 1_000 : 20 }
    )
  })

  it("go_on_after_a_restart_as_if_nothing_had_been", { timeout }, () => {
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 3 }), halting(40), fc.nat(40), (rules, facts, cut) => {
        const definitions = rules.map((one, place) => ({ ...one, id: `r${place}` }))
        const whole = start(definitions)
        const all = evaluate(whole.compiled, whole.state, [known, ...facts])
        const before = start(definitions)
        const first = evaluate(before.compiled, before.state, [known, ...facts.slice(0, cut)])
        const after = start(definitions)
        const stored = saved(before.state)
        decode(after.state, stored)
        const then = evaluate(after.compiled, after.state, [known, ...facts.slice(cut)])
        const frozen = [...before.state.originators.keys()].map((id) => freeze(before.state, id))
        evaluate(before.compiled, before.state, facts.slice(cut))
        evaluate(compileRules([], tenant), before.state, [{ kind: "gone", at: 5_000_000, device: "d" }])
        assert.deepEqual(JSON.parse(JSON.stringify(frozen.map((state) => state()))), stored)
        assert.deepEqual([...first, ...then], all)
        assert.deepEqual(saved(after.state), saved(whole.state))
      }),
      { numRuns: soak ? 20_000 : 1_000 }
    )
  })

  it("hear_nothing_new_in_readings_that_come_again", () => {
    fc.assert(
      fc.property(rule, stream(40), fc.nat(40), (definition, facts, from) => {
        const { compiled, state } = start([definition])
        const watched = facts.filter((fact) => fact.kind === "reading" && fact.key !== "r")
        evaluate(compiled, state, [known, ...watched])
        const keys = new Set(state.originators.get("d")!.members.get("d")!.streams.keys())
        const again = watched.slice(from).filter((fact) => fact.kind === "reading" && keys.has(fact.key))
        assert.deepEqual(evaluate(compiled, state, again), [])
      }),
      { numRuns: 500 }
    )
  })

  it("mean_of_a_set_what_they_mean_of_one_device_with_all_its_datastreams", { timeout }, () => {
    const members = { mp: "dp", mq: "dq" }
    const owners = Object.values(members).map((id): Fact => ({ kind: "device", device: { ...device, id }, at: 0 }))
    let said = 0
    fc.assert(
      fc.property(rule, stream(40), fc.nat(40), (definition, all, cut) => {
        const text = JSON.stringify(rewritten(definition, spread))
        fc.pre(text.includes('"member":'))
        // A device's clock hears all its datastreams, a set's only those of its members.
        const isPlace = (key: string) => key === "latitude" || key === "longitude"
        const facts = all.filter(
          (fact) => fact.kind !== "reading" || text.includes(isPlace(fact.key) ? '"geofence"' : `"m${fact.key}"`)
        )
        const one = start([rewritten(definition, gathered)])
        const scope = { kind: "sets" as const, sets: [{ id: "s", members }] }
        const several = start([{ ...rewritten(definition, spread), scope }])
        const theirs = facts.map((fact): Fact => {
          if (fact.kind !== "reading" && fact.kind !== "anomaly") return fact
          return { ...fact, device: isPlace(fact.key) ? "dq" : `d${fact.key}` }
        })
        const first = evaluate(several.compiled, several.state, [...owners, ...theirs.slice(0, cut)])
        const after = makeState(several.compiled)
        decode(after, saved(several.state))
        const then = evaluate(several.compiled, after, [...owners, ...theirs.slice(cut)])
        const expected = evaluate(one.compiled, one.state, [known, ...facts])
        assert.deepEqual([...first, ...then].map(brief), expected.map(brief))
        said += expected.length
      }),
      { numRuns: soak ? 10_000 : 1_000 }
    )
    assert.isAbove(said, 500)
  })

  it("conclude_the_same_however_often_the_clock_ticks", () => {
    const inOrder = halting(30).map((facts) => {
      let last = 0
      return facts
        .filter((fact) => fact.kind !== "tick")
        .map((fact) => {
          const at = fact.kind === "anomaly" ? fact.anomaly.at : (fact as { at: number }).at
          last = Math.max(last, at)
          return moved(fact, last - at)
        })
    })
    fc.assert(
      fc.property(rule, inOrder, (definition, facts) => {
        const [seldom, often] = [start([definition]), start([definition])]
        const end: Fact = { kind: "tick", at: 2_000_000 }
        const ticking = facts.flatMap((fact): ReadonlyArray<Fact> => {
          const at = fact.kind === "anomaly" ? fact.anomaly.at : (fact as { at: number }).at
          return [{ kind: "tick", at: at - 3000 }, { kind: "tick", at: at - 1 }, fact]
        })
        assert.deepEqual(
          evaluate(often.compiled, often.state, [known, ...ticking, end]),
          evaluate(seldom.compiled, seldom.state, [known, ...facts, end])
        )
      }),
      { numRuns: 1000 }
    )
  })
})

/** The same over a set: each datastream is another member's. */
const spread = (condition: Condition): Condition => {
  switch (condition.kind) {
    case "all":
    case "any":
      return { ...condition, conditions: condition.conditions.map(spread) }
    case "not":
    case "held":
    case "repeated":
      return { ...condition, condition: spread(condition.condition) }
    case "compare": {
      const { than } = condition
      const member = `m${condition.datastream}`
      if (than.kind === "datastream") return { ...condition, member, than: { ...than, member: `m${than.datastream}` } }
      return { ...condition, member, than: than.kind === "attribute" ? { ...than, member: "mp" } : than }
    }
    case "anomaly":
      return { ...condition, member: `m${condition.datastream}` }
    case "offline":
      return { ...condition, datastream: condition.datastream ?? "p", member: `m${condition.datastream ?? "p"}` }
    case "geofence":
      return { ...condition, member: "mq" }
    case "schedule":
      return condition
  }
}
/** The same of one device, as far as a set can say it. */
const gathered = (condition: Condition): Condition => {
  switch (condition.kind) {
    case "all":
    case "any":
      return { ...condition, conditions: condition.conditions.map(gathered) }
    case "not":
    case "held":
    case "repeated":
      return { ...condition, condition: gathered(condition.condition) }
    case "offline":
      return { ...condition, datastream: condition.datastream ?? "p" }
    default:
      return condition
  }
}
const rewritten = (definition: RuleDefinition, how: (condition: Condition) => Condition): RuleDefinition => ({
  ...definition,
  levels: definition.levels.map((level) => ({ ...level, condition: how(level.condition) })),
  ...(definition.clear?.condition === undefined
    ? {}
    : { clear: { ...definition.clear, condition: how(definition.clear.condition) } })
})

const moved = (fact: Fact, by: number): Fact =>
  fact.kind === "anomaly"
    ? { ...fact, anomaly: { ...fact.anomaly, at: fact.anomaly.at + by } }
    : { ...fact, at: fact.at + by }

/** Whether a rule that is well formed makes sense: conditions that can hold, alerts that can clear. */
import { convert } from "../decode/units.ts"
import type { CompareLeaf, Condition, RuleDefinition } from "./definition.ts"
import { type Bounds, feasible } from "./feasible.ts"
import { inUnit } from "./units.ts"
import { type Add, datastreamsOf, type RuleVocabulary } from "./vocabulary.ts"

/** A condition and the bounds of what it compares, each datastream in one unit: that of the first profile that has it. */
const inOneUnit = (rule: RuleDefinition, vocabulary: RuleVocabulary) => {
  const streamsOf = (leaf: CompareLeaf) =>
    datastreamsOf(leaf, rule, vocabulary).flatMap(({ stream }) => (stream === undefined ? [] : [stream]))
  const converted = (condition: Condition): Condition => {
    switch (condition.kind) {
      case "all":
      case "any":
        return { ...condition, conditions: condition.conditions.map(converted) }
      case "not":
      case "held":
      case "repeated":
        return { ...condition, condition: converted(condition.condition) }
      case "compare": {
        const { clear, of: aspect = "value", than, unit } = condition
        const [first] = streamsOf(condition)
        if (unit === undefined || first === undefined || than.kind !== "constant") return condition
        const number = (value: number) => inUnit(aspect, value, unit, first.unit) ?? value
        return {
          ...condition,
          than: { ...than, value: number(than.value) },
          ...(clear === undefined ? {} : { clear: number(clear) })
        }
      }
      default:
        return condition
    }
  }
  const bounds: Bounds = (leaf) => {
    const streams = streamsOf(leaf)
    const [first] = streams
    if (first === undefined) return {}
    const number = (value: number, unit: string, otherwise: number) => convert(value, unit, first.unit) ?? otherwise
    return {
      minimum: Math.min(...streams.map(({ minimum = -Infinity, unit }) => number(minimum, unit, -Infinity))),
      maximum: Math.max(...streams.map(({ maximum = Infinity, unit }) => number(maximum, unit, Infinity)))
    }
  }
  return { converted, bounds }
}

/** Conditions that cannot hold, and alerts that cannot clear. */
export const checkSense = (rule: RuleDefinition, vocabulary: RuleVocabulary, add: Add, warn: Add) => {
  const { bounds, converted } = inOneUnit(rule, vocabulary)
  const anything: Bounds = () => ({})
  const canBe = (condition: Condition) => feasible([{ condition, truth: true }], anything)
  const clear = rule.clear?.condition === undefined ? undefined : converted(rule.clear.condition)
  const levels = rule.levels.map(({ condition }) => converted(condition))
  for (const [place, condition] of levels.entries()) {
    const pointer = `/levels/${place}/condition`
    if (!canBe(condition)) add(pointer, "This contradicts itself and can never hold.")
    else if (!feasible([{ condition, truth: true }], bounds))
      warn(pointer, "With the values that the profile calls possible, this never holds.")
  }
  if (clear !== undefined && !canBe(clear))
    return add("/clear/condition", "This contradicts itself: an alert would never clear.")
  const quiet = [
    ...levels.map((condition) => ({ condition, truth: false })),
    ...(clear === undefined ? [] : [{ condition: clear, truth: true }])
  ]
  if (!feasible(quiet, bounds, true))
    warn(
      clear === undefined ? "/levels" : "/clear/condition",
      "An alert of this rule would never clear, whatever lasting values devices send."
    )
}

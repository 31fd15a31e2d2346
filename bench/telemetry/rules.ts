/** The twenty rules of the benchmarks, of all kinds that readings run through. */
import type { Condition, RuleDefinition } from "../../packages/core/src/modules/telemetry/rules/definition.ts"

/** Fourteen rules look at `p`, eight at `q`. */
const conditionOf = (place: number): Condition => {
  const high = place % 2 === 1
  const compare: Condition = {
    ...{ kind: "compare", datastream: place < 14 ? "p" : "q", is: high ? "above" : "below" },
    than: { kind: "constant", value: high ? 90 + (place % 5) : 10 - (place % 5) }
  }
  const other: Condition = { kind: "compare", datastream: "q", is: "above", than: { kind: "constant", value: 85 } }
  switch (place % 7) {
    case 1:
      return { kind: "held", seconds: 600, condition: compare }
    case 2:
      return { kind: "all", conditions: [compare, other] }
    case 3:
      return { ...compare, of: "rate", is: "above", than: { kind: "constant", value: 50 } }
    case 4:
      return { ...compare, than: { kind: "attribute", attribute: high ? "high" : "low" } }
    case 5:
      return { kind: "repeated", times: 3, seconds: 3600, condition: compare }
    case 6:
      return { kind: "any", conditions: [compare, { kind: "offline", intervals: 3 }] }
    default:
      return compare
  }
}

/** On every device of the profile `p`; they use the attributes `high` and `low`. */
export const twentyRules = Array.from({ length: 20 }, (_, place): RuleDefinition => ({
  ...{ id: `rule-${place}`, version: 1, title: { en: "Rule" }, scope: { kind: "each", profiles: ["p"] } },
  levels: [{ severity: "major", condition: conditionOf(place) }]
}))

/** Why an alert is raised, in English: what was seen and what it was held against. */
import type { Instance } from "./model.ts"
import { aspectOf, findIn, sidesOf, unitOf } from "./compare.ts"
import type { CompareLeaf, Condition } from "./definition.ts"
import { outOfUnit } from "./units.ts"

const rounded = (value: number) => String(Number(value.toPrecision(6)))

const spans = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"]
] as const

/** `90 min`, `2 h`: the largest unit that divides it. */
const spanOf = (seconds: number): string => {
  const [size, unit] = spans.find(([size]) => seconds >= size && seconds % size === 0) ?? [1, "s"]
  return `${seconds / size} ${unit}`
}

const words: Readonly<Record<CompareLeaf["is"], string>> = {
  above: "above",
  "at-least": "at least",
  below: "below",
  "at-most": "at most",
  equal: "equal to",
  "not-equal": "different from"
}

const sides = (instance: Instance, leaf: CompareLeaf): string => {
  const find = findIn(instance.rule)
  const unit = leaf.unit === undefined ? "" : ` ${leaf.unit}`
  const own = `${leaf.member === undefined ? "" : `${leaf.member}'s `}${leaf.of === undefined || leaf.of === "value" ? "" : `${leaf.of} of `}${leaf.datastream}`
  const stream = instance.streams[find.sourceOf(leaf.member, leaf.datastream)]!
  const measured = unitOf(leaf, find)(instance)
  /** In the rule's own unit, as whoever wrote it thinks. */
  const shown = (value: number) =>
    leaf.unit === undefined || measured === undefined
      ? value
      : (outOfUnit(leaf.of ?? "value", value, measured, leaf.unit) ?? value)
  const left = shown(aspectOf(leaf, stream))
  const right = shown(sidesOf(leaf, find).right(instance))
  const { than } = leaf
  const name =
    than.kind === "constant"
      ? ""
      : ` (${than.member === undefined ? "" : `${than.member}'s `}${than.kind === "datastream" ? than.datastream : than.attribute})`
  const seen = Number.isNaN(left) ? "unknown" : `${rounded(left)}${unit}`
  return `${own} is ${seen}, against ${words[leaf.is]} ${Number.isNaN(right) ? "unknown" : rounded(right)}${unit}${name}`
}

/** A condition in words, with the values of this moment. */
export const explain = (instance: Instance, condition: Condition): string => {
  const inner = (part: Condition) => explain(instance, part)
  switch (condition.kind) {
    case "all":
      return condition.conditions.map(inner).join(" and ")
    case "any":
      return condition.conditions.length === 1
        ? inner(condition.conditions[0]!)
        : `(${condition.conditions.map(inner).join(" or ")})`
    case "not":
      return `not (${inner(condition.condition)})`
    case "held":
      return `${inner(condition.condition)}, for ${spanOf(condition.seconds)}`
    case "repeated":
      return `${inner(condition.condition)}, ${condition.times} times within ${spanOf(condition.seconds)}`
    case "compare":
      return sides(instance, condition)
    case "anomaly":
      return `${condition.datastream} is unusual${condition.anomalies === undefined ? "" : ` (${condition.anomalies.join(", ")})`}`
    case "offline": {
      const find = findIn(instance.rule)
      const member = instance.members[find.memberOf(condition.member)]!
      const last =
        condition.datastream === undefined
          ? member.lastAt
          : instance.streams[find.sourceOf(condition.member, condition.datastream)]!.at
      const seen = Number.isNaN(last) ? "yet" : `since ${new Date(last).toISOString()}`
      return `no reading${condition.datastream === undefined ? "" : ` of ${condition.datastream}`} ${seen}`
    }
    case "geofence":
      return `its place is ${condition.is} the area`
    case "schedule":
      return `the time is between ${condition.from} and ${condition.to}`
  }
}

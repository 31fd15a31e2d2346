/** `compare` leaves. Those that hold a value against what does not move need not look at each reading: see `Stream.low`. */
import type { CompiledRule, Draft, Evaluate, Instance, Narrow, Stream, Update } from "./model.ts"
import type { CompareLeaf, ComparisonName, Operand } from "./definition.ts"
import { inUnit } from "./units.ts"

type Read = (instance: Instance) => number
type Test = (left: number, right: number) => boolean

const tests: Readonly<Record<ComparisonName, Test>> = {
  above: (left, right) => left > right,
  "at-least": (left, right) => left >= right,
  below: (left, right) => left < right,
  "at-most": (left, right) => left <= right,
  equal: (left, right) => left === right,
  "not-equal": (left, right) => left !== right
}

const aspects: Readonly<Record<NonNullable<CompareLeaf["of"]>, (stream: Stream) => number>> = {
  value: (stream) => stream.value,
  delta: (stream) => stream.value - stream.before,
  // Two readings of one moment have no rate.
  rate: ({ at, before, beforeAt, value }) => (at > beforeAt ? ((value - before) / (at - beforeAt)) * 1000 : Number.NaN)
}

/** The left side; NaN where nothing is known yet. */
export const aspectOf = (leaf: CompareLeaf, stream: Stream): number => aspects[leaf.of ?? "value"](stream)

const numberOf = (attribute: unknown): number =>
  typeof attribute === "number" || typeof attribute === "boolean" ? Number(attribute) : Number.NaN

/** Which of a rule's sources is meant. */
type Find = {
  readonly memberOf: (name: string | undefined) => number
  readonly sourceOf: (name: string | undefined, key: string) => number
}

/** The right side as it stands. */
const operandOf = (operand: Operand, find: Find): Read => {
  switch (operand.kind) {
    case "constant":
      return () => operand.value
    case "datastream": {
      const source = find.sourceOf(operand.member, operand.datastream)
      return ({ streams }) => streams[source]!.value
    }
    case "attribute": {
      const member = find.memberOf(operand.member)
      return ({ members }) => numberOf(members[member]!.facts?.attributes[operand.attribute])
    }
  }
}

/** The unit of the datastream that is compared; undefined where nobody has said it. */
export const unitOf = (source: { readonly datastream: string; readonly member?: string }, find: Find) => {
  const member = find.memberOf(source.member)
  return ({ members }: Instance): string | undefined => members[member]!.facts?.units?.[source.datastream]
}

/** Right side and clear threshold in the unit of the datastream that is compared; NaN where they do not convert to it. */
export const sidesOf = (leaf: CompareLeaf, find: Find): { readonly right: Read; readonly clear: Read } => {
  const { of: aspect = "value", than } = leaf
  const own = unitOf(leaf, find)
  const other = than.kind === "datastream" ? unitOf(than, find) : () => leaf.unit
  // Of one unit, as nearly always.
  const same = aspect === "rate" ? (unit: string) => `${unit}/s` : (unit: string) => unit
  const converted =
    (read: Read): Read =>
    (instance) => {
      const value = read(instance)
      const [from, unit] = [other(instance), own(instance)]
      if (from === undefined || unit === undefined || from === same(unit)) return value
      return inUnit(aspect, value, from, unit) ?? Number.NaN
    }
  const right = converted(operandOf(than, find))
  const { clear } = leaf
  return { right, clear: clear === undefined ? right : converted(() => clear) }
}

/** The values at which the comparison comes out as now; equality is looked at, to be safe. */
const narrowing =
  (own: number, { clear, right }: ReturnType<typeof sidesOf>): Narrow =>
  (instance, stream) => {
    const threshold = instance.slots[instance.base + own] === 1 ? clear(instance) : right(instance)
    // Nothing to compare with: no value changes that.
    if (threshold !== threshold) return
    const { value } = stream
    if (value >= threshold) stream.low = Math.max(stream.low, threshold)
    if (value <= threshold) stream.high = Math.min(stream.high, threshold)
  }

/** Its truth. */
export const compare = (draft: Draft, leaf: CompareLeaf): Evaluate => {
  const own = draft.take(1)
  const source = draft.sourceOf(leaf.member, leaf.datastream)
  const test = tests[leaf.is]
  const left = aspects[leaf.of ?? "value"]
  const sides = sidesOf(leaf, draft)
  const { clear, right } = sides
  const { than } = leaf
  const update: Update = (instance) => {
    const place = instance.base + own
    const before = instance.slots[place]
    const value = left(instance.streams[source]!)
    const threshold = before === 1 ? clear(instance) : right(instance)
    const truth = value !== value || threshold !== threshold ? 0 : test(value, threshold) ? 1 : -1
    if (truth === before) return false
    instance.slots[place] = truth
    return true
  }
  const isBanded = (leaf.of ?? "value") === "value" && than.kind !== "datastream"
  draft.updates.push({ source, update, ...(isBanded ? { narrow: narrowing(own, sides) } : {}) })
  if (than.kind === "datastream") {
    const other = draft.sourceOf(than.member, than.datastream)
    if (other !== source) draft.updates.push({ source: other, update })
  }
  if (than.kind === "attribute") draft.watches.push({ on: "attributes", member: draft.memberOf(than.member), update })
  return ({ base, slots }) => slots[base + own]!
}

/** Finds sources of a rule that is compiled already. */
export const findIn = (rule: CompiledRule): Find => {
  const memberOf = (name = "") => rule.members.indexOf(name)
  return {
    memberOf,
    sourceOf: (name, key) => rule.sources.findIndex((source) => source.member === memberOf(name) && source.key === key)
  }
}

/**
 * Rules as closures. What a reading can change is decided once, here: each leaf knows the datastreams it looks at, its result is a number in
 * the originator's state, and a rule is looked at again only when one of these numbers has changed or a span is over.
 *
 * Truth is 1, -1 or 0 for unknown, so that `all` is the smallest, `any` the largest and `not` the negative.
 */
import type { CompiledRule, CompiledRules, CompiledSet, Draft, Evaluate } from "./model.ts"
import { canonical } from "../../../kernel/canonical.ts"
import { addLeaf } from "./leaves.ts"
import { type Condition, defaultPerHour, innerConditions, type RuleDefinition, severities } from "./definition.ts"
import type { DeviceFacts } from "./facts.ts"
import { headSize } from "./head.ts"
import type { TenantTime } from "./hours.ts"
import { shortHash } from "./names.ts"
import { all, any, held, not, repeated } from "./combinators.ts"

const compileRule = (definition: RuleDefinition, tenant: TenantTime): CompiledRule => {
  const perHour = definition.perHour ?? defaultPerHour
  const members: Array<string> = []
  const sources: Array<{ readonly member: number; readonly key: string }> = []
  const nodes: Array<CompiledRule["nodes"][number]> = []
  let size = headSize + perHour
  const draft: Draft = {
    tenant,
    take: (amount) => {
      size += amount
      return size - amount
    },
    memberOf: (name = "") => {
      const found = members.indexOf(name)
      return found === -1 ? members.push(name) - 1 : found
    },
    sourceOf: (name, key) => {
      const member = draft.memberOf(name)
      const found = sources.findIndex((one) => one.member === member && one.key === key)
      return found === -1 ? sources.push({ member, key }) - 1 : found
    },
    dues: [],
    updates: [],
    anomalies: [],
    watches: []
  }
  const build = (condition: Condition): Evaluate => {
    switch (condition.kind) {
      case "all":
        return all(condition.conditions.map(build))
      case "any":
        return any(condition.conditions.map(build))
      case "not":
        return not(build(condition.condition))
      default: {
        const inner =
          condition.kind === "held" || condition.kind === "repeated" ? build(condition.condition) : undefined
        const offset = size
        const evaluate =
          condition.kind === "held"
            ? held(draft, condition.seconds, inner!)
            : condition.kind === "repeated"
              ? repeated(draft, condition, inner!)
              : addLeaf(draft, condition)
        // Hours also depend on where the tenant lives.
        const signature = signatureOf(hasHours(condition) ? [condition, tenant] : condition)
        nodes.push({ signature, offset, size: size - offset })
        return evaluate
      }
    }
  }
  if (definition.scope.kind === "each") draft.memberOf(undefined)
  const levels = definition.levels
    .toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
    .map((level) => ({ ...level, signature: signatureOf(level.condition), evaluate: build(level.condition) }))
  const clear = definition.clear?.condition === undefined ? undefined : build(definition.clear.condition)
  const { anomalies, dues, updates, watches } = draft
  return {
    ...{ definition, members, sources, nodes, levels, clear, perHour, size, anomalies, dues, updates, watches },
    clearAfter: (definition.clear?.after ?? 0) * 1000
  }
}

const hasHours = (condition: Condition): boolean =>
  condition.kind === "schedule" || innerConditions(condition).some(([, inner]) => hasHours(inner))

const signatureOf = (condition: unknown): string => shortHash(canonical(condition))

const isIn = (rule: CompiledRule, device: DeviceFacts): boolean => {
  const { scope } = rule.definition
  return (
    scope.kind === "each" &&
    (scope.devices === undefined || scope.devices.includes(device.id)) &&
    (scope.profiles === undefined || scope.profiles.includes(device.profile)) &&
    (scope.groups === undefined || scope.groups.some((group) => device.groups.includes(group)))
  )
}

const pushTo = <A>(map: Map<string, Array<A>>, key: string, value: A) => {
  const held = map.get(key)
  if (held === undefined) map.set(key, [value])
  else held.push(value)
}

/** Compiles rules that `validateRule` has found sound. Throws where two have one id. */
export const compileRules = (definitions: ReadonlyArray<RuleDefinition>, tenant: TenantTime): CompiledRules => {
  const rules = definitions.map((definition) => compileRule(definition, tenant))
  const byKey = new Map<string, Array<CompiledRule>>()
  const sets = new Map<string, Array<CompiledSet>>()
  const byDevice = new Map<string, Array<CompiledSet>>()
  const ids = new Set<string>()
  for (const rule of rules) {
    const { id, scope } = rule.definition
    if (ids.has(id)) throw new Error(`The rule ${id} is defined twice; rename one of them.`)
    ids.add(id)
    for (const key of new Set(rule.sources.map((source) => source.key))) pushTo(byKey, key, rule)
    if (scope.kind === "each") continue
    for (const set of scope.sets) {
      const devices = rule.members.map((name) => set.members[name] ?? "")
      const compiled = { id: `set:${set.id}`, rule, devices }
      pushTo(sets, compiled.id, compiled)
      for (const device of new Set(devices)) pushTo(byDevice, device, compiled)
    }
  }
  return {
    rules,
    byKey,
    sets,
    rulesOf: (device) => rules.filter((rule) => isIn(rule, device)),
    setsOf: (device) => byDevice.get(device) ?? [],
    membersOf: (originator, id) => {
      const set = sets.get(originator)?.find(({ rule }) => rule.definition.id === id)
      return set && [...new Set(set.devices)]
    }
  }
}

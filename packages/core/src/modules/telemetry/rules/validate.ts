/** Whether a rule is one that can work: found before it is stored, with a pointer to each mistake. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { FieldIssue } from "../../../kernel/cases/model.ts"
import { issuesOf } from "../../../kernel/cases/schema.ts"
import { ucum } from "../decode/units.ts"
import { type CompareLeaf, type Condition, conditionsOf, RuleDefinition } from "./definition.ts"
import { checkSense } from "./sense.ts"
import { inUnit } from "./units.ts"
import { type Add, datastreamsOf, profilesOf, type RuleVocabulary } from "./vocabulary.ts"

export interface CheckedRule {
  /** Only where there is no error. */
  readonly rule?: RuleDefinition
  readonly errors: ReadonlyArray<FieldIssue>
  /** The rule works, but perhaps not as it was meant. */
  readonly warnings: ReadonlyArray<FieldIssue>
}

/** Conditions of a rule, all levels together: each is looked at for each device, and an alert says all of them to people. */
export const mostConditions = 200

const decode = Schema.decodeUnknownResult(RuleDefinition, { errors: "all", onExcessProperty: "error" })

const checkDatastream = (
  pointer: string,
  leaf: Parameters<typeof datastreamsOf>[0],
  rule: RuleDefinition,
  vocabulary: RuleVocabulary,
  add: Add
) => {
  for (const { profile, stream } of datastreamsOf(leaf, rule, vocabulary)) {
    if (stream !== undefined) continue
    const keys = vocabulary.profiles.get(profile)?.datastreams.map(({ key }) => key) ?? []
    add(
      `${pointer}/datastream`,
      `The profile ${profile} has no datastream ${leaf.datastream}; it has ${keys.join(", ") || "none"}.`
    )
  }
}

const checkUnits = (pointer: string, leaf: CompareLeaf, rule: RuleDefinition, vocabulary: RuleVocabulary, add: Add) => {
  const unitsOf = (one: Parameters<typeof datastreamsOf>[0]) =>
    new Set(datastreamsOf(one, rule, vocabulary).flatMap(({ stream }) => (stream === undefined ? [] : [stream.unit])))
  const own = unitsOf(leaf)
  const { of: aspect = "value" } = leaf
  const per = aspect === "rate" ? "/s" : ""
  const fits = (from: string, unit: string) => inUnit(aspect, 1, from, unit) !== undefined
  for (const unit of own)
    if (leaf.unit !== undefined && !fits(leaf.unit, unit))
      add(
        `${pointer}/unit`,
        `${leaf.datastream} is measured in ${unit}, so this must be ${unit}${per} or what converts to it, not ${leaf.unit}.`
      )
  if (leaf.than.kind !== "datastream") {
    if (leaf.unit === undefined && new Set([...own].map(ucum)).size > 1)
      add(pointer, `${leaf.datastream} is measured in ${[...own].join(" and ")}. Say with unit which one this is in.`)
    return
  }
  for (const unit of own)
    for (const other of unitsOf(leaf.than))
      if (!fits(other, unit))
        add(
          `${pointer}/than`,
          `${leaf.datastream} is in ${unit}${per} and ${leaf.than.datastream} in ${other}: they cannot be compared.`
        )
}

const checkThresholds = (pointer: string, leaf: CompareLeaf, add: Add) => {
  const { clear, is, than } = leaf
  if (clear === undefined) return
  if (than.kind !== "constant" || is === "equal" || is === "not-equal")
    add(`${pointer}/clear`, "A clear threshold stands beside above, at-least, below or at-most a constant.")
  else if (is === "above" || is === "at-least" ? clear > than.value : clear < than.value)
    add(
      `${pointer}/clear`,
      `It clears at ${clear} before it is ${is.replace("-", " ")} ${than.value}. Put it on the other side.`
    )
}

const checkMember = (pointer: string, member: string | undefined, rule: RuleDefinition, add: Add) => {
  const { scope } = rule
  if (scope.kind === "each") {
    if (member !== undefined) add(`${pointer}/member`, "Members are for rules over sets; leave it out.")
  } else if (member === undefined) add(`${pointer}/member`, "A rule over sets says of which member.")
  else
    for (const set of scope.sets)
      if (set.members[member] === undefined) add(`${pointer}/member`, `The set ${set.id} has no member ${member}.`)
}

const checkScope = (rule: RuleDefinition, vocabulary: RuleVocabulary, add: Add) => {
  const { scope } = rule
  const device = (pointer: string, id: string) => {
    if (vocabulary.profileOf(id) === undefined) add(pointer, `There is no device ${id}.`)
  }
  if (scope.kind === "sets") {
    const seen = new Set<string>()
    for (const [place, set] of scope.sets.entries()) {
      if (seen.has(set.id)) add(`/scope/sets/${place}/id`, `The set ${set.id} is there twice.`)
      seen.add(set.id)
      for (const [member, id] of Object.entries(set.members)) device(`/scope/sets/${place}/members/${member}`, id)
    }
    return
  }
  for (const [place, id] of (scope.devices ?? []).entries()) device(`/scope/devices/${place}`, id)
  for (const [place, name] of (scope.profiles ?? []).entries())
    if (!vocabulary.profiles.has(name)) add(`/scope/profiles/${place}`, `There is no profile ${name}.`)
}

const checkLeaf = (pointer: string, leaf: Condition, rule: RuleDefinition, vocabulary: RuleVocabulary, add: Add) => {
  if (leaf.kind === "compare" || leaf.kind === "anomaly" || leaf.kind === "offline" || leaf.kind === "geofence")
    checkMember(pointer, leaf.member, rule, add)
  if (leaf.kind === "compare" || leaf.kind === "anomaly" || (leaf.kind === "offline" && leaf.datastream !== undefined))
    checkDatastream(pointer, leaf as Parameters<typeof datastreamsOf>[0], rule, vocabulary, add)
  if (leaf.kind === "compare") {
    const { than } = leaf
    if (than.kind !== "constant") checkMember(`${pointer}/than`, than.member, rule, add)
    if (than.kind === "datastream") checkDatastream(`${pointer}/than`, than, rule, vocabulary, add)
    checkUnits(pointer, leaf, rule, vocabulary, add)
    checkThresholds(pointer, leaf, add)
  }
  if (leaf.kind === "offline")
    for (const profile of profilesOf(rule, leaf.member, vocabulary) ?? [])
      if (vocabulary.profiles.has(profile) && vocabulary.profiles.get(profile)!.expectedInterval === undefined)
        add(pointer, `The profile ${profile} has no expected interval, so nobody knows when its devices are overdue.`)
}

/**
 * Reads a rule from JSON and checks it against the profiles it speaks of. Units (UCUM) must convert to those of the profiles.
 */
export const validateRule = (input: unknown, vocabulary: RuleVocabulary): CheckedRule => {
  const decoded = decode(input)
  if (Result.isFailure(decoded)) return { errors: issuesOf(decoded.failure), warnings: [] }
  const rule = decoded.success
  const conditions = conditionsOf(rule)
  if (conditions.length > mostConditions) {
    const detail = `A rule has ${mostConditions} conditions at most, with those inside of others; this one has ${conditions.length}. Make several rules of it.`
    return { errors: [{ pointer: "/levels", detail }], warnings: [] }
  }
  const errors: Array<FieldIssue> = []
  const warnings: Array<FieldIssue> = []
  const add: Add = (pointer, detail) => void errors.push({ pointer, detail })
  checkScope(rule, vocabulary, add)
  const seen = new Set<string>()
  for (const [place, { severity }] of rule.levels.entries()) {
    if (seen.has(severity))
      add(`/levels/${place}/severity`, `The rule has two levels of ${severity}. Join them with any.`)
    seen.add(severity)
  }
  for (const [pointer, condition] of conditions) checkLeaf(pointer, condition, rule, vocabulary, add)
  if (errors.length === 0 && rule.scope.kind === "sets" && !conditions.some(([, condition]) => "member" in condition))
    add("/scope", "No condition looks at a member of these sets.")
  // Of datastreams that are not there nothing can be said.
  if (errors.length === 0)
    checkSense(rule, vocabulary, add, (pointer, detail) => void warnings.push({ pointer, detail }))
  return errors.length === 0 ? { rule, errors, warnings } : { errors, warnings }
}

/** The same data with the compiler's help. Throws with every mistake that needs no profile to be seen: it is the deployment's, not a request's. */
export const defineRule = (definition: RuleDefinition): RuleDefinition => {
  const decoded = decode(definition)
  if (Result.isSuccess(decoded)) return decoded.success
  const issues = issuesOf(decoded.failure).map(({ detail, pointer }) => `${pointer || "/"}: ${detail}`)
  throw new Error(`Rule ${definition.id}: ${issues.join("; ")}`)
}

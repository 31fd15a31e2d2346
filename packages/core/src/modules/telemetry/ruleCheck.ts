/** Whether rules fit the city's profiles and devices: when a rule is put, and when what it speaks of changes. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { isId } from "../../kernel/ids.ts"
import { loadRules } from "./judge/load.ts"
import type { ProfileDefinition } from "./profile.ts"
import { conditionsOf, type RuleBody, type RuleDefinition } from "./rules/definition.ts"
import { validateRule } from "./rules/validate.ts"
import type { RuleProfile, RuleVocabulary } from "./rules/vocabulary.ts"

/** Rules that the deployment's code gives to every city. Default: none. */
export const DeploymentRules = Context.Reference<ReadonlyArray<RuleDefinition>>("@mahalla/telemetry/DeploymentRules", {
  defaultValue: () => []
})

const devicesNamed = ({ scope }: RuleBody): ReadonlyArray<string> =>
  scope.kind === "each" ? (scope.devices ?? []) : scope.sets.flatMap(({ members }) => Object.values(members))

const ruleProfile = ({ datastreams, interval }: ProfileDefinition): RuleProfile => ({
  datastreams,
  ...(interval === undefined ? {} : { expectedInterval: interval })
})

/** The city's profiles, and those of the devices that the rules name. */
const vocabularyFor = Effect.fnUntraced(function* (rules: ReadonlyArray<RuleBody>) {
  const { sql, tenantId } = yield* TenantTx
  const profiles = yield* sql<{ name: string; definition: ProfileDefinition }>`
    select name, definition from mahalla.device_profile where tenant_id = ${tenantId}`
  const ids = [...new Set(rules.flatMap(devicesNamed))].filter(isId)
  const devices = yield* sql<{ id: string; profile: string }>`
    select d.id, p.name as profile from mahalla.device d
    join mahalla.device_profile p on p.tenant_id = d.tenant_id and p.id = d.profile_id
    where d.tenant_id = ${tenantId} and d.id = any (${ids}::uuid[])`
  const profileOf = new Map(devices.map(({ id, profile }) => [id, profile]))
  return {
    profiles: new Map(profiles.map(({ definition, name }) => [name, ruleProfile(definition)])),
    profileOf: (device) => profileOf.get(device)
  } satisfies RuleVocabulary
})

/** A rule that can work, with what is doubtful of it, or `InvalidInput` with a pointer below `/definition` to each mistake. */
export const checkRule = Effect.fn("telemetry.checkRule")(function* (rule: RuleDefinition) {
  const { errors, rule: sound, warnings } = validateRule(rule, yield* vocabularyFor([rule]))
  const below = ({ detail, pointer }: FieldIssue) => ({ pointer: `/definition${pointer}`, detail })
  if (sound === undefined) return yield* new InvalidInput({ issues: errors.slice(0, 50).map(below) })
  return { rule: sound, warnings: warnings.slice(0, 50).map(below) }
})

/** A city's own rules that are enabled, and the deployment's whose place none of them takes. */
export const rulesInForce = (
  own: Effect.Success<typeof loadRules>,
  deployment: ReadonlyArray<RuleDefinition>
): ReadonlyArray<RuleDefinition> => {
  const ids = new Set(own.map(({ definition }) => definition.id))
  return [
    ...own.flatMap(({ definition, enabled }) => (enabled ? [definition] : [])),
    ...deployment.filter(({ id }) => !ids.has(id))
  ]
}

/** What is about to change: a profile's definition, by its name, or a device's profile. */
type Change =
  | { readonly profile: string; readonly definition: ProfileDefinition }
  | { readonly device: string; readonly profile: string }

const changed = (present: RuleVocabulary, change: Change): RuleVocabulary =>
  "definition" in change
    ? { ...present, profiles: new Map([...present.profiles, [change.profile, ruleProfile(change.definition)]]) }
    : { ...present, profileOf: (id) => (id === change.device ? change.profile : present.profileOf(id)) }

/** Where the mistake lies in what was sent. */
const pointerOf = (change: Change, rule: RuleDefinition, pointer: string): string => {
  if (!("definition" in change)) return "/profileId"
  const isSilence = conditionsOf(rule).some(([place, { kind }]) => place === pointer && kind === "offline")
  return isSilence ? "/definition/interval" : "/definition/datastreams"
}

/**
 * Refuses, with `InvalidInput`, a change after which a rule that is in force could no longer work: its alerts would stay away and nobody would know.
 * What was wrong with a rule before does not stand in the way. To be asked after `registryChanged`, where changes take turns.
 */
export const demandRulesFit = Effect.fnUntraced(function* (change: Change) {
  const rules = rulesInForce(yield* loadRules, yield* DeploymentRules)
  const present = yield* vocabularyFor(rules)
  const next = changed(present, change)
  const issues = rules.flatMap((rule) => {
    const before = new Set(validateRule(rule, present).errors.map(({ pointer }) => pointer))
    return validateRule(rule, next)
      .errors.filter(({ pointer }) => !before.has(pointer))
      .map(({ detail, pointer }): FieldIssue => ({
        pointer: pointerOf(change, rule, pointer),
        detail: `The rule ${rule.id} needs it at ${pointer}: ${detail} Change or disable the rule first.`
      }))
  })
  if (issues.length > 0) return yield* new InvalidInput({ issues: issues.slice(0, 50) })
})

/** Rules that a city keeps as data: put, switched on and off, removed. Whatever changes counts the registry up, and the judge takes it up with its next turn. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { canonical } from "../../kernel/canonical.ts"
import { NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { registryChanged } from "./registry.ts"
import { checkRule, DeploymentRules } from "./ruleCheck.ts"
import type { RuleBody, RuleDefinition } from "./rules/definition.ts"

/** A rule was put, switched or removed; the version is the one that it concerns. */
export const RuleChanged = defineEvent({
  id: "rule.changed",
  payload: Schema.Struct({
    ruleId: Schema.String,
    version: Schema.Int,
    what: Schema.Literals(["created", "replaced", "enabled", "disabled", "removed"])
  })
})

const announce = (ruleId: string, version: number, what: typeof RuleChanged.payload.Type.what) =>
  Effect.flatMap(Actor, ({ id }) => appendEvent(RuleChanged, { ruleId, version, what }, { actorId: id }))

export interface StoredRule {
  readonly id: string
  readonly version: number
  readonly enabled: boolean
  readonly changedAt: Date
  readonly definition: RuleDefinition
}

export interface StoredRuleVersion {
  readonly version: number
  readonly definition: RuleDefinition
  readonly createdBy: string | null
  readonly createdAt: Date
}

const find = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<StoredRule>`
    select id, version, enabled, changed_at as "changedAt", definition from mahalla.rule
    where tenant_id = ${tenantId} and id = ${id}`
  return row
})

/** A rule as it is listed: of the city, or of the deployment's code, which nobody has put and nobody can change. */
export interface ListedRule extends Omit<StoredRule, "changedAt"> {
  readonly source: "city" | "deployment"
  readonly changedAt: Date | null
}

const ofCity = (rule: StoredRule): ListedRule => ({ ...rule, source: "city" })
const ofDeployment = (definition: RuleDefinition): ListedRule => {
  const { id, version } = definition
  return { id, version, source: "deployment", enabled: true, changedAt: null, definition }
}

/** The deployment's rule of this id, whether or not the city has one in its place. */
const deploymentRule = (id: string) =>
  Effect.map(DeploymentRules, (rules) => rules.find((definition) => definition.id === id))

const notOurs = (id: string) =>
  new Refused({
    code: "rule-of-the-deployment",
    message: `The rule ${id} comes with the deployment. Put one of the same id in its place, which can be changed and disabled.`
  })

/** By id, after the cursor's, with the deployment's that no rule of the city takes the place of; needs `rule.read`. */
export const listRules = Effect.fn("telemetry.listRules")(function* (
  enabled: boolean | undefined,
  { cursor, limit = 50 }: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  yield* demandEverywhere("rule.read")
  const { sql, tenantId } = yield* TenantTx
  const after = cursor ?? ""
  // Bytes in order, as the others are put between them.
  const own = yield* sql<StoredRule>`
    select id, version, enabled, changed_at as "changedAt", definition from mahalla.rule
    where tenant_id = ${tenantId} and id collate "C" > ${after} and (${enabled ?? null}::boolean is null or enabled = ${enabled ?? null})
    order by id collate "C" limit ${limit + 1}`
  const given = enabled === false ? [] : (yield* DeploymentRules).filter(({ id }) => id > after)
  const taken = yield* sql<{ id: string }>`
    select id from mahalla.rule where tenant_id = ${tenantId} and id = any (${given.map(({ id }) => id)}::text[])`
  const ids = new Set(taken.map(({ id }) => id))
  const rows = [...own.map(ofCity), ...given.filter(({ id }) => !ids.has(id)).map(ofDeployment)].sort((a, b) =>
    a.id < b.id ? -1 : 1
  )
  const items = rows.slice(0, limit)
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
})

/** A rule, or `NotFound`; needs `rule.read`. */
export const getRule = Effect.fn("telemetry.getRule")(function* (id: string) {
  yield* demandEverywhere("rule.read")
  const own = yield* find(id)
  if (own !== undefined) return ofCity(own)
  const given = yield* deploymentRule(id)
  return given === undefined ? yield* new NotFound({ what: "rule", id }) : ofDeployment(given)
})

/** The newest 100 versions of a rule, the newest first. */
export const versionsOf = Effect.fn("telemetry.versionsOf")(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredRuleVersion>`
    select version, definition, created_by as "createdBy", created_at as "createdAt" from mahalla.rule_version
    where tenant_id = ${tenantId} and id = ${id} order by version desc limit 100`
})

const demandVersion = (found: { readonly version: number } | undefined, expected: number | undefined) =>
  expected === undefined || expected === found?.version
    ? Effect.void
    : Effect.fail(new VersionConflict({ what: "rule", expected, found: found?.version ?? 0 }))

/**
 * Makes a rule, which is in force at once, or puts the next version in its place, which is in force where the last one was. The same definition again
 * changes nothing. Takes the place of the deployment's rule of the same id. `expected` is the version that was read. Needs `rule.manage`.
 */
export const putRule = Effect.fn("telemetry.putRule")(function* (
  id: string,
  body: RuleBody,
  expected: number | undefined
) {
  yield* demandEverywhere("rule.manage")
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  // First, for changes take turns here: of profiles and devices that the rule speaks of too.
  yield* registryChanged
  const before = yield* find(id)
  const given = yield* deploymentRule(id)
  yield* demandVersion(before ?? given, expected)
  const { rule: same, warnings } = yield* checkRule({ ...body, id, version: before?.version ?? 1 })
  if (before !== undefined && canonical(before.definition) === canonical(same))
    return { rule: ofCity(before), warnings, made: false }
  // A rule that was removed and comes again goes on counting, and after the deployment's whose place it takes: alerts name versions.
  const [last] = yield* sql<{ version: number }>`
    select coalesce(max(version), 0)::int as version from mahalla.rule_version where tenant_id = ${tenantId} and id = ${id}`
  const version = Math.max(last!.version, given?.version ?? 0) + 1
  const definition = { ...same, version }
  const json = JSON.stringify(definition)
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.rule_version (tenant_id, id, version, definition, created_by, created_at)
    values (${tenantId}, ${id}, ${version}, ${json}::text::jsonb, ${actor.id}, ${now})`
  yield* sql`
    insert into mahalla.rule as r (tenant_id, id, version, definition, enabled, changed_at)
    values (${tenantId}, ${id}, ${version}, ${json}::text::jsonb, true, ${now})
    on conflict (tenant_id, id) do update set version = excluded.version, definition = excluded.definition, changed_at = excluded.changed_at`
  yield* announce(id, version, before === undefined ? "created" : "replaced")
  const rule = ofCity({ id, version, enabled: before?.enabled ?? true, changedAt: now, definition })
  return { rule, warnings, made: before === undefined }
})

/** A rule of the city's own, to be changed. */
const findOwn = Effect.fnUntraced(function* (id: string) {
  const own = yield* find(id)
  if (own !== undefined) return own
  return yield* (yield* deploymentRule(id)) === undefined ? new NotFound({ what: "rule", id }) : notOurs(id)
})

/** Switches a rule on, if it fits the profiles as they are now, or off, and its alerts clear. Needs `rule.manage`. */
export const switchRule = Effect.fn("telemetry.switchRule")(function* (
  id: string,
  enabled: boolean,
  expected: number | undefined
) {
  yield* demandEverywhere("rule.manage")
  const { sql, tenantId } = yield* TenantTx
  yield* registryChanged
  const before = yield* findOwn(id)
  yield* demandVersion(before, expected)
  if (before.enabled === enabled) return ofCity(before)
  if (enabled) yield* checkRule(before.definition)
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.rule set enabled = ${enabled}, changed_at = ${now} where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(id, before.version, enabled ? "enabled" : "disabled")
  return ofCity({ ...before, enabled, changedAt: now })
})

/** Removes a rule of the city's own, after which the deployment's of the same id is in force again; its alerts clear, its versions stay for those that name them. Needs `rule.manage`. */
export const removeRule = Effect.fn("telemetry.removeRule")(function* (id: string, expected: number | undefined) {
  yield* demandEverywhere("rule.manage")
  const { sql, tenantId } = yield* TenantTx
  yield* registryChanged
  const before = yield* findOwn(id)
  yield* demandVersion(before, expected)
  yield* sql`delete from mahalla.rule where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(id, before.version, "removed")
})

/** Which events are told to whom, in which words and how urgently: built-in rules, and what a city has made of them. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, NotFound, VersionConflict } from "../../kernel/cases/model.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { RuleChanged, type RuleDefinition } from "./model.ts"
import { isTemplate } from "./templates.ts"

/** Types of event that the city's module listens to. */
export class Heard extends Context.Service<Heard, { readonly types: ReadonlyArray<string> }>()(
  "@mahalla/notifications/Heard"
) {}

export const builtInRules: Readonly<Record<string, RuleDefinition>> = {
  "case-created": {
    on: "created",
    to: ["owner", "subscribers"],
    template: "case-created",
    urgency: "digest",
    category: "cases"
  },
  "case-changed": {
    on: "changed",
    to: ["owner", "subscribers"],
    template: "case-changed",
    urgency: "digest",
    category: "cases"
  },
  // Whom a case type calls by name is on duty.
  "case-notice": { on: "notice", to: ["named"], template: "case-notice", urgency: "urgent", category: "alerts" }
}

export interface StoredRule {
  readonly key: string
  /** 0: built in, and nobody has changed it yet. */
  readonly version: number
  readonly definition: RuleDefinition
  readonly builtIn: boolean
}

interface RuleRow {
  readonly key: string
  readonly version: number
  readonly definition: RuleDefinition | null
}

/** Those in force, by key. */
export const rulesInForce = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<RuleRow>`
    select key, version, definition from mahalla.notification_rule where tenant_id = ${tenantId}`
  const keys = new Set([...Object.keys(builtInRules), ...rows.map(({ key }) => key)])
  return [...keys].flatMap((key): ReadonlyArray<StoredRule> => {
    const row = rows.find((one) => one.key === key)
    const definition = row?.definition ?? (Object.hasOwn(builtInRules, key) ? builtInRules[key] : undefined)
    if (definition === undefined) return []
    return [{ key, version: row?.version ?? 0, definition, builtIn: (row?.definition ?? null) === null }]
  })
})

/** All rules; needs `notification.read`. */
export const listRules = Effect.andThen(
  demandEverywhere("notification.read"),
  Effect.map(rulesInForce, (rules) => rules.toSorted((a, b) => a.key.localeCompare(b.key)))
).pipe(Effect.withSpan("notifications.listRules"))

/** One, or `NotFound`; needs `notification.read`. */
export const getRule = Effect.fn("notifications.getRule")(function* (key: string) {
  yield* demandEverywhere("notification.read")
  return (
    (yield* rulesInForce).find((rule) => rule.key === key) ??
    (yield* new NotFound({ what: "notification rule", id: key }))
  )
})

const check = Effect.fnUntraced(function* (definition: RuleDefinition) {
  const { sql, tenantId } = yield* TenantTx
  const { types } = yield* Heard
  const known = (yield* CaseTypes).all.map((type) => type.definition)
  const issues: Array<FieldIssue> = []
  const { caseTypes = [], on, states = [], template, territoryId, to } = definition
  if (on.includes(".") && !types.includes(on))
    issues.push({
      pointer: "/on",
      detail: `The city hears no ${on}. Of these: created, changed, notice, ${types.slice(0, 20).join(", ")}.`
    })
  if (on !== "notice" && to.includes("named")) issues.push({ pointer: "/to", detail: "Only a notice names people." })
  for (const [place, type] of caseTypes.entries())
    if (!known.some(({ id }) => id === type))
      issues.push({ pointer: `/caseTypes/${place}`, detail: "There is no such type of case." })
  const meant = known.filter(({ id }) => caseTypes.length === 0 || caseTypes.includes(id))
  for (const [place, state] of states.entries())
    if (!meant.some((type) => Object.hasOwn(type.states, state)))
      issues.push({ pointer: `/states/${place}`, detail: "No such case is ever in this state." })
  if (!(yield* isTemplate(template)))
    issues.push({ pointer: "/template", detail: "There is no template of this key; write it first." })
  if (territoryId !== undefined) {
    const found = yield* sql`select from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
    if (found.length === 0) issues.push({ pointer: "/territoryId", detail: "There is no such territory." })
  }
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

const write = Effect.fnUntraced(function* (
  key: string,
  definition: RuleDefinition | null,
  ifVersion: number | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  const { id } = yield* Actor
  const at = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<RuleRow>`
    select key, version, definition from mahalla.notification_rule where tenant_id = ${tenantId} and key = ${key} for update`
  const found = row?.version ?? 0
  if (ifVersion !== undefined && ifVersion !== found)
    return yield* new VersionConflict({ what: "notification rule", expected: ifVersion, found })
  if (definition === null && (row?.definition ?? null) === null)
    return yield* new NotFound({ what: "notification rule", id: key })
  const text = definition === null ? null : JSON.stringify(definition)
  const made = yield* sql`
    insert into mahalla.notification_rule as rule (tenant_id, key, version, definition, changed_by, changed_at)
    values (${tenantId}, ${key}, ${found + 1}, ${text}::text::jsonb, ${id}, ${at})
    on conflict (tenant_id, key) do update set version = excluded.version, definition = excluded.definition,
      changed_by = excluded.changed_by, changed_at = excluded.changed_at where rule.version = ${found}
    returning version`
  if (made.length === 0)
    return yield* new VersionConflict({ what: "notification rule", expected: found, found: found + 1 })
  yield* appendEvent(RuleChanged, { key, version: found + 1, removed: definition === null }, { actorId: id })
  return found + 1
})

/** Writes a rule, in the place of a built-in one or as one more; needs `notification.manage`. */
export const putRule = Effect.fn("notifications.putRule")(function* (
  key: string,
  definition: RuleDefinition,
  ifVersion?: number
) {
  yield* demandEverywhere("notification.manage")
  yield* check(definition)
  const version = yield* write(key, definition, ifVersion)
  return { key, version, definition, builtIn: false } satisfies StoredRule
})

/** The built-in rule again, or none; needs `notification.manage`. */
export const removeRule = Effect.fn("notifications.removeRule")(function* (key: string, ifVersion?: number) {
  yield* demandEverywhere("notification.manage")
  yield* write(key, null, ifVersion)
})

/** What of all that happens to cases is news, for whom, and what is said of it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CaseTypeDefinition, LocalizedText, Notice } from "../../kernel/cases/CaseType.ts"
import { CaseTypes, type CompiledCaseType, eventTypesOf } from "../../kernel/cases/registry.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import type { NotificationSettings } from "../../kernel/tenancy/Tenant.ts"
import { inChain, type Values } from "./format.ts"
import { type Audience, urgencies } from "./model.ts"
import { rulesInForce, type StoredRule } from "./rules.ts"

/** One rule that an event met. */
export interface News {
  readonly rule: StoredRule
  /** Ids of principals. */
  readonly people: ReadonlyArray<string>
  /** What its template says, in the first language of a chain that has it. */
  readonly values: (chain: ReadonlyArray<string>) => Values
}

interface CaseFacts {
  readonly id: string
  readonly type: string
  readonly reference: string
  readonly path: ReadonlyArray<string> | null
  readonly ownerId: string | null
  readonly assigneeId: string | null
}

const caseOf = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<CaseFacts>`
    select c.id, c.type, c.reference, t.path, c.owner_id as "ownerId", c.assignee_id as "assigneeId" from mahalla.civic_case c
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where c.tenant_id = ${tenantId} and c.id = ${caseId}`
  return row
})

/** Ids of whoever an entry of an audience means; `named` is the notice's to say. */
const peopleOf = Effect.fnUntraced(function* (audience: Audience, { assigneeId, id, ownerId, path }: CaseFacts) {
  const { sql, tenantId } = yield* TenantTx
  if (audience === "owner") return ownerId === null ? [] : [ownerId]
  if (audience === "assignee") return assigneeId === null ? [] : [assigneeId]
  if (audience === "named") return []
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows =
    audience === "subscribers"
      ? yield* sql<{ id: string }>`
          select principal_id as id from mahalla.case_subscriber where tenant_id = ${tenantId} and case_id = ${id}`
      : yield* sql<{ id: string }>`
          select distinct principal_id as id from mahalla.role_grant
          where tenant_id = ${tenantId} and role = ${audience.role} and (until is null or until > ${now})
            and (territory_id is null or territory_id = any (${path ?? []}::uuid[]))`
  return rows.map((row) => row.id)
})

const fill = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "")

const inWords = (text: LocalizedText, chain: ReadonlyArray<string>): string => inChain(text, chain)?.[1] ?? text.en

/** Where an app shows the case. */
const linkOf = ({ caseLink }: NotificationSettings, { id, type }: CaseFacts) =>
  caseLink?.replaceAll("{type}", encodeURIComponent(type)).replaceAll("{id}", id)

interface Said {
  readonly definition: CaseTypeDefinition
  readonly facts: CaseFacts
  /** The state that the case came into. */
  readonly state: string | undefined
  readonly notice: Notice | undefined
  readonly city: string
  readonly settings: NotificationSettings
}

const valuesOf =
  ({ city, definition, facts, notice, settings, state }: Said): News["values"] =>
  (chain) => {
    const title = inWords(definition.title, chain)
    const { reference } = facts
    const link = linkOf(settings, facts)
    return {
      title,
      reference,
      city,
      ...(link === undefined ? {} : { link }),
      ...(state === undefined ? {} : { state: inWords(definition.states[state]?.title ?? { en: state }, chain) }),
      ...(notice === undefined
        ? {}
        : { text: fill(inWords(notice.text, chain), { ...notice.values, title, reference }) })
    }
  }

/** What happened, in a rule's words; undefined where nothing did that is news: a step that leaves the state as it was. */
const occasionOf = (event: StoredEvent, type: CompiledCaseType) => {
  const to = event.payload["to"]
  if (event.type === type.created_.id) return { on: "created", state: type.definition.initial } as const
  return typeof to === "string" && event.payload["from"] !== to
    ? ({ on: "changed", state: to } as const)
    : ({ on: "other", state: undefined } as const)
}

const meets = (
  rule: StoredRule,
  on: string,
  type: string,
  { path, type: caseType }: CaseFacts,
  state: string | undefined
) => {
  const { caseTypes, enabled, on: wanted, states, territoryId } = rule.definition
  return (
    enabled !== false &&
    (wanted === on || wanted === type) &&
    (caseTypes === undefined || caseTypes.includes(caseType)) &&
    (states === undefined || (state !== undefined && states.includes(state))) &&
    (territoryId === undefined || (path ?? []).includes(territoryId))
  )
}

/** Who hears of an event and what they read, the most urgent first; nothing where it is no news. */
export const newsOf = Effect.fnUntraced(function* (
  event: StoredEvent,
  caseId: string,
  city: { readonly name: string; readonly settings: NotificationSettings }
) {
  const { all } = yield* CaseTypes
  const calling = all.find(({ notices }) => Object.hasOwn(notices, event.type))
  const type = calling ?? all.find((one) => eventTypesOf(one).includes(event.type))
  if (type === undefined) return []
  const notice = calling === undefined ? undefined : yield* calling.notices[event.type]!(event)
  if (calling !== undefined && notice === undefined) return []
  const facts = yield* caseOf(caseId)
  if (facts === undefined) return []
  const { on, state } = notice === undefined ? occasionOf(event, type) : ({ on: "notice", state: undefined } as const)
  const values = valuesOf({
    definition: type.definition,
    facts,
    state,
    notice,
    city: city.name,
    settings: city.settings
  })
  const rules = (yield* rulesInForce)
    .filter((rule) => meets(rule, on, event.type, facts, state))
    .toSorted((a, b) => urgencies.indexOf(a.definition.urgency) - urgencies.indexOf(b.definition.urgency))
  const news: Array<News> = []
  for (const rule of rules) {
    const people = new Set<string>(rule.definition.to.includes("named") ? notice?.people : [])
    for (const audience of rule.definition.to) {
      for (const id of yield* peopleOf(audience, facts)) {
        // Nobody is told what they did themselves, but for the confirmation of a new case.
        if (on === "created" || id !== event.actorId) people.add(id)
      }
    }
    news.push({ rule, people: [...people], values })
  }
  return news
})

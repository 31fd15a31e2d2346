/** What of all that happens to cases is news, for whom, and in which words. */
import * as Effect from "effect/Effect"
import { CaseTypes, eventTypesOf } from "../../kernel/cases/registry.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import { caseText, noticeText } from "./texts.ts"

export interface Listener {
  readonly id: string
  /** BCP 47. */
  readonly language: string
}

/** The case's owner and subscribers who can be reached, without whoever did it. */
const listeners = Effect.fnUntraced(function* (caseId: string, actorId: string | null) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Listener>`
    select p.id, p.language from mahalla.principal p
    where p.tenant_id = ${tenantId} and p.status = 'active' and (p.phone_sealed is not null or p.phone is not null) and p.id is distinct from ${actorId}::uuid
      and (p.id = (select owner_id from mahalla.civic_case where tenant_id = ${tenantId} and id = ${caseId})
        or p.id in (select principal_id from mahalla.case_subscriber where tenant_id = ${tenantId} and case_id = ${caseId}))`
})

/** Those of some people who can be reached. */
const reachable = Effect.fnUntraced(function* (people: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Listener>`
    select p.id, p.language from mahalla.principal p
    where p.tenant_id = ${tenantId} and p.status = 'active' and (p.phone_sealed is not null or p.phone is not null)
      and p.id = any (${people}::uuid[])`
})

/** Who hears of an event and what they read; undefined where it is no news. */
export const newsOf = Effect.fnUntraced(function* (event: StoredEvent, caseId: string) {
  const { all } = yield* CaseTypes
  const calling = all.find(({ notices }) => Object.hasOwn(notices, event.type))
  if (calling !== undefined) {
    const notice = yield* calling.notices[event.type]!(event)
    if (notice === undefined) return undefined
    const text = (reference: string, language: string) => noticeText(calling.definition, notice, reference, language)
    return { people: yield* reachable(notice.people), text }
  }
  const type = all.find((one) => eventTypesOf(one).includes(event.type))
  if (type === undefined) return undefined
  const isNew = event.type === type.created_.id
  const to = event.payload["to"]
  // A step that leaves the state as it was is no news to a citizen.
  if (!isNew && (typeof to !== "string" || event.payload["from"] === to)) return undefined
  const state = isNew ? type.definition.initial : String(to)
  const text = (reference: string, language: string) => caseText(type.definition, reference, state, isNew, language)
  // The confirmation of a new case goes to its owner, who made it.
  return { people: yield* listeners(caseId, isNew ? null : event.actorId), text }
})

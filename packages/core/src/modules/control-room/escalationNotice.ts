/** What those read whom a step of a ladder calls. */
import * as Effect from "effect/Effect"
import type { LocalizedText, Notice } from "../../kernel/cases/CaseType.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import type { AlertEscalated } from "./climb.ts"

const text: LocalizedText = {
  en: "{title} {reference}: nobody has acknowledged it yet. {summary}",
  uz: "{title} {reference}: hali hech kim ko‘rmadi. {summary}",
  "uz-Cyrl": "{title} {reference}: ҳали ҳеч ким кўрмади. {summary}",
  ru: "{title} {reference}: ещё никто не квитировал. {summary}",
  ka: "{title} {reference}: ჯერ არავის მიუღია. {summary}"
}

/** Whoever hears of it late would be called for nothing: an alert that is acknowledged or cleared by then calls nobody. */
export const escalationNotice = Effect.fnUntraced(function* ({ caseId, payload }: StoredEvent) {
  const { sql, tenantId } = yield* TenantTx
  const { announced, hearers } = payload as typeof AlertEscalated.payload.Type
  if (announced || hearers.length === 0) return undefined
  const [waiting] = yield* sql<{ summary: string }>`
    select c.data ->> 'summary' as summary from mahalla.alert a
    join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
    where a.tenant_id = ${tenantId} and a.case_id = ${caseId} and a.acknowledged_at is null and a.cleared_at is null`
  if (waiting === undefined) return undefined
  return { people: hearers, text, values: { summary: waiting.summary } } satisfies Notice
})

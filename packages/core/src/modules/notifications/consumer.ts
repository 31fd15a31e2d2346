/** Hears every event and writes down who is to hear of it; sending is a job. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CaseTypes, eventTypesOf } from "../../kernel/cases/registry.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { Messengers } from "../../kernel/ports.ts"
import { caseText } from "./texts.ts"
import type { Erased } from "../../kernel/Erased.ts"

interface Listener {
  readonly id: string
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

const tell = Effect.fn("notifications.tell")(function* (event: StoredEvent) {
  if (event.caseId === null) return
  const { sql, tenantId } = yield* TenantTx
  const type = (yield* CaseTypes).all.find((one) => eventTypesOf(one).includes(event.type))
  if (type === undefined) return
  const isNew = event.type === type.created_.id
  const to = event.payload["to"]
  // A step that leaves the state as it was is no news to a citizen.
  if (!isNew && (typeof to !== "string" || event.payload["from"] === to)) return
  const messengers = yield* Messengers
  const channel =
    [...messengers].find(([, one]) => one.channel === "sms") ??
    [...messengers].find(([, one]) => one.channel === "outbox")
  if (channel === undefined) return
  const rows = yield* sql<{
    reference: string
  }>`select reference from mahalla.civic_case where tenant_id = ${tenantId} and id = ${event.caseId}`
  // The confirmation of a new case goes to its owner, who made it.
  const people = yield* listeners(event.caseId, isNew ? null : event.actorId)
  const at = new Date(yield* Clock.currentTimeMillis)
  for (const person of people) {
    const id = yield* newId
    const text = caseText(
      type.definition,
      rows[0]?.reference ?? "",
      isNew ? type.definition.initial : String(to),
      isNew,
      person.language
    )
    const made = yield* sql`
      insert into mahalla.message (tenant_id, id, principal_id, event_id, case_id, channel, text, language, created_at, changed_at)
      values (${tenantId}, ${id}, ${person.id}, ${event.id}, ${event.caseId}, ${channel[0]}, ${text}, ${person.language}, ${at}, ${at})
      on conflict do nothing returning id`
    if (made.length > 0) yield* enqueue([{ topic: "notifications.send", body: { messageId: id } }])
  }
})

/** Every event of every case type; `tell` decides. */
export const notificationsConsumer = (types: ReadonlyArray<string>): Consumer<unknown, Erased> => ({
  id: "notifications",
  types,
  handle: tell
})

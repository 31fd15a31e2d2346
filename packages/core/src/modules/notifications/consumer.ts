/** Hears every event and writes down who is to hear of it; sending is a job. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { Messengers } from "../../kernel/ports.ts"
import { newsOf } from "./news.ts"

const tell = Effect.fn("notifications.tell")(function* (event: StoredEvent) {
  if (event.caseId === null) return
  const { sql, tenantId } = yield* TenantTx
  const messengers = yield* Messengers
  const channel =
    [...messengers].find(([, one]) => one.channel === "sms") ??
    [...messengers].find(([, one]) => one.channel === "outbox")
  if (channel === undefined) return
  const news = yield* newsOf(event, event.caseId)
  if (news === undefined) return
  const rows = yield* sql<{
    reference: string
  }>`select reference from mahalla.civic_case where tenant_id = ${tenantId} and id = ${event.caseId}`
  const at = new Date(yield* Clock.currentTimeMillis)
  for (const person of news.people) {
    const id = yield* newId
    const text = news.text(rows[0]?.reference ?? "", person.language)
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

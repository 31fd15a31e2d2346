/**
 * Writing events: always in the transaction of the fact, never anywhere else.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { canonical } from "../canonical.ts"
import { afterCommit, TenantTx } from "../db/Database.ts"
import { newId } from "../ids.ts"
import type { EventType } from "./Event.ts"

/** Wakes whoever waits for new events in this process and, coalesced, in the others. */
export class EventSignal extends Context.Reference<{ readonly wake: Effect.Effect<void> }>(
  "@mahalla/kernel/EventSignal",
  {
    defaultValue: () => ({ wake: Effect.void })
  }
) {}

export interface EventContext {
  readonly caseId?: string
  readonly actorId?: string | null
}

/** base64url SHA-256 over the salt and the value's JSON with sorted keys. */
export const commitment = (salt: string, value: unknown): string =>
  createHash("sha256").update(salt).update("\u0000").update(canonical(value)).digest("base64url")

/** Appends an event to the transaction and returns its id. */
export const appendEvent = Effect.fnUntraced(function* <Payload>(
  type: EventType<string, Payload>,
  payload: Payload,
  context: EventContext = {}
) {
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  const now = yield* Clock.currentTimeMillis
  const encoded = (yield* Effect.orDie(Schema.encodeUnknownEffect(type.payload)(payload))) as Record<string, unknown>
  const open: Record<string, unknown> = {}
  const personal: Array<{ field: string; salt: string; value: unknown }> = []
  for (const [field, value] of Object.entries(encoded)) {
    if (value === undefined) continue
    if (type.personal.includes(field)) personal.push({ field, salt: randomBytes(16).toString("base64url"), value })
    else open[field] = value
  }
  const commitments = Object.fromEntries(personal.map((entry) => [entry.field, commitment(entry.salt, entry.value)]))
  const span = yield* Effect.option(Effect.currentSpan)
  yield* sql`
    with happened as (
      insert into mahalla.event (tenant_id, id, type, case_id, actor_id, payload, commitments, occurred_at, trace_id)
      values (${tenantId}, ${id}, ${type.id}, ${context.caseId ?? null}, ${context.actorId ?? null}, ${JSON.stringify(open)}::text::jsonb,
              ${JSON.stringify(commitments)}::text::jsonb, ${new Date(now)}, ${span._tag === "Some" && span.value.sampled ? span.value.traceId : null})
      returning tenant_id, id)
    insert into mahalla.event_outbox (tenant_id, event_id) select tenant_id, id from happened`
  if (personal.length > 0) {
    yield* sql`
      insert into mahalla.event_personal (tenant_id, event_id, field, salt, value)
      select ${tenantId}, ${id}, field, salt, value
      from jsonb_to_recordset(${JSON.stringify(personal)}::text::jsonb) as given (field text, salt text, value jsonb)`
  }
  const { wake } = yield* EventSignal
  yield* afterCommit(wake)
  return id
})

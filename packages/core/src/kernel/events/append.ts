/**
 * Writing events: always in the transaction of the fact, never anywhere else.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { canonical } from "../canonical.ts"
import { TenantTx } from "../db/Database.ts"
import type { LaterWrite } from "../db/later.ts"
import { isId, newId } from "../ids.ts"
import { sealedColumn } from "../personal/Vault.ts"
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

const eventWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.event (tenant_id, id, type, case_id, actor_id, payload, commitments, occurred_at, trace_id)
    select tenant_id, id, type, case_id, actor_id, payload, commitments, occurred_at, trace_id
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (tenant_id uuid, id uuid, type text, case_id uuid, actor_id uuid, payload jsonb, commitments jsonb, occurred_at timestamptz, trace_id text)`
}

/** Rows draw their numbers in this order, which becomes the events'. */
const outboxWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.event_outbox (tenant_id, event_id)
    select (row ->> 'tenant_id')::uuid, (row ->> 'event_id')::uuid
    from jsonb_array_elements(${json}::text::jsonb) with ordinality as given (row, place) order by place`
}

const personalWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.event_personal (tenant_id, event_id, field, person_id, sealed)
    select tenant_id, event_id, field, person_id, sealed
    from jsonb_to_recordset(${json}::text::jsonb) as given (tenant_id uuid, event_id uuid, field text, person_id uuid, sealed text)`
}

/** Salt and value, sealed as JSON in the row named `<event> <field>`. */
export const personalColumn = sealedColumn("event_personal", "sealed")
export const personalRow = (eventId: string, field: string): string => `${eventId} ${field}`

/** Whose the personal values of an event are: the principal that it is about, else who caused it. */
const personOf = (payload: Readonly<Record<string, unknown>>, actorId: string | null) =>
  typeof payload["principalId"] === "string" && isId(payload["principalId"]) ? payload["principalId"] : actorId

/** Appends an event to the transaction and returns its id. It is written with the commit. */
export const appendEvent = Effect.fnUntraced(function* <Payload>(
  type: EventType<string, Payload>,
  payload: Payload,
  context: EventContext = {}
) {
  const { later, tenantId } = yield* TenantTx
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
  const span = yield* Effect.serviceOption(Tracer.ParentSpan)
  later.add(eventWrite, {
    tenant_id: tenantId,
    id,
    type: type.id,
    case_id: context.caseId ?? null,
    actor_id: context.actorId ?? null,
    payload: open,
    commitments,
    occurred_at: new Date(now).toISOString(),
    trace_id: span._tag === "Some" && span.value.sampled ? span.value.traceId : null
  })
  later.add(outboxWrite, { tenant_id: tenantId, event_id: id })
  for (const { field, salt, value } of personal) {
    later.add(personalWrite, {
      tenant_id: tenantId,
      event_id: id,
      field,
      person_id: personOf(open, context.actorId ?? null),
      sealed: yield* personalColumn.seal(personalRow(id, field), JSON.stringify({ salt, value }))
    })
  }
  const { wake } = yield* EventSignal
  later.wake(wake)
  return id
})

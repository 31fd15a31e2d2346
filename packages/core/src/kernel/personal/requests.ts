/** What people ask for about themselves, as rows: a copy of all that is held of them, or the end of it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { newId } from "../ids.ts"
import { enqueue } from "../jobs/enqueue.ts"
import { demandAdministrator, isAdministrator } from "../policy/giving.ts"
import { lockRoles } from "../policy/roles.ts"

const Facts = Schema.Struct({ requestId: Schema.String, principalId: Schema.String })
export const ExportRequested = defineEvent({ id: "person.export-requested", payload: Facts })
export const ExportMade = defineEvent({ id: "person.export-made", payload: Facts })
export const ErasureRequested = defineEvent({ id: "person.erasure-requested", payload: Facts })
export const PersonErased = defineEvent({ id: "person.erased", payload: Facts })

export type RequestKind = "export" | "erasure"

export interface PersonRequest {
  readonly id: string
  readonly kind: RequestKind
  readonly principalId: string
  readonly state: "waiting" | "done" | "expired" | "failed"
  /** What an erasure waits for: ids of parts. */
  readonly waitsFor: string | null
  readonly blobKey: string | null
  /** Bytes of the copy. */
  readonly size: number | null
  readonly requestedAt: Date
  readonly finishedAt: Date | null
  /** Until then the copy is there. */
  readonly expiresAt: Date | null
}

const columns = `id, kind, principal_id as "principalId", state, waits_for as "waitsFor", blob_key as "blobKey", size::float8 as size,
  requested_at as "requestedAt", finished_at as "finishedAt", expires_at as "expiresAt"`

export const topicOf = (kind: RequestKind) => `person.${kind === "export" ? "export" : "erase"}`

/** By id; `lock` keeps it for this transaction. */
export const loadRequest = Effect.fnUntraced(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PersonRequest>`
    select ${sql.literal(columns)} from mahalla.person_request
    where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  return rows[0]
})

/** The person's newest of a kind. Index `person_request_of`. */
export const latestRequest = Effect.fnUntraced(function* (principalId: string, kind: RequestKind) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PersonRequest>`
    select ${sql.literal(columns)} from mahalla.person_request
    where tenant_id = ${tenantId} and principal_id = ${principalId} and kind = ${kind} order by id desc limit 1`
  return rows[0]
})

/** Writes a request down with its job; while one is under way it is that one. */
export const putRequest = Effect.fnUntraced(function* (principalId: string, kind: RequestKind) {
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  const now = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql<PersonRequest>`
    insert into mahalla.person_request (tenant_id, id, kind, principal_id, requested_at)
    values (${tenantId}, ${id}, ${kind}, ${principalId}, ${now})
    on conflict (tenant_id, principal_id, kind) where state = 'waiting' do nothing
    returning ${sql.literal(columns)}`
  if (made[0] === undefined) return (yield* latestRequest(principalId, kind))!
  const event = kind === "export" ? ExportRequested : ErasureRequested
  yield* appendEvent(event, { requestId: id, principalId }, { actorId: principalId })
  yield* enqueue([{ topic: topicOf(kind), body: { requestId: id }, uniqueKey: id }])
  return made[0]
})

/**
 * An erasure: whoever asks for it is out at once, and gone when nothing is open any more. Refused to the last administrator of the city, as
 * the removal of their role is.
 */
export const requestErasure = Effect.fn("requestErasure")(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* lockRoles
  const request = yield* putRequest(principalId, "erasure")
  yield* sql`
    update mahalla.principal set status = 'blocked' where tenant_id = ${tenantId} and id = ${principalId} and status = 'active'`
  if (yield* isAdministrator(principalId)) yield* demandAdministrator
  return request
})

/** Reading the order: the only way anybody outside a transaction learns of events. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import type { StoredEvent } from "./Event.ts"

/** The tenant's last given position; 0 before the first event. */
export const headPosition = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const rows = yield* sql<{ position: bigint }>`select position from mahalla.event_head`
  return rows[0]?.position ?? 0n
})

/** Events after a position, in order, without personal values. `event_order`'s primary key serves it. */
export const readEvents = Effect.fnUntraced(function* (after: bigint, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredEvent>`
    select o.tenant_id as "tenantId", o.position, e.id, e.type, e.case_id as "caseId", e.actor_id as "actorId", e.payload,
           e.occurred_at as "occurredAt"
    from (select * from mahalla.event_order where tenant_id = ${tenantId} and position > ${after} order by position limit ${limit}) o
    join mahalla.event e on e.tenant_id = o.tenant_id and e.id = o.event_id
    order by o.position`
})

/** Events of one case, oldest first. Index `event_case`. */
export const readCaseEvents = Effect.fnUntraced(function* (caseId: string, after: string | null, limit: number) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Omit<StoredEvent, "position">>`
    select tenant_id as "tenantId", id, type, case_id as "caseId", actor_id as "actorId", payload, occurred_at as "occurredAt"
    from mahalla.event
    where tenant_id = ${tenantId} and case_id = ${caseId} and (${after}::uuid is null or id > ${after}::uuid)
    order by id limit ${limit}`
})

/** How long the kernel keeps what it keeps. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { AttachmentExpired } from "../attachments/model.ts"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import type { RetentionRule } from "./Retention.ts"

const amountIn = (rows: ReadonlyArray<{ readonly amount: number }>) => rows[0]?.amount ?? 0

/** Answers to repeated requests: clients repeat within two days. */
const answers: RetentionRule = {
  id: "idempotencyAnswers",
  days: 2,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    return amountIn(
      yield* sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.idempotency_key where tenant_id = ${tenantId} and created_at < ${before}`
    )
  }),
  // Index `idempotency_key_age`.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.idempotency_key where (tenant_id, principal_id, route, key) in (
        select tenant_id, principal_id, route, key from mahalla.idempotency_key
        where tenant_id = ${tenantId} and created_at < ${before} order by created_at limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** What people asked for about themselves, when it has ended. */
const requests: RetentionRule = {
  id: "personRequests",
  days: 365,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    return amountIn(
      yield* sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.person_request
        where tenant_id = ${tenantId} and finished_at < ${before} and blob_key is null`
    )
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.person_request where (tenant_id, id) in (
        select tenant_id, id from mahalla.person_request
        where tenant_id = ${tenantId} and finished_at < ${before} and blob_key is null limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** Originals of cases that have ended; what people see are copies. The blob goes with the next sweep of uploads. */
const originals: RetentionRule = {
  id: "decidedOriginals",
  days: 1095,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    return amountIn(
      yield* sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.attachment a
        join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
        where a.tenant_id = ${tenantId} and a.role = 'original' and a.state = 'stored' and c.phase <> 'open' and c.updated_at < ${before}`
    )
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql<{ id: string; sha256: string; caseId: string }>`
      update mahalla.attachment set state = 'deleted', name = null, expires_at = null where (tenant_id, id) in (
        select a.tenant_id, a.id from mahalla.attachment a
        join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
        where a.tenant_id = ${tenantId} and a.role = 'original' and a.state = 'stored' and c.phase <> 'open' and c.updated_at < ${before}
        limit ${limit} for update of a skip locked)
      returning id, sha256, case_id as "caseId"`
    for (const { caseId, id, sha256 } of gone)
      yield* appendEvent(AttachmentExpired, { attachmentId: id, sha256 }, { caseId })
    return gone.length
  })
}

/** Personal values of events with their salts: the commitment stays, and nothing opens it. */
const personal: RetentionRule = {
  id: "personalValues",
  days: 1825,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    return amountIn(
      yield* sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.event_personal
        where tenant_id = ${tenantId} and event_id < mahalla.uuid_floor(${before})`
    )
  }),
  // Events' ids begin with their time: the primary key serves it.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.event_personal where (tenant_id, event_id, field) in (
        select tenant_id, event_id, field from mahalla.event_personal
        where tenant_id = ${tenantId} and event_id < mahalla.uuid_floor(${before}) order by event_id limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** From the place after the last one that is gone to the first one that is too young, unsealed, or not yet heard by every consumer. */
const payloads: RetentionRule = {
  id: "eventPayloads",
  days: null,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    return amountIn(
      yield* sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.event_order o
        where o.tenant_id = ${tenantId} and o.event_id < mahalla.uuid_floor(${before})
          and o.position > coalesce((select position from mahalla.event_dropped where tenant_id = ${tenantId}), 0)`
    )
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`insert into mahalla.event_dropped (tenant_id, position) values (${tenantId}, 0) on conflict do nothing`
    const [at] = yield* sql<{ position: bigint }>`
      select position from mahalla.event_dropped where tenant_id = ${tenantId} for update skip locked`
    if (at === undefined) return 0
    const [edge] = yield* sql<{ position: bigint }>`
      select least(
        (select coalesce(max(number) + 1, 0) from mahalla.log_node where tenant_id = ${tenantId} and level = 0),
        (select min(position) from mahalla.event_cursor where tenant_id = ${tenantId})) as position`
    // In order and without a gap, so that one number says what is gone.
    const rows = yield* sql<{ position: bigint; event_id: string; old: boolean }>`
      select position, event_id, event_id < mahalla.uuid_floor(${before}) as old from mahalla.event_order
      where tenant_id = ${tenantId} and position > ${at.position} and position <= ${edge!.position} order by position limit ${limit}`
    const young = rows.findIndex(({ old }) => !old)
    const going = young === -1 ? rows : rows.slice(0, young)
    const last = going.at(-1)
    if (last === undefined) return 0
    const ids = going.map(({ event_id }) => event_id)
    yield* sql`delete from mahalla.event_personal where tenant_id = ${tenantId} and event_id = any (${ids}::uuid[])`
    yield* sql`update mahalla.event set payload = '{}', trace_id = null where tenant_id = ${tenantId} and id = any (${ids}::uuid[])`
    yield* sql`
      update mahalla.event_dropped set position = ${last.position}, dropped_at = ${new Date(yield* Clock.currentTimeMillis)}
      where tenant_id = ${tenantId}`
    return going.length
  })
}

export const kernelRetention: ReadonlyArray<RetentionRule> = [answers, requests, originals, personal, payloads]

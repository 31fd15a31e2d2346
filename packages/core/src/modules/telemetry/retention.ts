/** How long what is not partitioned by time is kept. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { RetentionRule } from "../../kernel/personal/Retention.ts"

const deadLetters: RetentionRule = {
  id: "dead-letters",
  days: 30,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.dead_letter where tenant_id = ${tenantId} and received_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.dead_letter where (tenant_id, id) in (
        select tenant_id, id from mahalla.dead_letter where tenant_id = ${tenantId} and received_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

const batches: RetentionRule = {
  id: "reading-batches",
  days: 7,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.reading_batch where tenant_id = ${tenantId} and received_at < ${before}`
    return rows[0]!.amount
  }),
  // Only what every follower has behind it.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.reading_batch where (tenant_id, number) in (
        select b.tenant_id, b.number from mahalla.reading_batch b
        where b.tenant_id = ${tenantId} and b.received_at < ${before}
          and b.number <= (select min(p.number) from mahalla.telemetry_progress p where p.tenant_id = ${tenantId})
        limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

const commands: RetentionRule = {
  id: "device-commands",
  days: 365,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.device_command where tenant_id = ${tenantId} and created_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.device_command where (tenant_id, id) in (
        select tenant_id, id from mahalla.device_command where tenant_id = ${tenantId} and created_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

const anomalies: RetentionRule = {
  id: "anomalies",
  days: 365,
  // Index: anomaly_age.
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.anomaly where tenant_id = ${tenantId} and at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.anomaly where (tenant_id, datastream, at, kind) in (
        select tenant_id, datastream, at, kind from mahalla.anomaly where tenant_id = ${tenantId} and at < ${before} limit ${limit}
        for update skip locked)
      returning 1`
    return gone.length
  })
}

export const telemetryRetention: ReadonlyArray<RetentionRule> = [deadLetters, batches, commands, anomalies]

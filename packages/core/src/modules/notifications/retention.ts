/** How long messages are kept. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { RetentionRule } from "../../kernel/personal/Retention.ts"

export const messageRetention: RetentionRule = {
  id: "messages",
  days: 180,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.message where tenant_id = ${tenantId} and created_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.message where (tenant_id, id) in (
        select tenant_id, id from mahalla.message where tenant_id = ${tenantId} and created_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** News that stood in a digest. What waits for one is never too old: it is gone with its digest's day. */
export const digestRetention: RetentionRule = {
  id: "digests",
  days: 90,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.digest_item
      where tenant_id = ${tenantId} and digest_id is not null and created_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.digest_item where (tenant_id, id) in (
        select tenant_id, id from mahalla.digest_item
        where tenant_id = ${tenantId} and digest_id is not null and created_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** How long codes, links and checks are kept after their time: a code's row also makes the pause before the next one grow. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { RetentionRule } from "../../kernel/personal/Retention.ts"

const codes: RetentionRule = {
  id: "signInCodes",
  days: 1,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.sign_in_code where tenant_id = ${tenantId} and expires_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.sign_in_code where (tenant_id, phone_hash) in (
        select tenant_id, phone_hash from mahalla.sign_in_code
        where tenant_id = ${tenantId} and expires_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

const links: RetentionRule = {
  id: "signInLinks",
  days: 1,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.sign_in_link where tenant_id = ${tenantId} and expires_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.sign_in_link where (tenant_id, token_hash) in (
        select tenant_id, token_hash from mahalla.sign_in_link
        where tenant_id = ${tenantId} and expires_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** What a register has confirmed stays as long as the account; what ended otherwise says for a while why. */
const checks: RetentionRule = {
  id: "identityChecks",
  days: 365,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.identity_check
      where tenant_id = ${tenantId} and state <> 'confirmed' and settled_at < ${before}`
    return rows[0]!.amount
  }),
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.identity_check where (tenant_id, id) in (
        select tenant_id, id from mahalla.identity_check
        where tenant_id = ${tenantId} and state <> 'confirmed' and settled_at < ${before} limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

export const identityRetention: ReadonlyArray<RetentionRule> = [codes, links, checks]

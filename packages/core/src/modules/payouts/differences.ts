/** The treasurer's list of what rails' registers and our books say differently: read, and worked off with a reason. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { DifferenceKind } from "./register.ts"

export interface StoredDifference {
  readonly id: string
  readonly rail: string
  readonly day: string
  readonly kind: DifferenceKind
  readonly subject: string
  readonly payoutId: string | null
  readonly ours: string
  readonly theirs: string
  readonly createdAt: Date
  readonly resolvedAt: Date | null
  readonly resolvedBy: string | null
  readonly resolution: string | null
}

export interface StoredReconciliation {
  readonly rail: string
  readonly day: string
  readonly runAt: Date
  readonly lines: number
  readonly amount: bigint
  readonly payouts: number
  readonly booked: bigint
  readonly trouble: string | null
  /** Differences that nobody has resolved. */
  readonly open: number
}

/** Newest first. Index: reconciliation_open. */
export const listDifferences = Effect.fnUntraced(function* (filter: {
  readonly open: boolean
  readonly rail: string | null
  readonly cursor: string | null
  readonly limit: number
}) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredDifference>`
    select id, rail, day::text, kind, subject, payout_id as "payoutId", ours, theirs, created_at as "createdAt", resolved_at as "resolvedAt",
      resolved_by as "resolvedBy", resolution
    from mahalla.reconciliation_difference
    where tenant_id = ${tenantId} and (not ${filter.open} or resolved_at is null) and (${filter.rail}::text is null or rail = ${filter.rail})
      and (${filter.cursor}::uuid is null or id < ${filter.cursor}::uuid)
    order by id desc limit ${filter.limit}`
})

/** Says why a difference is no trouble any more; refused as `resolved` where somebody has said so. */
export const resolveDifference = Effect.fn("payouts.resolveDifference")(function* (id: string, resolution: string) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const now = new Date(yield* Clock.currentTimeMillis)
  const changed = yield* sql`
    update mahalla.reconciliation_difference set resolved_at = ${now}, resolved_by = ${actorId}, resolution = ${resolution}
    where tenant_id = ${tenantId} and id = ${id} and resolved_at is null returning 1`
  if (changed.length > 0) return
  const [known] = yield* sql`select from mahalla.reconciliation_difference where tenant_id = ${tenantId} and id = ${id}`
  if (known === undefined) return yield* new NotFound({ what: "difference", id })
  return yield* new Refused({ code: "resolved", message: "Somebody has resolved this difference already." })
})

/** Newest days first. */
export const listReconciliations = Effect.fnUntraced(function* (rail: string | null, before: string | null) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredReconciliation>`
    select r.rail, r.day::text, r.run_at as "runAt", r.lines, r.amount, r.payouts, r.booked, r.trouble,
      (select count(*)::int from mahalla.reconciliation_difference d
        where d.tenant_id = r.tenant_id and d.rail = r.rail and d.day = r.day and d.resolved_at is null) as open
    from mahalla.reconciliation r
    where r.tenant_id = ${tenantId} and (${rail}::text is null or r.rail = ${rail}) and (${before}::date is null or r.day < ${before}::date)
    order by r.day desc, r.rail limit 100`
})

/** How long the control room keeps what its cases do not need. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { RetentionRule } from "../../kernel/personal/Retention.ts"

/** Of cleared alerts: their row, episodes and assets. The case stays; an episode that old could be raised once more. */
const clearedAlerts: RetentionRule = {
  id: "clearedAlerts",
  days: 730,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.alert where tenant_id = ${tenantId} and cleared_at < ${before}`
    return rows[0]!.amount
  }),
  // Index `alert_age`.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.alert where (tenant_id, case_id) in (
        select tenant_id, case_id from mahalla.alert where tenant_id = ${tenantId} and cleared_at < ${before}
        order by cleared_at limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

/** Windows that are over and hold no alert's row. */
const windows: RetentionRule = {
  id: "maintenanceWindows",
  days: 1095,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const rows = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.maintenance_window w
      where tenant_id = ${tenantId} and until_at < ${before}
        and not exists (select from mahalla.alert a where a.tenant_id = w.tenant_id and a.window_id = w.id)`
    return rows[0]!.amount
  }),
  // Index `maintenance_window_until`.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.maintenance_window where (tenant_id, id) in (
        select tenant_id, id from mahalla.maintenance_window w
        where tenant_id = ${tenantId} and until_at < ${before}
          and not exists (select from mahalla.alert a where a.tenant_id = w.tenant_id and a.window_id = w.id)
        limit ${limit} for update skip locked)
      returning 1`
    return gone.length
  })
}

export const controlRoomRetention: ReadonlyArray<RetentionRule> = [clearedAlerts, windows]

/** How long it is known what was sent. */
import * as Effect from "effect/Effect"
import { PlatformTx, TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import type { RetentionRule } from "../../kernel/personal/Retention.ts"
import { limits } from "./model.ts"

/** With their attempts; also what waits for so long, as at an endpoint that was paused and forgotten. */
export const messageRetention: RetentionRule = {
  id: "webhookMessages",
  days: limits.days,
  due: Effect.fnUntraced(function* (before) {
    const { sql, tenantId } = yield* TenantTx
    const [row] = yield* sql<{ amount: number }>`
      select count(*)::int as amount from mahalla.webhook_message where tenant_id = ${tenantId} and created_at < ${before}`
    return row!.amount
  }),
  // Ids of events are times: the primary key finds the oldest of each endpoint.
  drop: Effect.fnUntraced(function* (before, limit) {
    const { sql, tenantId } = yield* TenantTx
    const gone = yield* sql`
      delete from mahalla.webhook_message m using (
        select old.* from mahalla.webhook_endpoint e cross join lateral (
          select endpoint_id, event_id from mahalla.webhook_message
          where tenant_id = ${tenantId} and endpoint_id = e.id and event_id < mahalla.uuid_floor(${before}) and created_at < ${before}
          order by event_id limit ${limit}) old
        where e.tenant_id = ${tenantId} limit ${limit}) old
      where m.tenant_id = ${tenantId} and m.endpoint_id = old.endpoint_id and m.event_id = old.event_id
      returning 1`
    return gone.length
  })
}

/** Endpoints of apps that are gone. */
export const sweepEndpoints = Effect.flatMap(
  PlatformTx,
  ({ sql }) => sql`
    delete from mahalla.webhook_endpoint e using mahalla.principal p
    where p.tenant_id = e.tenant_id and p.id = e.principal_id and p.status = 'erased'`
).pipe(withPlatform, Effect.asVoid)

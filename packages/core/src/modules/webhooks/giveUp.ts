/** Endpoints that are not sent to any more until somebody resumes them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { AppTokens } from "../../kernel/http/AppTokens.ts"
import type { Endpoint } from "./model.ts"
import { hostOf, WebhookDisabled } from "./model.ts"
import { stillLane } from "./queue.ts"

/** Disables an endpoint, makes dead letters of what waits for it, and tells whoever registered the app. One that is disabled already stays as it is. */
export const giveUp = Effect.fn("webhooks.giveUp")(function* (
  tenantId: string,
  endpointId: string,
  because: NonNullable<Endpoint["disabledBecause"]>
) {
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* Effect.gen(function* () {
    const { sql } = yield* TenantTx
    yield* stillLane(endpointId)
    const [row] = yield* sql<Pick<Endpoint, "url" | "principalId">>`
      update mahalla.webhook_endpoint
      set status = 'disabled', disabled_because = ${because}, disabled_at = ${at}, version = version + 1
      where tenant_id = ${tenantId} and id = ${endpointId} and status <> 'disabled'
      returning url, principal_id as "principalId"`
    if (row === undefined) return
    yield* sql`
      update mahalla.webhook_message set state = 'failed', settled_at = ${at}
      where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and state = 'waiting'`
    const apps = yield* AppTokens
    const ownerId = apps === undefined ? null : yield* apps.ownerOf(row.principalId)
    const { principalId, url } = row
    yield* appendEvent(WebhookDisabled, { endpointId, principalId, ownerId, host: hostOf(url), because })
  }).pipe(withTenant(tenantId))
})

/**
 * Messages and lanes as rows. Whoever adds messages and whoever says that nothing waits any more lock the lane first, so that no message is left in a
 * lane that sleeps.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { CourierSignal } from "./Signal.ts"

/** As a row of JSON. */
export interface NewMessage {
  readonly endpoint_id: string
  readonly event_id: string
  readonly type: string
  readonly position: string
  readonly body: string
}

/** For the rest of the transaction, in one order for all who do it. */
export const lockLanes = Effect.fnUntraced(function* (endpoints: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    select from mahalla.webhook_lane where tenant_id = ${tenantId} and endpoint_id = any (${endpoints}::uuid[])
    order by endpoint_id for no key update`
})

/** Says that something of these is due from a moment on; needs their locks. A lane that rests goes on resting. */
const makeDue = Effect.fnUntraced(function* (endpoints: ReadonlyArray<string>, at: Date) {
  const { later, sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.webhook_lane l set due_at = greatest(${at}, l.rest_until)
    from mahalla.webhook_endpoint e
    where l.tenant_id = ${tenantId} and l.endpoint_id = any (${endpoints}::uuid[])
      and e.tenant_id = l.tenant_id and e.id = l.endpoint_id and e.status = 'active'
      and (l.due_at is null or l.due_at > greatest(${at}, l.rest_until))`
  later.wake((yield* CourierSignal).wake)
})

/** Adds messages that are due now. */
export const putMessages = Effect.fnUntraced(function* (messages: ReadonlyArray<NewMessage>, at: Date) {
  if (messages.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  const endpoints = [...new Set(messages.map(({ endpoint_id }) => endpoint_id))]
  yield* lockLanes(endpoints)
  yield* sql`
    insert into mahalla.webhook_message (tenant_id, endpoint_id, event_id, type, position, body, next_at, created_at)
    select ${tenantId}, endpoint_id, event_id, type, position, body, ${at}, ${at}
    from jsonb_to_recordset(${JSON.stringify(messages)}::text::jsonb) as given
      (endpoint_id uuid, event_id uuid, type text, position bigint, body text)
    on conflict do nothing`
  yield* makeDue(endpoints, at)
})

/** Sends failed messages again, with all attempts before them; gives how many there were. `recovery`: in whose name. */
export const askAgain = Effect.fnUntraced(function* (
  endpointId: string,
  events: ReadonlyArray<string>,
  recovery: string | null
) {
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* lockLanes([endpointId])
  const changed = yield* sql`
    update mahalla.webhook_message
    set state = 'waiting', attempts = 0, next_at = ${at}, settled_at = null, recovery_id = coalesce(${recovery}::uuid, recovery_id)
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and event_id = any (${events}::uuid[]) and state <> 'waiting'
    returning 1`
  yield* makeDue([endpointId], at)
  return changed.length
})

/** As after a resume: whatever waits is due when it says so, and nobody rests. */
export const wakeLane = Effect.fnUntraced(function* (endpointId: string) {
  const { later, sql, tenantId } = yield* TenantTx
  yield* lockLanes([endpointId])
  yield* sql`
    update mahalla.webhook_lane
    set failures = 0, rest_until = null, recent = 0, recent_from = null, failing_since = null, due_at = (
      select min(next_at) from mahalla.webhook_message
      where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and state = 'waiting')
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId}`
  later.wake((yield* CourierSignal).wake)
})

/** Nothing is sent until `wakeLane`. */
export const stillLane = Effect.fnUntraced(function* (endpointId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* lockLanes([endpointId])
  yield* sql`
    update mahalla.webhook_lane set due_at = null where tenant_id = ${tenantId} and endpoint_id = ${endpointId}`
})

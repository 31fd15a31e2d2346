/** What became of a message: answers of channels and their receipts, in any order and any number, and what follows for the next channel. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DeliveryReceipt, SendOutcome } from "../../ports/Messenger.ts"
import type { Money } from "../../ports/Payments.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { mask } from "../../kernel/mask.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import type { MessageState, Urgency } from "./model.ts"
import { sendJobs } from "./plan.ts"
import { addTotal, dayOf } from "./totals.ts"

interface Settled {
  readonly id: string
  readonly channel: string
  readonly category: string
  readonly addressId: string | null
}

const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))

const endAttempt = Effect.fnUntraced(function* (
  messageId: string,
  attempt: number,
  end: { readonly state: string; readonly code: string | null; readonly detail: string | null }
) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.message_attempt set state = ${end.state}, code = ${end.code}, detail = ${end.detail === null ? null : mask(end.detail)},
      ended_at = ${yield* now}
    where tenant_id = ${tenantId} and message_id = ${messageId} and attempt = ${attempt}`
})

interface Link {
  readonly id: string
  readonly urgency: Urgency
  readonly wait_seconds: number | null
}

/** The message that waits for this one is sent now. */
export const advance = Effect.fn("notifications.advance")(function* (messageId: string) {
  const { sql, tenantId } = yield* TenantTx
  const at = yield* now
  const next = yield* sql<Link>`
    update mahalla.message set state = 'queued', changed_at = ${at}
    where tenant_id = ${tenantId} and after_id = ${messageId} and state = 'waiting' returning id, urgency, wait_seconds`
  for (const { id, urgency } of next) {
    const behind = yield* sql<Link>`
      select id, urgency, wait_seconds from mahalla.message where tenant_id = ${tenantId} and after_id = ${id} and state = 'waiting'`
    yield* enqueue(
      sendJobs(
        [
          { id, state: "queued", after_id: messageId, wait_seconds: null },
          ...behind.map((row) => ({
            id: row.id,
            state: "waiting" as const,
            after_id: id,
            wait_seconds: row.wait_seconds
          }))
        ],
        urgency,
        at.getTime()
      )
    )
  }
})

/** It arrived: what waits for it in the same order of channels is not needed any more. */
const skipRest = Effect.fnUntraced(function* (messageId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.message set state = 'skipped', changed_at = ${yield* now}
    from mahalla.message first
    where first.tenant_id = ${tenantId} and first.id = ${messageId} and message.tenant_id = ${tenantId}
      and message.event_id = first.event_id and message.principal_id = first.principal_id and message.state = 'waiting'`
})

/** Ends a message that was not handed over. */
export const endWithout = Effect.fnUntraced(function* (
  messageId: string,
  state: "cancelled" | "expired" | "failed" | "suppressed",
  detail: string
) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    update mahalla.message set state = ${state}, detail = ${detail}, changed_at = ${yield* now}
    where tenant_id = ${tenantId} and id = ${messageId}`
  if (state === "failed") yield* advance(messageId)
  else yield* skipRest(messageId)
})

const total = Effect.fnUntraced(function* (
  { category, channel, id }: Settled,
  cost: Money | undefined,
  amounts: { readonly handed?: number; readonly delivered?: number; readonly failed?: number; readonly parts?: number }
) {
  const { timeZone } = yield* tenantSettings
  const day = dayOf(yield* Clock.currentTimeMillis, timeZone)
  const currency = cost?.currency ?? ""
  yield* addTotal(
    day,
    { channel, category, currency, ...amounts, ...(cost === undefined ? {} : { cost: cost.amount }) },
    id
  )
})

/** The channel's answer. A receipt that came before it stays what it was. */
export const settle = Effect.fn("notifications.settle")(function* (
  row: Settled,
  attempt: number,
  outcome: SendOutcome
) {
  const { sql, tenantId } = yield* TenantTx
  const at = yield* now
  const { state } = outcome
  const said = state === "accepted" ? null : mask(outcome.message)
  const code = state === "refused" ? outcome.code : null
  yield* endAttempt(row.id, attempt, { state, code, detail: said })
  const expired = state === "refused" && outcome.code === "expired"
  const next: MessageState = expired ? "expired" : state
  const cost = state === "accepted" ? outcome.cost : undefined
  const parts = state === "accepted" ? (outcome.parts ?? null) : null
  const [found] = yield* sql<{ state: MessageState; handed: boolean }>`
    select state, handed_at is not null as handed from mahalla.message where tenant_id = ${tenantId} and id = ${row.id} for update`
  if (found === undefined) return
  const moves = found.state === "queued" || found.state === "unknown"
  yield* sql`
    update mahalla.message set state = ${moves ? next : found.state}, detail = case when ${moves} then ${said}::text else detail end,
      changed_at = ${at}, claimed_until = null, handed_at = coalesce(handed_at, ${state === "accepted" ? at : null}::timestamptz),
      parts = coalesce(parts, ${parts}::integer), cost = coalesce(cost, ${cost?.amount ?? null}::bigint),
      currency = coalesce(currency, ${cost?.currency ?? null}::text)
    where tenant_id = ${tenantId} and id = ${row.id}`
  if (state === "accepted") yield* total(row, cost, { handed: found.handed ? 0 : 1, parts: parts ?? 1 })
  if (state !== "refused") return
  yield* total(row, undefined, { failed: 1 })
  if (outcome.gone === true && row.addressId !== null)
    yield* sql`delete from mahalla.notification_address where tenant_id = ${tenantId} and id = ${row.addressId}`
  if (moves && !expired) yield* advance(row.id)
})

/** Surely nothing was handed over by this try. `final`: there is no other. */
export const settleError = Effect.fn("notifications.settleError")(function* (
  row: Settled,
  attempt: number,
  error: { readonly reason: string; readonly message: string },
  final: boolean
) {
  const { sql, tenantId } = yield* TenantTx
  yield* endAttempt(row.id, attempt, { state: "error", code: error.reason, detail: error.message })
  const moved = yield* sql`
    update mahalla.message set state = case when ${final} then 'failed' else state end, detail = ${mask(error.message)},
      changed_at = ${yield* now}, claimed_until = null
    where tenant_id = ${tenantId} and id = ${row.id} and state in ('queued', 'unknown') returning id`
  if (!final || moved.length === 0) return
  yield* total(row, undefined, { failed: 1 })
  yield* advance(row.id)
})

interface Receivable extends Settled {
  readonly state: MessageState
  readonly cost: string | null
  readonly handed: boolean
}

/** From which states a receipt moves a message; what was delivered stays so. */
const open: ReadonlyArray<MessageState> = ["queued", "unknown", "accepted"]

const receive = Effect.fnUntraced(function* ({ code, cost, id, state }: DeliveryReceipt) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<Receivable>`
    select id, channel, category, address_id as "addressId", state, cost::text as cost, handed_at is not null as handed
    from mahalla.message where tenant_id = ${tenantId} and id = ${id} for update`
  if (row === undefined) return
  // A phone that was away and comes back: delivered in the end.
  const moves =
    open.includes(row.state) || (state === "delivered" && (row.state === "failed" || row.state === "expired"))
  const price = row.cost === null ? cost : undefined
  if (!moves && price === undefined) return
  const at = yield* now
  yield* sql`
    update mahalla.message set state = ${moves ? state : row.state}, detail = case when ${moves} then ${code ?? null}::text else detail end,
      changed_at = ${at}, handed_at = coalesce(handed_at, ${at}::timestamptz), cost = coalesce(cost, ${price?.amount ?? null}::bigint),
      currency = coalesce(currency, ${price?.currency ?? null}::text)
    where tenant_id = ${tenantId} and id = ${id}`
  const amounts = !moves ? {} : state === "delivered" ? { delivered: 1 } : { failed: 1 }
  // Whoever says what became of it has had it.
  yield* total(row, price, { ...amounts, handed: row.handed ? 0 : 1 })
  if (!moves) return
  if (state === "delivered") yield* skipRest(id)
  if (state === "failed") yield* advance(id)
})

/** Books a receipt; one of what is no message of ours, as a one-time code, is nobody's here. */
export const applyReceipt = Effect.fn("notifications.receipt")(function* (receipt: DeliveryReceipt) {
  const [row] = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      // Index: message_by_id.
      ({ sql }) =>
        sql<{ tenantId: string }>`select tenant_id as "tenantId" from mahalla.message where id = ${receipt.id}`
    )
  )
  if (row !== undefined) yield* withTenant(row.tenantId)(receive(receipt))
})

/** When a channel's time is over without a delivery, the next one is tried. */
export const lookAt = Effect.fn("notifications.fallBack")(function* (messageId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{
    state: MessageState
    attempts: number
    sendAt: Date | null
    urgency: Urgency
    wait: number | null
    delivered: boolean
  }>`
    select m.state, m.attempts, m.send_at as "sendAt", m.urgency, n.wait_seconds as wait,
      exists (select from mahalla.message other where other.tenant_id = m.tenant_id and other.event_id = m.event_id
        and other.principal_id = m.principal_id and other.state = 'delivered') as delivered
    from mahalla.message m join mahalla.message n on n.tenant_id = m.tenant_id and n.after_id = m.id and n.state = 'waiting'
    where m.tenant_id = ${tenantId} and m.id = ${messageId} for update of m`
  if (row === undefined || row.delivered) return
  const at = yield* now
  // It has not begun yet: its time runs from when it may.
  if (row.state === "queued" && row.attempts === 0 && row.sendAt !== null && row.sendAt > at)
    return yield* Effect.asVoid(
      enqueue([
        {
          topic: "notifications.fall-back",
          body: { messageId },
          runAt: row.sendAt.getTime() + (row.wait ?? 0) * 1_000
        }
      ])
    )
  yield* sql`
    update mahalla.message set state = 'skipped', detail = 'Another channel was tried in its place.', changed_at = ${at}
    where tenant_id = ${tenantId} and id = ${messageId} and state = 'queued' and claimed_until is null`
  yield* advance(messageId)
})

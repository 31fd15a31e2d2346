/** What was sent to an endpoint and what became of it; tests, resends and recoveries. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { defineJob } from "../../kernel/jobs/Job.ts"
import { endpointOf } from "./endpoints.ts"
import { sourceOf, testBody } from "./message.ts"
import { testType } from "./model.ts"
import { askAgain, putMessages } from "./queue.ts"

export interface MessageRow {
  readonly id: string
  readonly type: string
  readonly state: "waiting" | "delivered" | "failed"
  readonly attempts: number
  readonly nextAt: Date | null
  readonly createdAt: Date
  readonly settledAt: Date | null
}

export interface AttemptEntry {
  readonly id: string
  readonly messageId: string
  readonly number: number
  readonly at: Date
  readonly took: number
  readonly status: number | null
  readonly delivered: boolean
  readonly failure: string | null
  readonly excerpt: string | null
}

const messageColumns = `event_id as id, type, state, attempts::int as attempts, case when state = 'waiting' then next_at end as "nextAt",
  created_at as "createdAt", settled_at as "settledAt"`

const messageById = Effect.fnUntraced(function* (endpointId: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<MessageRow>`
    select ${sql.literal(messageColumns)} from mahalla.webhook_message
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and event_id = ${id}`
  return row ?? (yield* new NotFound({ what: "message", id }))
})

export interface Page {
  readonly cursor: string | null
  readonly limit: number
}

/** Messages of an endpoint, those of the newest events first; `failed` ones are the dead letters. Primary key, or `webhook_message_failed`. */
export const listMessages = Effect.fnUntraced(function* (
  endpointId: string,
  page: Page & { readonly state: string | null; readonly type: string | null }
) {
  yield* endpointOf(endpointId, "webhook.read")
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<MessageRow>`
    select ${sql.literal(messageColumns)} from mahalla.webhook_message
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and (${page.cursor}::uuid is null or event_id < ${page.cursor}::uuid)
      and (${page.state}::text is null or state = ${page.state}) and (${page.type}::text is null or type = ${page.type})
    order by event_id desc limit ${page.limit}`
})

/** Attempts of an endpoint, the newest first. Primary key, or `webhook_attempt_of`. */
export const listAttempts = Effect.fnUntraced(function* (
  endpointId: string,
  page: Page & { readonly messageId: string | null; readonly delivered: boolean | null }
) {
  yield* endpointOf(endpointId, "webhook.read")
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<AttemptEntry>`
    select id, event_id as "messageId", number::int as number, at, took, status::int as status, delivered, failure, excerpt
    from mahalla.webhook_attempt
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and (${page.cursor}::uuid is null or id < ${page.cursor}::uuid)
      and (${page.messageId}::uuid is null or event_id = ${page.messageId}::uuid)
      and (${page.delivered}::boolean is null or delivered = ${page.delivered}::boolean)
    order by id desc limit ${page.limit}`
})

const sendable = Effect.fnUntraced(function* (endpointId: string) {
  const endpoint = yield* endpointOf(endpointId, "webhook.manage", true)
  if (endpoint.status !== "disabled") return endpoint
  return yield* new Refused({ code: "webhook-disabled", message: "The webhook is disabled. Resume it first." })
})

/** Sends an event that means nothing. */
export const sendTest = Effect.fn("webhooks.sendTest")(function* (endpointId: string) {
  yield* sendable(endpointId)
  const { tenantId } = yield* TenantTx
  const id = yield* newId
  const at = yield* Clock.currentTimeMillis
  const body = testBody(id, yield* sourceOf(tenantId), at)
  yield* putMessages([{ endpoint_id: endpointId, event_id: id, type: testType, position: "0", body }], new Date(at))
  return yield* messageById(endpointId, id)
})

/** Sends one again, whatever became of it before; one that waits anyway goes on waiting. */
export const resend = Effect.fn("webhooks.resend")(function* (endpointId: string, id: string) {
  yield* sendable(endpointId)
  yield* messageById(endpointId, id)
  yield* askAgain(endpointId, [id], null)
  return yield* messageById(endpointId, id)
})

interface RecoveryRow {
  readonly id: string
  readonly since: Date
  readonly complete: boolean
  readonly createdAt: Date
}

/** How far a recovery is: of those asked for again so far, how many arrived, failed again, or are on their way. */
export const recoveryOf = Effect.fnUntraced(function* (endpointId: string, id: string) {
  yield* endpointOf(endpointId, "webhook.read")
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<RecoveryRow>`
    select id, since, complete, created_at as "createdAt" from mahalla.webhook_recovery
    where tenant_id = ${tenantId} and id = ${id} and endpoint_id = ${endpointId}`
  if (row === undefined) return yield* new NotFound({ what: "recovery", id })
  const counted = yield* sql<{ state: MessageRow["state"]; amount: number }>`
    select state, count(*)::int as amount from mahalla.webhook_message
    where tenant_id = ${tenantId} and recovery_id = ${id} group by state`
  const of = (state: MessageRow["state"]) => counted.find((one) => one.state === state)?.amount ?? 0
  return { ...row, delivered: of("delivered"), failed: of("failed"), waiting: of("waiting") }
})

/** Asks again for everything of an endpoint that failed since a moment; a job goes through it. */
export const recover = Effect.fn("webhooks.recover")(function* (endpointId: string, since: Date) {
  yield* sendable(endpointId)
  const { sql, tenantId } = yield* TenantTx
  const id = yield* newId
  yield* sql`
    insert into mahalla.webhook_recovery (tenant_id, id, endpoint_id, since, created_at)
    values (${tenantId}, ${id}, ${endpointId}, ${since}, ${new Date(yield* Clock.currentTimeMillis)})`
  yield* enqueue([{ topic: "webhooks.recover", body: { recoveryId: id } }])
  return yield* recoveryOf(endpointId, id)
})

/** Messages asked for again in one transaction. */
const batch = 1_000

/** The next of them after an event's id; undefined when there are no more. */
const recoverNext = Effect.fnUntraced(function* (recoveryId: string, after: string | null) {
  const { sql, tenantId } = yield* TenantTx
  const [recovery] = yield* sql<{ endpointId: string; since: Date; at: Date }>`
    select endpoint_id as "endpointId", since, created_at as at from mahalla.webhook_recovery
    where tenant_id = ${tenantId} and id = ${recoveryId} and not complete`
  if (recovery === undefined) return undefined
  const { at, endpointId, since } = recovery
  // What has failed after it was asked for is not asked for by this.
  const rows = yield* sql<{ id: string }>`
    select event_id as id from mahalla.webhook_message
    where tenant_id = ${tenantId} and endpoint_id = ${endpointId} and state = 'failed' and settled_at >= ${since} and settled_at <= ${at}
      and (${after}::uuid is null or event_id > ${after}::uuid)
    order by event_id limit ${batch}`
  yield* askAgain(
    endpointId,
    rows.map(({ id }) => id),
    recoveryId
  )
  if (rows.length === batch) return rows.at(-1)!.id
  yield* sql`update mahalla.webhook_recovery set complete = true where tenant_id = ${tenantId} and id = ${recoveryId}`
  return undefined
})

export const recoverJob = defineJob({
  topic: "webhooks.recover",
  payload: Schema.Struct({ recoveryId: Schema.String }),
  run: ({ recoveryId }, { tenantId }) =>
    Effect.gen(function* () {
      let after: string | null | undefined = null
      while (after !== undefined) after = yield* withTenant(tenantId)(recoverNext(recoveryId, after))
    })
})

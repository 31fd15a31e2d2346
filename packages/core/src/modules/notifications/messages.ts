/** Messages as people look them up: staff everybody's, anybody their own. */
import * as Effect from "effect/Effect"
import { NotFound } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { may } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"

export interface ListedMessage {
  readonly id: string
  readonly principalId: string
  readonly source: string
  readonly eventId: string
  readonly caseId: string | null
  readonly channel: string
  readonly category: string
  readonly urgency: string
  readonly language: string
  readonly subject: string | null
  readonly text: string
  readonly state: string
  readonly detail: string | null
  readonly attempts: number
  readonly parts: number | null
  readonly cost: string | null
  readonly currency: string | null
  readonly createdAt: Date
  readonly changedAt: Date
}

export interface MessageFilter {
  readonly principal?: string | undefined
  readonly state?: string | undefined
  readonly channel?: string | undefined
  readonly category?: string | undefined
  readonly broadcast?: string | undefined
  readonly case?: string | undefined
}

const columns = `id, principal_id as "principalId", source, event_id as "eventId", case_id as "caseId", channel, category, urgency, language, subject,
  text, state, detail, attempts, parts, cost::text as cost, currency, created_at as "createdAt", changed_at as "changedAt"`

/** The newest first. Indexes: message_of, the primary key, message_open. */
export const listMessages = Effect.fn("notifications.listMessages")(function* (
  filter: MessageFilter,
  cursor: string | null,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const where = [
    sql`tenant_id = ${tenantId}`,
    ...(cursor === null ? [] : [sql`id < ${cursor}`]),
    ...(filter.principal === undefined ? [] : [sql`principal_id = ${filter.principal}`]),
    ...(filter.state === undefined ? [] : [sql`state = ${filter.state}`]),
    ...(filter.channel === undefined ? [] : [sql`channel = ${filter.channel}`]),
    ...(filter.category === undefined ? [] : [sql`category = ${filter.category}`]),
    ...(filter.broadcast === undefined ? [] : [sql`event_id = ${filter.broadcast}`]),
    ...(filter.case === undefined ? [] : [sql`case_id = ${filter.case}`])
  ]
  return yield* sql<ListedMessage>`
    select ${sql.literal(columns)} from mahalla.message where ${sql.and(where)} order by id desc limit ${limit}`
})

export interface Attempt {
  readonly attempt: number
  readonly state: string
  readonly code: string | null
  readonly detail: string | null
  readonly beganAt: Date
  readonly endedAt: Date | null
}

/** One message with its attempts, or `NotFound`; needs `message.read`, or to be who it was for. */
export const getMessage = Effect.fn("notifications.getMessage")(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [found] = yield* sql<ListedMessage>`
    select ${sql.literal(columns)} from mahalla.message where tenant_id = ${tenantId} and id = ${id}`
  const actor = yield* Actor
  const all = yield* may("message.read", { territoryPath: [] })
  if (found === undefined || (!all.allowed && (actor.id === null || found.principalId !== actor.id)))
    return yield* new NotFound({ what: "message", id })
  const attempts = yield* sql<Attempt>`
    select attempt, state, code, detail, began_at as "beganAt", ended_at as "endedAt" from mahalla.message_attempt
    where tenant_id = ${tenantId} and message_id = ${id} order by attempt`
  return { ...found, tries: attempts }
})

/**
 * Everything by which somebody of the platform reaches across cities: the whole list. Each operation leaves a line in the platform's own log
 * and, where it touches a city, an event in that city's. Nothing else crosses: a platform's token opens no other door, and no other token
 * opens these.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PlatformTx, inTransactionOf } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { newId } from "../ids.ts"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"

export const platformOperations = {
  "admin.created": "somebody becomes a super-admin; on the machine itself only",
  "admin.signed-in": "a super-admin signs in by a one-time link",
  "admin.factor-added": "they set an authenticator app up",
  "admin.factor-passed": "they show a code of it",
  "admin.factor-refused": "the code they show is wrong",
  "admin.factor-reset": "it is taken away, with all sign-ins; on the machine itself only",
  "admin.listed": "reads the list of super-admins",
  "admin.signed-out": "all sign-ins and accesses of a super-admin are ended, for a reason",
  "admin.blocked": "a super-admin is shut out, for a reason, and all they hold is ended",
  "admin.unblocked": "lets them in again; on the machine itself only",
  "tenant.listed": "reads the list of cities: names, addresses, whether they are open",
  "tenant.created": "founds a city",
  "tenant.suspended": "closes a city's doors",
  "tenant.resumed": "opens them again",
  "tenant.figures-read": "reads every city's counts: no names, no texts, no places",
  "access.opened": "takes the role super-admin in one city, for a reason, until a moment",
  "access.renewed": "takes another access token for an access that is open",
  "access.closed": "ends such an access early",
  "log.read": "reads the platform's log"
} as const
export type PlatformOperation = keyof typeof platformOperations

/** Who acts for the platform. Null id: whoever works on the machine itself. */
export interface PlatformPerson {
  readonly id: string | null
  readonly name: string
  /** Their sign-in; absent on the machine. */
  readonly sessionId?: string
}

export class PlatformActor extends Context.Service<PlatformActor, PlatformPerson>()("@mahalla/kernel/PlatformActor") {}

/** In the log of the city that was touched, so that its own auditors see it. */
export const PlatformActed = defineEvent({
  id: "platform.acted",
  payload: Schema.Struct({
    operation: Schema.String,
    adminId: Schema.NullOr(Schema.String),
    reason: Schema.optionalKey(Schema.String),
    /** The principal that an access acts as, and when it ends. */
    principalId: Schema.optionalKey(Schema.String),
    until: Schema.optionalKey(Schema.String)
  }),
  // Written by people, who may name people.
  personal: ["reason"]
})

export interface Touch {
  readonly tenantId?: string
  readonly reason?: string
  readonly principalId?: string
  readonly until?: string
}

/** Writes an operation down, in the transaction in which it happens. */
export const record = Effect.fnUntraced(function* (operation: PlatformOperation, { tenantId, ...detail }: Touch = {}) {
  const { sql } = yield* PlatformTx
  const { id: adminId } = yield* PlatformActor
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.platform_log (id, admin_id, operation, city, detail, happened_at)
    values (${yield* newId}, ${adminId}, ${operation}, ${tenantId ?? null}, ${JSON.stringify(detail)}::text::jsonb, ${now})`
  if (tenantId === undefined) return
  yield* inTransactionOf(tenantId, sql, appendEvent(PlatformActed, { operation, adminId, ...detail }))
})

export interface PlatformLogEntry {
  readonly position: number
  readonly operation: string
  readonly adminId: string | null
  readonly tenantId: string | null
  readonly detail: Readonly<Record<string, unknown>>
  readonly happenedAt: string
}

/** The platform's log, newest first. */
export const readPlatformLog = Effect.fn("readPlatformLog")(function* (page: {
  readonly before?: number | undefined
  readonly limit?: number | undefined
}) {
  const { sql } = yield* PlatformTx
  const limit = page.limit ?? 50
  const rows = yield* sql<{
    position: bigint
    operation: string
    admin_id: string | null
    city: string | null
    detail: Record<string, unknown>
    happened_at: Date
  }>`
    select position, operation, admin_id, city, detail, happened_at from mahalla.platform_log
    where ${page.before ?? null}::bigint is null or position < ${page.before ?? null}::bigint
    order by position desc limit ${limit + 1}`
  yield* record("log.read")
  const items = rows.slice(0, limit).map((row): PlatformLogEntry => ({
    position: Number(row.position),
    operation: row.operation,
    adminId: row.admin_id,
    tenantId: row.city,
    detail: row.detail,
    happenedAt: row.happened_at.toISOString()
  }))
  return { items, ...(rows.length > limit ? { cursor: String(items.at(-1)!.position) } : {}) }
})

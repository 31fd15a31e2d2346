/** Broadcasts: one text to everybody in a territory. Written, estimated, started by somebody who has seen the estimate, and stopped by anybody who may. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type FieldIssue, InvalidInput, NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { enqueue } from "../../kernel/jobs/enqueue.ts"
import { demand, demandEverywhere } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { cityFacts } from "./city.ts"
import { BroadcastChanged, type ChannelKind, type TemplateTexts } from "./model.ts"
import { demandCityLanguage, isTemplate, mistakesOf, sameWords, wordsOfTemplate } from "./templates.ts"
import { cityVariables } from "./texts.ts"

export interface BroadcastFilters {
  /** BCP 47; a person's own or its main language. Default: all. */
  readonly languages?: ReadonlyArray<string>
  /** Only holders of a role. */
  readonly role?: string
  /** Only whoever has chosen channels for the category. */
  readonly optedIn?: boolean
}

export interface GivenBroadcast {
  readonly territoryId?: string | null | undefined
  readonly filters?: BroadcastFilters | undefined
  readonly category: string
  readonly urgency: "urgent" | "normal"
  readonly texts?: TemplateTexts | undefined
  readonly template?: string | undefined
  readonly channels?: ReadonlyArray<ChannelKind> | undefined
  readonly expiresAt?: Date | undefined
}

export interface Broadcast {
  readonly id: string
  readonly state: "draft" | "approval" | "running" | "paused" | "done" | "cancelled"
  readonly territoryId: string | null
  readonly filters: BroadcastFilters
  readonly category: string
  readonly urgency: "urgent" | "normal"
  readonly texts: TemplateTexts | null
  readonly template: string | null
  readonly channels: ReadonlyArray<ChannelKind> | null
  readonly expiresAt: Date | null
  readonly reached: string | null
  readonly resolved: boolean
  readonly seen: number
  readonly queued: number
  readonly unreachable: number
  readonly recipients: number | null
  readonly createdBy: string
  readonly startedBy: string | null
  readonly approvedBy: string | null
  readonly version: number
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly endedAt: Date | null
}

const columns = `id, state, territory_id as "territoryId", filters, category, urgency, texts, template, channels, expires_at as "expiresAt", reached,
  resolved, seen::float8 as seen, queued::float8 as queued, unreachable::float8 as unreachable, recipients::float8 as recipients,
  created_by as "createdBy", started_by as "startedBy", approved_by as "approvedBy", version, created_at as "createdAt",
  started_at as "startedAt", ended_at as "endedAt"`

const path = Effect.fnUntraced(function* (territoryId: string | null) {
  if (territoryId === null) return []
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ path: ReadonlyArray<string> }>`
    select path from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
  return rows[0]?.path ?? (yield* new NotFound({ what: "territory", id: territoryId }))
})

/** A broadcast to a district needs the right there; one to everybody needs it everywhere. */
const demandFor = (permission: string, territoryId: string | null) =>
  Effect.flatMap(path(territoryId), (territoryPath) => demand(permission, { territoryPath }))

/** Reads one without asking for rights; `lock` keeps it for this transaction. */
export const loadBroadcast = Effect.fnUntraced(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Broadcast>`
    select ${sql.literal(columns)} from mahalla.broadcast
    where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  return rows[0]
})

const seenBroadcast = Effect.fnUntraced(function* (id: string, permission: string, lock = false) {
  const found = yield* loadBroadcast(id, lock)
  if (found === undefined) return yield* new NotFound({ what: "broadcast", id })
  yield* demandFor(permission, found.territoryId)
  return found
})

/** One, or `NotFound`; needs `broadcast.read` in its territory. */
export const getBroadcast = Effect.fn("notifications.getBroadcast")((id: string) => seenBroadcast(id, "broadcast.read"))

/** The newest first; needs `broadcast.read` everywhere. */
export const listBroadcasts = Effect.fn("notifications.listBroadcasts")(function* (
  cursor: string | null,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("broadcast.read")
  return yield* sql<Broadcast>`
    select ${sql.literal(columns)} from mahalla.broadcast
    where tenant_id = ${tenantId} and (${cursor}::uuid is null or id < ${cursor}::uuid) order by id desc limit ${limit}`
})

const check = Effect.fnUntraced(function* (given: GivenBroadcast) {
  const issues: Array<FieldIssue> = []
  const { expiresAt, template, texts } = given
  if ((texts === undefined) === (template === undefined))
    issues.push({ pointer: "/texts", detail: "Give either texts or the key of a template." })
  if (texts !== undefined) issues.push(...mistakesOf(texts, cityVariables))
  if (template !== undefined && !(yield* isTemplate(template)))
    issues.push({ pointer: "/template", detail: "There is no template of this key; write it first." })
  if (expiresAt !== undefined && expiresAt.getTime() <= (yield* Clock.currentTimeMillis))
    issues.push({ pointer: "/expiresAt", detail: "It must be later than now." })
  if (issues.length > 0) return yield* new InvalidInput({ issues })
  if (texts !== undefined) yield* demandCityLanguage(texts)
})

/** Writes a broadcast that nobody gets yet; needs `broadcast.create` in its territory. */
export const createBroadcast = Effect.fn("notifications.createBroadcast")(function* (given: GivenBroadcast) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const {
    category,
    channels = null,
    expiresAt = null,
    filters = {},
    template = null,
    territoryId = null,
    texts,
    urgency
  } = given
  yield* demandFor("broadcast.create", territoryId)
  yield* check(given)
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  const words = texts === undefined ? null : JSON.stringify(texts)
  yield* sql`
    insert into mahalla.broadcast (tenant_id, id, state, territory_id, filters, category, urgency, texts, template, channels, expires_at, created_by, created_at)
    values (${tenantId}, ${id}, 'draft', ${territoryId}, ${JSON.stringify(filters)}::text::jsonb, ${category}, ${urgency}, ${words}::text::jsonb,
      ${template}, ${channels}::text[], ${expiresAt}::timestamptz, ${actorId}, ${at})`
  yield* appendEvent(BroadcastChanged, { broadcastId: id, what: "created" }, { actorId })
  return (yield* loadBroadcast(id))!
})

/** What it says, in the city's words. */
export const wordsOfBroadcast = ({ template, texts }: Pick<Broadcast, "template" | "texts">) =>
  template === null ? Effect.succeed(sameWords(texts ?? {})) : wordsOfTemplate(template)

/** Moves one from a state to another; `Refused` from any other. */
const move = Effect.fnUntraced(function* (
  id: string,
  permission: string,
  from: ReadonlyArray<Broadcast["state"]>,
  ifVersion: number | undefined
) {
  const found = yield* seenBroadcast(id, permission, true)
  if (ifVersion !== undefined && ifVersion !== found.version)
    return yield* new VersionConflict({ what: "broadcast", expected: ifVersion, found: found.version })
  if (!from.includes(found.state))
    return yield* new Refused({
      code: "wrong-state",
      message: `The broadcast is ${found.state}; this is for ${from.join(" or ")} ones.`
    })
  return found
})

const runJob = (broadcastId: string, urgency: Broadcast["urgency"]) => ({
  topic: "notifications.broadcast",
  body: { broadcastId },
  priority: urgency === "urgent" ? 10 : 0,
  maxAttempts: 100
})

/**
 * Starts a broadcast; `recipients` is the estimate that the asker has seen, and one that has grown by more than a tenth must be looked at again.
 * Above the city's limit it waits for a second member of staff. Needs `broadcast.create`.
 */
export const startBroadcast = Effect.fn("notifications.startBroadcast")(function* (
  id: string,
  recipients: number,
  estimated: number,
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const { urgency } = yield* move(id, "broadcast.create", ["draft"], ifVersion)
  if (estimated > recipients * 1.1 || estimated < recipients * 0.9)
    return yield* new Refused({
      code: "estimate-changed",
      message: `It would reach ${estimated} people now, not ${recipients}. Look at the estimate and start it with that number.`
    })
  const { settings } = yield* cityFacts
  const waits = settings.approveAbove !== undefined && estimated > settings.approveAbove
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.broadcast set state = ${waits ? "approval" : "running"}, recipients = ${estimated}, started_by = ${actorId},
      started_at = ${waits ? null : at}::timestamptz, version = version + 1
    where tenant_id = ${tenantId} and id = ${id}`
  if (!waits) yield* enqueue([runJob(id, urgency)])
  yield* appendEvent(
    BroadcastChanged,
    { broadcastId: id, what: waits ? "asked" : "started", recipients: estimated },
    { actorId }
  )
  return (yield* loadBroadcast(id))!
})

/** The second pair of eyes; needs `broadcast.approve`, and to be somebody else than who wrote and who started it. */
export const approveBroadcast = Effect.fn("notifications.approveBroadcast")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const { createdBy, recipients, startedBy, urgency } = yield* move(id, "broadcast.approve", ["approval"], ifVersion)
  if (actorId === null || actorId === createdBy || actorId === startedBy)
    return yield* new Refused({ code: "four-eyes", message: "Somebody else must agree to a broadcast of this size." })
  yield* sql`
    update mahalla.broadcast set state = 'running', approved_by = ${actorId}, started_at = ${new Date(yield* Clock.currentTimeMillis)}, version = version + 1
    where tenant_id = ${tenantId} and id = ${id}`
  yield* enqueue([runJob(id, urgency)])
  yield* appendEvent(
    BroadcastChanged,
    { broadcastId: id, what: "started", ...(recipients === null ? {} : { recipients }) },
    { actorId }
  )
  return (yield* loadBroadcast(id))!
})

/** Hands nothing over any more until it goes on; needs `broadcast.create`. */
export const pauseBroadcast = Effect.fn("notifications.pauseBroadcast")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  yield* move(id, "broadcast.create", ["running"], ifVersion)
  yield* sql`update mahalla.broadcast set state = 'paused', version = version + 1 where tenant_id = ${tenantId} and id = ${id}`
  yield* appendEvent(BroadcastChanged, { broadcastId: id, what: "paused" }, { actorId: (yield* Actor).id })
  return (yield* loadBroadcast(id))!
})

/** Goes on with what is left; needs `broadcast.create`. */
export const resumeBroadcast = Effect.fn("notifications.resumeBroadcast")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  const { urgency } = yield* move(id, "broadcast.create", ["paused"], ifVersion)
  yield* sql`update mahalla.broadcast set state = 'running', version = version + 1 where tenant_id = ${tenantId} and id = ${id}`
  yield* enqueue([runJob(id, urgency), { topic: "notifications.resend", body: { broadcastId: id, after: null } }])
  yield* appendEvent(BroadcastChanged, { broadcastId: id, what: "resumed" }, { actorId: (yield* Actor).id })
  return (yield* loadBroadcast(id))!
})

/** Stops it for good: what is not handed over yet never will be. Needs `broadcast.create`. */
export const cancelBroadcast = Effect.fn("notifications.cancelBroadcast")(function* (id: string, ifVersion?: number) {
  const { sql, tenantId } = yield* TenantTx
  yield* move(id, "broadcast.create", ["draft", "approval", "running", "paused"], ifVersion)
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.broadcast set state = 'cancelled', ended_at = ${at}, version = version + 1 where tenant_id = ${tenantId} and id = ${id}`
  // Who sends looks at the broadcast first; this is for the lists, a part at a time.
  yield* enqueue([{ topic: "notifications.cancel", body: { broadcastId: id } }])
  yield* appendEvent(BroadcastChanged, { broadcastId: id, what: "cancelled" }, { actorId: (yield* Actor).id })
  return (yield* loadBroadcast(id))!
})

/** Messages of a broadcast by channel and state. */
export const resultsOf = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ channel: string; state: string; amount: number; parts: number; cost: string }>`
    select channel, state, count(*)::float8 as amount, coalesce(sum(parts), 0)::float8 as parts, coalesce(sum(cost), 0)::text as cost
    from mahalla.message where tenant_id = ${tenantId} and event_id = ${id} group by channel, state order by channel, state`
})

/**
 * Maintenance windows: alerts that begin in one are kept and listed as `suppressed`, and nobody is called. When the last window that covers
 * such an alert is over and its condition still holds, it opens as if it had just begun. What was open before a window stays open.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { newId } from "../../kernel/ids.ts"
import { territoriesOf } from "../../kernel/policy/decide.ts"
import { demand, demandEverywhere, rolesFor } from "../../kernel/policy/Policy.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { pathOf } from "../../kernel/tenancy/territories.ts"
import { tell } from "./tell.ts"
import { type Covered, type Window, windowOf, type WindowScope } from "./window.ts"

const about = { windowId: Schema.String, from: Schema.String, until: Schema.String }
export const WindowOpened = defineEvent({
  id: "maintenance-window.created",
  payload: Schema.Struct({
    ...about,
    reason: Schema.String,
    devices: Schema.Array(Schema.String),
    assets: Schema.Array(Schema.String),
    territories: Schema.Array(Schema.String),
    rules: Schema.Array(Schema.String)
  })
})
/** Its end was moved; `until` in the past or now: it is over. */
export const WindowChanged = defineEvent({ id: "maintenance-window.changed", payload: Schema.Struct(about) })

export interface StoredWindow extends Window {
  readonly reason: string
  readonly createdBy: string | null
  readonly version: number
}

const columns = `id, from_at as "from", until_at as until, reason, devices, assets, territories, rules, created_by as "createdBy", version`

/**
 * Windows that touch a span of time; whoever moves the end of one waits until this transaction is over, and is waited for. To be asked before
 * alerts are locked, as an end locks the window first. Index `maintenance_window_until`. Epoch milliseconds.
 */
export const windowsDuring = Effect.fnUntraced(function* (from: number, to: number) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<StoredWindow>`
    select ${sql.literal(columns)} from mahalla.maintenance_window
    where tenant_id = ${tenantId} and until_at > ${new Date(from)} and from_at <= ${new Date(to)} order by id for share`
})

/** Whoever manages windows in a district may silence what is named by its territories, and nothing else. */
const demandScope = Effect.fnUntraced(function* ({ assets, devices, territories }: WindowScope) {
  const paths = yield* Effect.forEach(territories, pathOf)
  if (assets.length > 0 || devices.length > 0 || territories.length === 0)
    return yield* demandEverywhere("maintenance-window.manage")
  for (const territoryPath of paths) yield* demand("maintenance-window.manage", { territoryPath })
})

/** A window of 31 days at most: a forgotten one must not silence a network for good. */
const longest = 31 * 86_400_000

const checkSpan = (from: Date, until: Date) => {
  const span = until.getTime() - from.getTime()
  if (span > 0 && span <= longest) return Effect.void
  const detail = span > 0 ? "A window lasts 31 days at most." : "It must end after it begins."
  return Effect.fail(new InvalidInput({ issues: [{ pointer: "/until", detail }] }))
}

export interface NewWindow extends WindowScope {
  readonly from: Date
  readonly until: Date
  readonly reason: string
}

/** Makes a window; needs `maintenance-window.manage` for what it covers. */
export const createWindow = Effect.fn("control-room.createWindow")(function* (given: NewWindow) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const { assets, devices, from, reason, rules, territories, until } = given
  if (assets.length + devices.length + rules.length + territories.length === 0)
    return yield* new InvalidInput({
      issues: [{ pointer: "", detail: "Name devices, assets, territories or rules that the window is about." }]
    })
  yield* checkSpan(from, until)
  yield* demandScope(given)
  const now = new Date(yield* Clock.currentTimeMillis)
  const id = yield* newId
  yield* sql`
    insert into mahalla.maintenance_window
      (tenant_id, id, from_at, until_at, reason, devices, assets, territories, rules, created_by, created_at)
    values (${tenantId}, ${id}, ${from}, ${until}, ${reason}, ${devices}::uuid[], ${assets}::uuid[], ${territories}::uuid[],
            ${rules}::text[], ${actor.id}, ${now})`
  yield* appendEvent(
    WindowOpened,
    { windowId: id, from: from.toISOString(), until: until.toISOString(), reason, devices, assets, territories, rules },
    { actorId: actor.id }
  )
  return { ...given, id, createdBy: actor.id, version: 1 } satisfies StoredWindow
})

/** Windows that the actor may see: in a district those that name territories there, and nothing else. `Forbidden` who may see none. */
const inSight = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const seen = territoriesOf(yield* rolesFor(actor), actor, "maintenance-window.read", yield* Clock.currentTimeMillis)
  if (seen === "all") return sql`true`
  if (seen.length === 0) yield* demand("maintenance-window.read")
  return sql`
    w.devices = '{}' and w.assets = '{}' and w.territories <> '{}' and not exists (
      select from unnest(w.territories) as named (id)
      where not exists (select from mahalla.territory t where t.tenant_id = ${tenantId} and t.id = named.id and t.path && ${seen}::uuid[]))`
})

/** One window, or `NotFound`; needs `maintenance-window.read` for what it covers. */
export const getWindow = Effect.fn("control-room.getWindow")(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<StoredWindow>`
    select ${sql.literal(columns)} from mahalla.maintenance_window w
    where tenant_id = ${tenantId} and id = ${id} and ${yield* inSight} ${sql.literal(lock ? "for update" : "")}`
  return row ?? (yield* new NotFound({ what: "maintenance window", id }))
})

/** Windows that the actor may see, the newest first; `active`: those that hold now or later. */
export const listWindows = Effect.fn("control-room.listWindows")(function* (page: {
  readonly active: boolean
  readonly cursor?: string | undefined
  readonly limit?: number | undefined
}) {
  const { sql, tenantId } = yield* TenantTx
  const limit = page.limit ?? 50
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<StoredWindow>`
    select ${sql.literal(columns)} from mahalla.maintenance_window w
    where tenant_id = ${tenantId} and ${yield* inSight} and (${page.cursor ?? null}::uuid is null or id < ${page.cursor ?? null}::uuid)
      and (${!page.active} or until_at > ${now})
    order by id desc limit ${limit + 1}`
  const items = rows.slice(0, limit)
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
})

/** Moves a window's end: to now, where it is in the past. A window that is over stays over. */
export const moveWindowEnd = Effect.fn("control-room.moveWindowEnd")(function* (
  id: string,
  end: Date | "now",
  ifVersion?: number
) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const window = yield* getWindow(id, true)
  yield* demandScope(window)
  if (ifVersion !== undefined && ifVersion !== window.version)
    return yield* new VersionConflict({ what: "maintenance window", expected: ifVersion, found: window.version })
  const now = yield* Clock.currentTimeMillis
  if (window.until.getTime() <= now)
    return yield* new Refused({ code: "window-over", message: "The maintenance window is over. Make another one." })
  // One that is called off before it began ends as it begins; the table knows no window without a length.
  const earliest = Math.max(now, window.from.getTime() + 1)
  const until = new Date(end === "now" ? earliest : Math.max(earliest, end.getTime()))
  yield* checkSpan(window.from, until)
  const version = window.version + 1
  yield* sql`
    update mahalla.maintenance_window set until_at = ${until}, version = ${version} where tenant_id = ${tenantId} and id = ${id}`
  // Those it holds are looked at in the next turn.
  yield* sql`
    update mahalla.alert set suppressed_until = ${until}
    where tenant_id = ${tenantId} and window_id = ${id} and suppressed_until is not null`
  yield* appendEvent(
    WindowChanged,
    { windowId: id, from: window.from.toISOString(), until: until.toISOString() },
    { actorId: actor.id }
  )
  return { ...window, until, version } satisfies StoredWindow
})

/** A suppressed alert whose window is over: another window may hold it still, else it opens and those are called whom it concerns. */
const release = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const windows = yield* windowsDuring(now, now)
  const alert = yield* loadCase(caseId, { lock: true })
  const [row] = yield* sql<Covered>`
    select rule, originator, devices, assets, territories from mahalla.alert
    where tenant_id = ${tenantId} and case_id = ${caseId} and cleared_at is null and suppressed_until <= ${new Date(now)}`
  if (row === undefined || alert.state !== "suppressed") return
  const { data, territoryPath } = alert
  const own = data["assetId"] as string | undefined
  const covered = {
    ...row,
    assets: own === undefined ? row.assets : [own, ...row.assets],
    territories: [...territoryPath, ...row.territories]
  }
  const next = windowOf(windows, covered, now)
  yield* sql`
    update mahalla.alert set suppressed_until = ${next?.until ?? null}, window_id = coalesce(${next?.id ?? null}, window_id)
    where tenant_id = ${tenantId} and case_id = ${caseId}`
  if (next === undefined) yield* tell([yield* transitionCase({ caseId, transition: "unsuppress" })])
})

/** One turn over all tenants: the 500 that have waited longest. Index `alert_suppressed`. */
export const releaseSuppressed = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  const due = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; caseId: string }>`
        select tenant_id as "tenantId", case_id as "caseId" from mahalla.alert
        where suppressed_until <= ${now} order by suppressed_until limit 500`
    )
  )
  for (const { caseId, tenantId } of due) {
    yield* withTenant(tenantId)(Effect.provideService(release(caseId), Actor, system(tenantId))).pipe(
      Effect.catchCause((cause) => Effect.logError(`Alert ${caseId} stays suppressed and is tried again`, cause))
    )
  }
})

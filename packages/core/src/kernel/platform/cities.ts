/** What the platform may do with cities from outside: see `operations.ts` for the whole list. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { inTransactionOf, PlatformTx } from "../db/Database.ts"
import { newId } from "../ids.ts"
import { sealName } from "../personal/people.ts"
import { issue } from "../policy/giving.ts"
import { superAdminRole } from "../policy/roles.ts"
import { forgetTenants } from "../tenancy/resolve.ts"
import { createTenant, type NewTenant } from "../tenancy/tenants.ts"
import { PlatformActor, record } from "./operations.ts"
import { demandInForce } from "./sessions.ts"

export interface CityLine {
  readonly tenantId: string
  readonly slug: string
  readonly name: string
  readonly hosts: ReadonlyArray<string>
  readonly createdAt: string
  /** Null while it is open. */
  readonly suspendedAt: string | null
  readonly suspendedBecause: string | null
}

interface CityRow {
  readonly tenant_id: string
  readonly slug: string
  readonly name: string
  readonly hosts: ReadonlyArray<string>
  readonly created_at: Date
  readonly suspended_at: Date | null
  readonly suspended_because: string | null
}

const lineOf = (row: CityRow): CityLine => ({
  tenantId: row.tenant_id,
  slug: row.slug,
  name: row.name,
  hosts: row.hosts,
  createdAt: row.created_at.toISOString(),
  suspendedAt: row.suspended_at?.toISOString() ?? null,
  suspendedBecause: row.suspended_because
})

export const listCities = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  const rows = yield* sql<CityRow>`
    select tenant_id, slug, name, hosts, created_at, suspended_at, suspended_because from mahalla.tenant order by slug`
  yield* record("tenant.listed")
  return rows.map(lineOf)
})

/** Locked, but not against rows that refer to it: a city's first keys are made on another connection while the platform acts on it. */
const cityBySlug = Effect.fnUntraced(function* (slug: string) {
  const { sql } = yield* PlatformTx
  const [row] = yield* sql<CityRow>`
    select tenant_id, slug, name, hosts, created_at, suspended_at, suspended_because from mahalla.tenant
    where slug = ${slug} for no key update`
  return row ?? (yield* new NotFound({ what: "tenant", id: slug }))
})

/** Founds a city; the transaction is the caller's. */
export const foundCity = Effect.fn("foundCity")(function* (tenant: NewTenant) {
  const made = yield* createTenant(tenant)
  yield* record("tenant.created", { tenantId: made.tenantId })
  return lineOf(yield* cityBySlug(made.slug))
})

/** Closes a city's doors with the next request in every server, or opens them. What was begun goes on: jobs, deadlines, the log. */
export const setSuspended = Effect.fn("setSuspended")(function* (slug: string, suspended: boolean, reason: string) {
  const { sql } = yield* PlatformTx
  const city = yield* cityBySlug(slug)
  const since = suspended ? (city.suspended_at ?? new Date(yield* Clock.currentTimeMillis)) : null
  yield* sql`
    update mahalla.tenant set suspended_at = ${since}, suspended_because = ${suspended ? reason : null}
    where tenant_id = ${city.tenant_id}`
  yield* record(suspended ? "tenant.suspended" : "tenant.resumed", { tenantId: city.tenant_id, reason })
  yield* sql.afterCommit(forgetTenants)
  return lineOf(yield* cityBySlug(slug))
})

export interface CityFigures {
  readonly tenantId: string
  readonly slug: string
  readonly suspended: boolean
  readonly people: number
  readonly staff: number
  readonly cases: number
  readonly openCases: number
  readonly attachmentBytes: number
  /** In the order of events; `lastEventAt` null before the first. */
  readonly events: number
  readonly waitingJobs: number
  readonly deadJobs: number
}

/** Counts of every city: usage, and whether its work gets done. Each of them learns that it was looked at. */
export const readFigures = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  const rows = yield* sql<Record<string, string | boolean> & { tenantId: string; slug: string; suspended: boolean }>`
    select t.tenant_id as "tenantId", t.slug, t.suspended_at is not null as suspended,
      (select count(*) filter (where kind = 'person') from mahalla.principal p where p.tenant_id = t.tenant_id)::text as people,
      (select count(*) from mahalla.principal p where p.tenant_id = t.tenant_id and kind = 'staff')::text as staff,
      (select count(*) from mahalla.civic_case c where c.tenant_id = t.tenant_id)::text as cases,
      (select count(*) from mahalla.civic_case c where c.tenant_id = t.tenant_id and phase = 'open')::text as "openCases",
      (select coalesce(sum(size), 0) from mahalla.attachment a where a.tenant_id = t.tenant_id and state = 'stored')::text as "attachmentBytes",
      coalesce((select position from mahalla.event_head h where h.tenant_id = t.tenant_id), 0)::text as events,
      (select count(*) from mahalla.job j where j.tenant_id = t.tenant_id and state = 'ready')::text as "waitingJobs",
      (select count(*) from mahalla.job j where j.tenant_id = t.tenant_id and state = 'dead')::text as "deadJobs"
    from mahalla.tenant t order by t.slug`
  for (const { tenantId } of rows) yield* record("tenant.figures-read", { tenantId })
  return rows.map((row): CityFigures => {
    const count = (name: string) => Number(row[name])
    return {
      tenantId: row.tenantId,
      slug: row.slug,
      suspended: row.suspended,
      people: count("people"),
      staff: count("staff"),
      cases: count("cases"),
      openCases: count("openCases"),
      attachmentBytes: count("attachmentBytes"),
      events: count("events"),
      waitingJobs: count("waitingJobs"),
      deadJobs: count("deadJobs")
    }
  })
})

/** Hours that an access to a city may last at most. */
export const longestAccess = 24

/**
 * Breaks the glass: somebody of the platform becomes a member of one city's staff with the role super-admin, for a reason and until a moment.
 * A principal for each access, so that all that was done with it can be told apart; the city sees it among its staff and may revoke it.
 */
export const openAccess = Effect.fn("openAccess")(function* (slug: string, reason: string, until: string) {
  const { sql } = yield* PlatformTx
  const { name } = yield* PlatformActor
  const now = yield* Clock.currentTimeMillis
  const end = new Date(until)
  if (end.getTime() <= now || end.getTime() > now + longestAccess * 3_600_000)
    return yield* issue("/until", `An access ends in the future, and within ${longestAccess} hours.`)
  yield* demandInForce
  const { tenant_id: tenantId } = yield* cityBySlug(slug)
  const id = yield* newId
  const sealed = yield* inTransactionOf(tenantId, sql, sealName(id, `Platform: ${name}`))
  yield* sql`
    insert into mahalla.principal (tenant_id, id, kind, name_sealed, created_at)
    values (${tenantId}, ${id}, 'staff', ${sealed}, ${new Date(now)})`
  yield* sql`
    insert into mahalla.role_grant (tenant_id, id, principal_id, role, granted_at, until)
    values (${tenantId}, ${yield* newId}, ${id}, ${superAdminRole}, ${new Date(now)}, ${end})`
  yield* record("access.opened", { tenantId, reason, principalId: id, until: end.toISOString() })
  return { tenantId, principalId: id, until: end.toISOString() }
})

const openAccessOf = Effect.fnUntraced(function* (slug: string, principalId: string) {
  const { sql } = yield* PlatformTx
  const { id } = yield* PlatformActor
  yield* demandInForce
  const { tenant_id: tenantId } = yield* cityBySlug(slug)
  // Everybody's own: who opened it says the log.
  const [row] = yield* sql<{ until: Date }>`
    select g.until from mahalla.role_grant g
    where g.tenant_id = ${tenantId} and g.principal_id = ${principalId} and g.role = ${superAdminRole}
      and g.until > ${new Date(yield* Clock.currentTimeMillis)}
      and exists (select from mahalla.platform_log where operation = 'access.opened' and admin_id = ${id} and city = ${tenantId}
                    and detail ->> 'principalId' = ${principalId})`
  return row === undefined
    ? yield* new NotFound({ what: "access", id: principalId })
    : { tenantId, principalId, until: row.until.toISOString() }
})

/** An access that is still open, for another token: tokens live shorter than accesses. */
export const renewAccess = Effect.fn("renewAccess")(function* (slug: string, principalId: string) {
  const access = yield* openAccessOf(slug, principalId)
  yield* record("access.renewed", access)
  return access
})

const endAccess = Effect.fnUntraced(function* (tenantId: string, principalId: string) {
  const { sql } = yield* PlatformTx
  const ended = yield* sql`
    delete from mahalla.role_grant where tenant_id = ${tenantId} and principal_id = ${principalId} and role = ${superAdminRole} returning id`
  if (ended.length === 0) return
  yield* sql`update mahalla.principal set status = 'blocked' where tenant_id = ${tenantId} and id = ${principalId}`
  yield* record("access.closed", { tenantId, principalId })
})

/** Ends an access before its time. */
export const closeAccess = Effect.fn("closeAccess")(function* (slug: string, principalId: string) {
  const { tenantId } = yield* openAccessOf(slug, principalId)
  yield* endAccess(tenantId, principalId)
})

/** Ends every access that somebody has open, in all cities. */
export const endAccessesOf = Effect.fnUntraced(function* (adminId: string) {
  const { sql } = yield* PlatformTx
  const open = yield* sql<{ tenantId: string; principalId: string }>`
    select city as "tenantId", detail ->> 'principalId' as "principalId" from mahalla.platform_log
    where admin_id = ${adminId} and operation = 'access.opened' and (detail ->> 'until')::timestamptz > ${new Date(yield* Clock.currentTimeMillis)}
    order by position`
  for (const { principalId, tenantId } of open) yield* endAccess(tenantId, principalId)
})

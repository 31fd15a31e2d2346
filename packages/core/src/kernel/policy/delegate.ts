/**
 * Handing on, for a while, what one holds. A delegation lives on the role of its giver: it is worth nothing where they do not have that role
 * themselves, and what was handed on cannot be handed on again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { newId } from "../ids.ts"
import { lists } from "./decide.ts"
import { DelegationEnded, RoleDelegated } from "./events.ts"
import { givenEnd, givenPath, issue } from "./giving.ts"
import { demand, Forbidden, may } from "./Policy.ts"
import { Actor } from "./Principal.ts"
import { currentRoles, lockRoles, RoleBook, superAdminRole } from "./roles.ts"

export interface DelegationRequest {
  /** Who gets it. */
  readonly principalId: string
  readonly role: string
  /** A part of the role's permissions. Default: all of them. */
  readonly permissions?: ReadonlyArray<string> | null
  readonly territoryId?: string | null
  /** RFC 3339. */
  readonly until: string
}

interface DelegationRow {
  readonly id: string
  readonly giver_id: string
  readonly principal_id: string
  readonly role: string
  readonly permissions: ReadonlyArray<string> | null
  readonly territory_id: string | null
  readonly given_at: Date
  readonly until: Date
  readonly ended_because: "revoked" | "role-lost" | null
  readonly backed: boolean
}

export interface Delegation {
  readonly id: string
  readonly giverId: string
  readonly principalId: string
  readonly role: string
  readonly permissions: ReadonlyArray<string> | null
  readonly territoryId: string | null
  readonly givenAt: string
  readonly until: string
  /** `ended`: its time is over. `role-lost`: the giver does not have the role there any more. */
  readonly state: "active" | "ended" | "revoked" | "role-lost"
}

const viewOf = (row: DelegationRow, now: number): Delegation => ({
  id: row.id,
  giverId: row.giver_id,
  principalId: row.principal_id,
  role: row.role,
  permissions: row.permissions,
  territoryId: row.territory_id,
  givenAt: row.given_at.toISOString(),
  until: row.until.toISOString(),
  state: row.ended_because ?? (row.until.getTime() <= now ? "ended" : row.backed ? "active" : "role-lost")
})

const selected = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  return sql`
    select d.id, d.giver_id, d.principal_id, d.role, d.permissions, d.territory_id, d.given_at, d.until, d.ended_because,
      exists (
        select from mahalla.role_grant g join mahalla.principal p on p.tenant_id = g.tenant_id and p.id = g.principal_id
        where g.tenant_id = d.tenant_id and g.principal_id = d.giver_id and g.role = d.role and p.status = 'active'
          and (g.until is null or g.until > ${now}) and (g.territory_id is null or g.territory_id = any (place.path))
      ) as backed
    from mahalla.delegation d
    left join mahalla.territory place on place.tenant_id = d.tenant_id and place.id = d.territory_id`
})

/** Hands a role on, or a part of it. Only staff, only what they were given themselves, to another member of staff. */
export const delegateRole = Effect.fn("delegateRole")(function* (request: DelegationRequest) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const territoryId = request.territoryId ?? null
  const permissions = request.permissions ?? null
  yield* lockRoles
  const path = yield* givenPath(territoryId)
  const until = new Date((yield* givenEnd(request.until))!)
  const role = (yield* currentRoles).get(request.role)
  if (role === undefined || role.id === superAdminRole)
    return yield* issue("/role", "There is no such role to hand on; GET /v1/me lists yours.")
  const held =
    actor.id === null || actor.kind !== "staff"
      ? []
      : yield* sql<{ until: Date | null; path: boolean }>`
          select until, territory_id is null or territory_id = any (${path}::uuid[]) as path from mahalla.role_grant
          where tenant_id = ${tenantId} and principal_id = ${actor.id} and role = ${role.id}
            and (until is null or until > ${new Date(yield* Clock.currentTimeMillis)})`
  const here = held.filter((grant) => grant.path)
  if (actor.id === null || here.length === 0)
    return yield* new Forbidden({
      permission: role.id,
      because: held.length === 0 ? "no-permission" : "other-territory",
      message:
        held.length === 0
          ? `You were not given the role ${role.id} yourself, so you cannot hand it on.`
          : `You have the role ${role.id} in another territory; hand it on there or below.`
    })
  if (!here.some((grant) => grant.until === null || grant.until >= until))
    return yield* issue("/until", "You have this role for a shorter time yourself. Name an earlier end.")
  if (permissions !== null) {
    const book = yield* RoleBook
    const whole = book.expand(role.permissions)
    const foreign = permissions.findIndex(
      (entry) =>
        !book.knows(entry) ||
        !book.expand([entry]).every((one) => lists(whole, one.replace(/:own$/, ""), one.endsWith(":own")))
    )
    if (foreign >= 0)
      return yield* issue(`/permissions/${foreign}`, `The role ${role.id} does not contain ${permissions[foreign]}.`)
  }
  const receiver = yield* sql`
    select from mahalla.principal
    where tenant_id = ${tenantId} and id = ${request.principalId} and kind = 'staff' and status = 'active'`
  if (receiver.length === 0 || request.principalId === actor.id)
    return yield* issue("/principalId", "There is no such other member of staff; GET /v1/principals lists them.")
  const id = yield* newId
  const now = yield* Clock.currentTimeMillis
  yield* sql`
    insert into mahalla.delegation (tenant_id, id, giver_id, principal_id, role, permissions, territory_id, given_at, until)
    values (${tenantId}, ${id}, ${actor.id}, ${request.principalId}, ${role.id}, ${permissions}::text[], ${territoryId},
            ${new Date(now)}, ${until})`
  yield* appendEvent(
    RoleDelegated,
    {
      delegationId: id,
      giverId: actor.id,
      principalId: request.principalId,
      role: role.id,
      permissions,
      territoryId,
      until: until.toISOString()
    },
    { actorId: actor.id }
  )
  const rows = yield* sql<DelegationRow>`${yield* selected} where d.tenant_id = ${tenantId} and d.id = ${id}`
  return viewOf(rows[0]!, now)
})

const announceEnd = (
  row: Pick<DelegationRow, "id" | "giver_id" | "principal_id" | "role">,
  because: "revoked" | "role-lost"
) =>
  Effect.flatMap(Actor, (actor) =>
    appendEvent(
      DelegationEnded,
      { delegationId: row.id, giverId: row.giver_id, principalId: row.principal_id, role: row.role, because },
      { actorId: actor.id }
    )
  )

/** After somebody's grant of a role has changed: what they handed on of it without having it themselves is over for good. */
export const endUnbacked = Effect.fnUntraced(function* (giverId: string, role: string) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const now = new Date(yield* Clock.currentTimeMillis)
  const ended = yield* sql<DelegationRow>`
    update mahalla.delegation d set ended_at = ${now}, ended_by = ${actor.id}, ended_because = 'role-lost'
    where d.tenant_id = ${tenantId} and d.giver_id = ${giverId} and d.role = ${role} and d.ended_at is null and d.until > ${now}
      and not exists (
        select from mahalla.role_grant g
        left join mahalla.territory place on place.tenant_id = d.tenant_id and place.id = d.territory_id
        where g.tenant_id = d.tenant_id and g.principal_id = d.giver_id and g.role = d.role
          and (g.until is null or g.until > ${now}) and (g.territory_id is null or g.territory_id = any (place.path)))
    returning d.id, d.giver_id, d.principal_id, d.role`
  for (const row of ended) yield* announceEnd(row, "role-lost")
})

/** Ends a delegation: its giver, its receiver, or whoever may give roles there. */
export const revokeDelegation = Effect.fn("revokeDelegation")(function* (id: string) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  yield* lockRoles
  const now = yield* Clock.currentTimeMillis
  const [row] = yield* sql<DelegationRow>`${yield* selected} where d.tenant_id = ${tenantId} and d.id = ${id}`
  const own = row !== undefined && actor.id !== null && [row.giver_id, row.principal_id].includes(actor.id)
  if (row === undefined || (!own && !(yield* may("principal.read", { territoryPath: [] })).allowed))
    return yield* new NotFound({ what: "delegation", id })
  if (!own) yield* demand("role.grant", { territoryPath: yield* givenPath(row.territory_id) })
  // What is over stays as it ended.
  if (row.ended_because !== null || row.until.getTime() <= now) return
  yield* sql`
    update mahalla.delegation set ended_at = ${new Date(now)}, ended_by = ${actor.id}, ended_because = 'revoked'
    where tenant_id = ${tenantId} and id = ${id}`
  yield* announceEnd(row, "revoked")
})

export interface DelegationFilter {
  readonly giver?: string | undefined
  readonly receiver?: string | undefined
  /** Only those that have not ended. */
  readonly active?: boolean | undefined
}

/** Newest first. Those one has given or got oneself; all of them with `principal.read`. */
export const listDelegations = Effect.fn("listDelegations")(function* (
  filter: DelegationFilter,
  page: { readonly cursor?: string | undefined; readonly limit?: number | undefined }
) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const limit = page.limit ?? 50
  const now = yield* Clock.currentTimeMillis
  const where = [sql`d.tenant_id = ${tenantId}`]
  if (!(yield* may("principal.read", { territoryPath: [] })).allowed)
    where.push(sql`(d.giver_id = ${actor.id} or d.principal_id = ${actor.id})`)
  if (filter.giver !== undefined) where.push(sql`d.giver_id = ${filter.giver}`)
  if (filter.receiver !== undefined) where.push(sql`d.principal_id = ${filter.receiver}`)
  if (filter.active === true) where.push(sql`d.ended_at is null and d.until > ${new Date(now)}`)
  if (page.cursor !== undefined) where.push(sql`d.id < ${page.cursor}`)
  const rows =
    yield* sql<DelegationRow>`${yield* selected} where ${sql.and(where)} order by d.id desc limit ${limit + 1}`
  const items = rows.slice(0, limit).map((row) => viewOf(row, now))
  return { items, ...(rows.length > limit ? { cursor: items.at(-1)!.id } : {}) }
})

/** What is in force for these people. */
export const delegationsTo = Effect.fnUntraced(function* (principals: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const rows = yield* sql<DelegationRow>`
    ${yield* selected} where d.tenant_id = ${tenantId} and d.principal_id = any (${principals}::uuid[])
      and d.ended_at is null and d.until > ${new Date(now)} order by d.id`
  return rows.map((row) => viewOf(row, now)).filter(({ state }) => state === "active")
})

/** Giving and taking roles. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { NotFound } from "../cases/model.ts"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { newId } from "../ids.ts"
import { endUnbacked } from "./delegate.ts"
import { RoleGranted, RoleRevoked } from "./events.ts"
import { demandAdministrator, demandAllOf, demandGrantIn, givenEnd, issue } from "./giving.ts"
import { Actor } from "./Principal.ts"
import { administratorRole, currentRoles, lockRoles, superAdminRole } from "./roles.ts"

export interface GrantRow {
  readonly id: string
  readonly principal_id: string
  readonly role: string
  readonly territory_id: string | null
  readonly until: Date | null
}

export interface GrantRequest {
  readonly role: string
  readonly territoryId?: string | null
  /** RFC 3339. */
  readonly until?: string | null
}

/** Gives a role, or the same one another end. Needs `role.grant` there, and everything that the role contains. */
export const grantRole = Effect.fn("grantRole")(function* (principalId: string, request: GrantRequest) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const territoryId = request.territoryId ?? null
  yield* lockRoles
  const path = yield* demandGrantIn(territoryId)
  const role = (yield* currentRoles).get(request.role)
  if (role === undefined) return yield* issue("/role", "There is no such role; GET /v1/roles lists them.")
  if (role.id === superAdminRole) return yield* issue("/role", "Only the platform gives this role.")
  const until = yield* givenEnd(request.until)
  yield* demandAllOf(role.permissions, path, until)
  const known = yield* sql`select from mahalla.principal where tenant_id = ${tenantId} and id = ${principalId}`
  if (known.length === 0) return yield* new NotFound({ what: "principal", id: principalId })
  const rows = yield* sql<GrantRow>`
    insert into mahalla.role_grant (tenant_id, id, principal_id, role, territory_id, granted_by, granted_at, until)
    values (${tenantId}, ${yield* newId}, ${principalId}, ${role.id}, ${territoryId}, ${actor.id},
            ${new Date(yield* Clock.currentTimeMillis)}, ${until === null ? null : new Date(until)})
    on conflict (tenant_id, principal_id, role, territory_id) do update set until = excluded.until, granted_by = excluded.granted_by
    returning id, principal_id, role, territory_id, until`
  const row = rows[0]!
  if (role.id === administratorRole && until !== null) yield* demandAdministrator
  yield* endUnbacked(principalId, role.id)
  yield* appendEvent(
    RoleGranted,
    { principalId, role: role.id, territoryId, until: row.until?.toISOString() ?? null },
    { actorId: actor.id }
  )
  return row
})

/** Takes a role, and with it what was handed on of it. */
export const revokeRole = Effect.fn("revokeRole")(function* (principalId: string, grantId: string) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  yield* lockRoles
  const [given] = yield* sql<GrantRow>`
    select id, principal_id, role, territory_id, until from mahalla.role_grant
    where tenant_id = ${tenantId} and principal_id = ${principalId} and id = ${grantId}`
  const path = yield* demandGrantIn(given?.territory_id ?? null)
  if (given === undefined) return yield* new NotFound({ what: "grant", id: grantId })
  yield* demandAllOf((yield* currentRoles).get(given.role)?.permissions ?? [], path, "now")
  yield* sql`delete from mahalla.role_grant where tenant_id = ${tenantId} and id = ${grantId}`
  if (given.role === administratorRole && given.territory_id === null && given.until === null)
    yield* demandAdministrator
  yield* endUnbacked(principalId, given.role)
  yield* appendEvent(
    RoleRevoked,
    { principalId, role: given.role, territoryId: given.territory_id },
    { actorId: actor.id }
  )
})

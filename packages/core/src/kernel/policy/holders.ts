/** Who was given a right: for telling those whom something concerns. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { decide, type Permission } from "./decide.ts"
import type { RoleGrant } from "./Principal.ts"
import { currentRoles, RoleBook } from "./roles.ts"

/**
 * Ids of all active principals whose roles give a permission in a territory: its path, itself and its ancestors. Empty: in the whole
 * tenant. What everybody of a kind has, such as citizens' rights, counts for nobody.
 */
export const holdersOf = Effect.fnUntraced(function* (
  permission: Permission,
  territoryPath: ReadonlyArray<string> = []
) {
  const { sql, tenantId } = yield* TenantTx
  const { expand } = yield* RoleBook
  const roles = new Map(
    [...(yield* currentRoles)].map(([id, role]) => [id, { ...role, permissions: expand(role.permissions) }])
  )
  const now = yield* Clock.currentTimeMillis
  const granted = yield* sql<{ id: string; grants: ReadonlyArray<RoleGrant> }>`
    select p.id, jsonb_agg(jsonb_build_object('role', g.role, 'territoryId', g.territory_id,
      'until', (extract(epoch from g.until) * 1000)::bigint)) as grants
    from mahalla.principal p join mahalla.role_grant g on g.tenant_id = p.tenant_id and g.principal_id = p.id
    where p.tenant_id = ${tenantId} and p.status = 'active' group by p.id`
  return granted
    .filter(
      ({ grants, id }) =>
        decide(roles, {
          principal: { id, kind: "app", tenantId, grants },
          permission,
          tenantId,
          now,
          subject: { territoryPath }
        }).allowed
    )
    .map(({ id }) => id)
})

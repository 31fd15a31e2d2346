/** Reads who acts, as of now: their kind, what they hold, and the roles of their city; one round trip, for visitors too. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { Database } from "../db/Database.ts"
import { Unauthorized } from "../http/Authentication.ts"
import type { Role } from "./decide.ts"
import type { Principal, RoleGrant } from "./Principal.ts"
import { RoleBook } from "./roles.ts"

/** The platform has closed this city for the time being. */
export class Suspended extends Data.TaggedError("Suspended")<{ readonly message: string }> {}

interface Found {
  readonly suspended: boolean
  readonly kind: "person" | "staff" | "app" | "device" | "system" | null
  readonly status: "active" | "blocked" | "erased" | null
  readonly version: string | null
  /** Null: as this server knows them. */
  readonly roles: ReadonlyArray<Role> | null
  readonly grants: ReadonlyArray<RoleGrant>
  readonly delegations: ReadonlyArray<RoleGrant & { readonly permissions: ReadonlyArray<string> | null }>
}

/** `principalId` null: a visitor. Fails with `Unauthorized` when there is no such active principal, with `Suspended` in a closed city. */
export const loadPrincipal = Effect.fnUntraced(function* (tenantId: string, principalId: string | null) {
  const { app } = yield* Database
  const book = yield* RoleBook
  const known = book.known(tenantId)
  const rows = yield* app<{
    found: Found | null
  }>`select mahalla.actor_of(${tenantId}, ${principalId}, ${known.version}) as found`
  const found = rows[0]?.found
  if (found == null) return yield* new Unauthorized({ message: "This city is gone. Ask the operator." })
  if (found.suspended)
    return yield* new Suspended({ message: "This city is closed for the time being. Ask whoever runs the platform." })
  const { roles } = found.roles === null ? known : book.learn(tenantId, found.version, found.roles)
  if (principalId === null) return { id: null, kind: "anonymous", tenantId, grants: [], roles } satisfies Principal
  if (found.kind === null || found.status !== "active")
    return yield* new Unauthorized({ message: "This account is blocked or gone. Ask the operator." })
  const handed = found.delegations.map(({ permissions, ...grant }) =>
    permissions === null ? grant : { ...grant, permissions: book.expand(permissions) }
  )
  const principal: Principal = {
    id: principalId,
    kind: found.kind,
    tenantId,
    grants: handed.length === 0 ? found.grants : [...found.grants, ...handed],
    roles
  }
  return principal
})

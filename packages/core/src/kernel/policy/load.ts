/** Reads who acts, as of now: their kind, what they hold, and the roles of their city; one round trip at most, for visitors too. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Database } from "../db/Database.ts"
import { gathering } from "../db/gathering.ts"
import { Unauthorized } from "../http/Authentication.ts"
import { isId } from "../ids.ts"
import type { Role } from "./decide.ts"
import type { Principal, RoleGrant } from "./Principal.ts"
import { type KnownRoles, RoleBook } from "./roles.ts"

/** The platform has closed this city for the time being. */
export class Suspended extends Data.TaggedError("Suspended")<{ readonly message: string }> {}

/** What `mahalla.actor_of` answers. */
export interface Found {
  readonly suspended: boolean
  readonly kind: "person" | "staff" | "app" | "device" | "system" | null
  readonly status: "active" | "blocked" | "erased" | null
  readonly version: string | null
  /** Null: as this server knows them. */
  readonly roles: ReadonlyArray<Role> | null
  readonly grants: ReadonlyArray<RoleGrant>
  readonly delegations: ReadonlyArray<RoleGrant & { readonly permissions: ReadonlyArray<string> | null }>
}

interface Question {
  readonly tenant: string
  readonly principal: string | null
  readonly known: string | null
}

type Ask = (question: Question) => Effect.Effect<Found | null, SqlError>
const askers = new WeakMap<SqlClient, Ask>()

/** One per database: every request asks, so those that come at once ask together. */
const asker = (app: SqlClient): Ask => {
  const known = askers.get(app)
  if (known !== undefined) return known
  const made = gathering((asked: ReadonlyArray<Question>) =>
    Effect.map(
      app<{ found: Found | null }>`
        select found from mahalla.actors_of(${JSON.stringify(asked)}::text::jsonb)`,
      (rows) => rows.map(({ found }) => found)
    )
  )
  askers.set(app, made)
  return made
}

const gone = new Unauthorized({ message: "This account is blocked or gone. Ask the operator." })

/** From what was read, and what was known of the city's roles when it was asked; `principalId` null: a visitor. */
export const principalFrom = Effect.fnUntraced(function* (
  tenantId: string,
  principalId: string | null,
  found: Found | null,
  known: KnownRoles
) {
  const book = yield* RoleBook
  if (found === null) return yield* new Unauthorized({ message: "This city is gone. Ask the operator." })
  if (found.suspended)
    return yield* new Suspended({ message: "This city is closed for the time being. Ask whoever runs the platform." })
  // Not what is known by now: an older answer may have come in between.
  const { roles } = found.roles === null ? known : book.learn(tenantId, found.version, found.roles)
  if (principalId === null) return { id: null, kind: "anonymous", tenantId, grants: [], roles } satisfies Principal
  if (found.kind === null || found.status !== "active") return yield* gone
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

/** `principalId` null: a visitor. Fails with `Unauthorized` when there is no such active principal, with `Suspended` in a closed city. */
export const loadPrincipal = Effect.fnUntraced(function* (tenantId: string, principalId: string | null) {
  const { app } = yield* Database
  // One that PostgreSQL cannot read would fail the question of everybody who asks at the same moment.
  if (principalId !== null && !isId(principalId)) return yield* gone
  const known = (yield* RoleBook).known(tenantId)
  const found = yield* asker(app)({ tenant: tenantId, principal: principalId, known: known.version })
  return yield* principalFrom(tenantId, principalId, found, known)
})

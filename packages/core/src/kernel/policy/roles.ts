/**
 * The roles of each city: those of the deployment, with what the city has changed and added. A server keeps them in memory and learns with
 * every request, in the query that reads who asks, whether they are still the same: a change acts on the next request everywhere.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import type { Permission, Role, Roles } from "./decide.ts"
import { rolesOf } from "./presets.ts"

/** Holds everything, always: what keeps a city in somebody's hands. It cannot be changed. */
export const administratorRole = "municipality-admin"
/** Given by the platform alone, for a while, with a reason: see `platform.ts`. */
export const superAdminRole = "super-admin"
/** Roles that a city cannot change. */
export const fixedRoles: ReadonlyArray<string> = [administratorRole, superAdminRole]

export interface KnownRoles {
  readonly version: string | null
  readonly roles: Roles
}

export class RoleBook extends Context.Service<
  RoleBook,
  {
    /** As the deployment has them: presets, modules' and the configuration's, by id. */
    readonly presets: ReadonlyMap<string, Role>
    /** Every permission that a door asks for. */
    readonly permissions: ReadonlyArray<Permission>
    /** Whether an entry of a role means anything. */
    readonly knows: (entry: string) => boolean
    /** Entries with `*.verb` written out for the city's case types. */
    readonly expand: (permissions: ReadonlyArray<Permission>) => ReadonlyArray<Permission>
    /** What this server remembers of a city. */
    readonly known: (tenantId: string) => KnownRoles
    /** Puts a city's own roles over the deployment's, and remembers them. */
    readonly learn: (tenantId: string, version: string | null, own: ReadonlyArray<Role>) => KnownRoles
  }
>()("@mahalla/kernel/RoleBook") {}

/** Cities whose roles a server keeps; the one that was learnt first goes first. */
const capacity = 10_000

export const makeRoleBook = (options: {
  readonly presets: ReadonlyArray<Role>
  readonly caseTypes: ReadonlyArray<string>
  readonly permissions: ReadonlyArray<Permission>
  readonly knows: (entry: string) => boolean
}): RoleBook["Service"] => {
  const presets = new Map(options.presets.map((role) => [role.id, role]))
  const plain: KnownRoles = { version: null, roles: rolesOf(options.presets, options.caseTypes) }
  const cities = new Map<string, KnownRoles>()
  return {
    presets,
    permissions: options.permissions,
    knows: options.knows,
    expand: (permissions) =>
      rolesOf([{ id: "", title: "", permissions }], options.caseTypes).get("")?.permissions ?? [],
    known: (tenantId) => cities.get(tenantId) ?? plain,
    learn: (tenantId, version, own) => {
      const learnt: KnownRoles =
        own.length === 0
          ? { version, roles: plain.roles }
          : { version, roles: rolesOf([...options.presets, ...own], options.caseTypes) }
      cities.delete(tenantId)
      cities.set(tenantId, learnt)
      const first = cities.keys().next()
      if (cities.size > capacity && first.done !== true) cities.delete(first.value)
      return learnt
    }
  }
}

/** The roles of the transaction's city as they stand in the database, for whoever is about to change or give them. */
export const currentRoles = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const book = yield* RoleBook
  const own = yield* sql<Role & { readonly version: number }>`
    select id, title, permissions, version from mahalla.role where tenant_id = ${tenantId} order by id`
  return new Map(
    [...[...book.presets.values()].map((role) => ({ ...role, version: 0 })), ...own].map((role) => [
      role.id,
      { ...role, preset: book.presets.has(role.id) }
    ])
  )
})

/** One change of a city's roles, grants and delegations at a time: what is asked about them stays true until the commit. */
export const lockRoles = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.roles ' || ${tenantId}, 0))`
})

/** A city's own roles: made, changed and removed by whoever may, out of what they hold themselves. */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { InvalidInput, NotFound, Refused, VersionConflict } from "../cases/model.ts"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { newId } from "../ids.ts"
import type { Permission, Role } from "./decide.ts"
import { RoleChanged, RoleCreated, RoleRemoved } from "./events.ts"
import { demandAllOf, issue } from "./giving.ts"
import { demandEverywhere } from "./Policy.ts"
import { Actor } from "./Principal.ts"
import { currentRoles, fixedRoles, lockRoles, RoleBook } from "./roles.ts"

/** Somebody holds it. */
export class RoleInUse extends Data.TaggedError("RoleInUse")<{ readonly message: string }> {}

export interface StoredRole extends Role {
  /** Counts from 1 with every change; 0 while it is as the deployment has it. */
  readonly version: number
  /** The deployment has a role of this name: removing the city's own brings it back. */
  readonly preset: boolean
}

/** Presets first, as the deployment lists them. */
export const listRoles = Effect.andThen(
  demandEverywhere("role.read"),
  Effect.map(currentRoles, (roles): ReadonlyArray<StoredRole> => [...roles.values()])
)

export const getRole = Effect.fn("getRole")(function* (id: string) {
  yield* demandEverywhere("role.read")
  return (yield* currentRoles).get(id) ?? (yield* new NotFound({ what: "role", id }))
})

const demandKnown = Effect.fnUntraced(function* (permissions: ReadonlyArray<Permission>) {
  const { knows } = yield* RoleBook
  const issues = permissions.flatMap((permission, place) =>
    knows(permission)
      ? []
      : [
          {
            pointer: `/permissions/${place}`,
            detail: `No door of this city asks for ${permission}; GET /v1/permissions lists what there is.`
          }
        ]
  )
  if (issues.length > 0) return yield* new InvalidInput({ issues })
})

const demandChangeable = (id: string) =>
  fixedRoles.includes(id)
    ? Effect.fail(
        new Refused({ code: "role-fixed", message: `The role ${id} is the same everywhere and cannot be changed.` })
      )
    : Effect.void

/** With the commit, every server's next request sees them. */
const announceRoles = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into mahalla.role_set (tenant_id, version) values (${tenantId}, ${yield* newId})
    on conflict (tenant_id) do update set version = excluded.version`
})

/** What one list has and the other has not: that much is given, or taken. */
const difference = (one: ReadonlyArray<Permission>, other: ReadonlyArray<Permission>) => [
  ...one.filter((entry) => !other.includes(entry)),
  ...other.filter((entry) => !one.includes(entry))
]

/** Makes a role. Needs `role.manage` in the whole tenant and, for good, every permission that is put into it. */
export const createRole = Effect.fn("createRole")(function* (role: Role) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("role.manage")
  yield* lockRoles
  if ((yield* currentRoles).has(role.id))
    return yield* issue("/id", `There is a role ${role.id} already. Change that one, or choose another name.`)
  const permissions = [...new Set(role.permissions)]
  yield* demandKnown(role.permissions)
  yield* demandAllOf(permissions, [], null)
  yield* sql`
    insert into mahalla.role (tenant_id, id, title, permissions, version, updated_at)
    values (${tenantId}, ${role.id}, ${role.title}, ${permissions}::text[], 1, ${new Date(yield* Clock.currentTimeMillis)})`
  yield* announceRoles
  yield* appendEvent(RoleCreated, { role: role.id, title: role.title, permissions }, { actorId: actor.id })
  return { id: role.id, title: role.title, permissions, version: 1, preset: false } satisfies StoredRole
})

export interface RoleChange {
  readonly title?: string | undefined
  readonly permissions?: ReadonlyArray<Permission> | undefined
  /** Fails with `VersionConflict` when the role has another version. */
  readonly ifVersion?: number | undefined
}

/** Changes a role, one of the deployment's too. Needs `role.manage` and, for good, every permission that is added or taken away. */
export const changeRole = Effect.fn("changeRole")(function* (id: string, change: RoleChange) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("role.manage")
  yield* lockRoles
  const before = (yield* currentRoles).get(id)
  if (before === undefined) return yield* new NotFound({ what: "role", id })
  yield* demandChangeable(id)
  if (change.ifVersion !== undefined && change.ifVersion !== before.version)
    return yield* new VersionConflict({ what: "role", expected: change.ifVersion, found: before.version })
  const permissions = [...new Set(change.permissions ?? before.permissions)]
  if (change.permissions !== undefined) yield* demandKnown(change.permissions)
  yield* demandAllOf(difference(permissions, before.permissions), [], null)
  const title = change.title ?? before.title
  const version = before.version + 1
  yield* sql`
    insert into mahalla.role (tenant_id, id, title, permissions, version, updated_at)
    values (${tenantId}, ${id}, ${title}, ${permissions}::text[], ${version}, ${new Date(yield* Clock.currentTimeMillis)})
    on conflict (tenant_id, id) do update
      set title = excluded.title, permissions = excluded.permissions, version = excluded.version, updated_at = excluded.updated_at`
  yield* announceRoles
  yield* appendEvent(RoleChanged, { role: id, title, permissions }, { actorId: actor.id })
  return { id, title, permissions, version, preset: before.preset } satisfies StoredRole
})

/** Removes a city's own role that nobody holds, or makes one of the deployment's as it was. */
export const removeRole = Effect.fn("removeRole")(function* (id: string, ifVersion?: number) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  yield* demandEverywhere("role.manage")
  yield* lockRoles
  const before = (yield* currentRoles).get(id)
  if (before === undefined) return yield* new NotFound({ what: "role", id })
  yield* demandChangeable(id)
  if (ifVersion !== undefined && ifVersion !== before.version)
    return yield* new VersionConflict({ what: "role", expected: ifVersion, found: before.version })
  const preset = (yield* RoleBook).presets.get(id)
  yield* demandAllOf(difference(preset?.permissions ?? [], before.permissions), [], null)
  if (preset === undefined) {
    const used = yield* sql`
      select from mahalla.role_grant where tenant_id = ${tenantId} and role = ${id}
      union all select from mahalla.delegation where tenant_id = ${tenantId} and role = ${id} and ended_at is null and until > now()
      limit 1`
    if (used.length > 0)
      return yield* new RoleInUse({
        message: `Somebody holds the role ${id}. Take it from everybody first: GET /v1/principals shows who has it.`
      })
  }
  if (before.version === 0)
    return yield* new Refused({
      code: "role-preset",
      message: `The role ${id} comes with the deployment and is as it was. It can be changed, not removed.`
    })
  yield* sql`delete from mahalla.role where tenant_id = ${tenantId} and id = ${id}`
  yield* announceRoles
  yield* appendEvent(RoleRemoved, { role: id }, { actorId: actor.id })
})

/** What stands before every way of giving or taking rights. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { InvalidInput } from "../cases/model.ts"
import { TenantTx } from "../db/Database.ts"
import { Refused } from "../cases/model.ts"
import { pathOf } from "../tenancy/territories.ts"
import { decide, type Permission } from "./decide.ts"
import { demand, Forbidden, rolesFor } from "./Policy.ts"
import { Actor } from "./Principal.ts"
import { administratorRole, RoleBook } from "./roles.ts"

export const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })

/** The territory that a request names, with its ancestors; empty for the whole tenant. */
export const givenPath = (territoryId: string | null) =>
  territoryId === null
    ? Effect.succeed<ReadonlyArray<string>>([])
    : Effect.catchTag(pathOf(territoryId), "NotFound", () =>
        Effect.fail(issue("/territoryId", "There is no such territory; GET /v1/territories lists them."))
      )

/** Whoever gives or takes rights must be able to give rights in that very territory: a district's head makes no head of the city. */
export const demandGrantIn = Effect.fnUntraced(function* (territoryId: string | null) {
  const path = yield* givenPath(territoryId)
  yield* demand("role.grant", { territoryPath: path })
  return path
})

/**
 * Nobody gives or takes rights that they do not have there themselves, and nobody gives them for longer: else the right to give roles would
 * be the right to everything, and one that ends would end nothing. `until` in epoch milliseconds; null is for ever.
 */
export const demandAllOf = Effect.fnUntraced(function* (
  permissions: ReadonlyArray<Permission>,
  path: ReadonlyArray<string>,
  until: number | null | "now"
) {
  const actor = yield* Actor
  const roles = yield* rolesFor(actor)
  const now = yield* Clock.currentTimeMillis
  const last = until === "now" ? now : until === null ? Number.MAX_SAFE_INTEGER : Math.max(now, until - 1)
  for (const entry of (yield* RoleBook).expand(permissions)) {
    const permission = entry.replace(/:own$/, "")
    const subject = {
      territoryPath: path,
      // What one may do with one's own, one may give for others' own.
      ...(entry.endsWith(":own") && actor.id !== null ? { ownerId: actor.id } : {})
    }
    yield* demand(permission, subject)
    const { allowed } = decide(roles, { principal: actor, permission, tenantId: actor.tenantId, subject, now: last })
    if (!allowed)
      return yield* new Forbidden({
        permission,
        because: "no-permission",
        message: `You have ${permission} for a time only, and cannot give it for longer. Name an earlier end.`
      })
  }
})

/** A moment that something is given until; undefined and null are for ever. Epoch milliseconds. */
export const givenEnd = Effect.fnUntraced(function* (until: string | null | undefined) {
  if (until == null) return null
  const end = Date.parse(until)
  return end > (yield* Clock.currentTimeMillis) ? end : yield* issue("/until", "The end must be in the future.")
})

/** Whether somebody is one of those who keep the city in somebody's hands. */
export const isAdministrator = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const held = yield* sql`
    select from mahalla.role_grant
    where tenant_id = ${tenantId} and principal_id = ${principalId} and role = ${administratorRole} and territory_id is null and until is null`
  return held.length > 0
})

/** After a change: somebody must be left who holds everything in the whole tenant, without an end. */
export const demandAdministrator = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  const left = yield* sql`
    select from mahalla.role_grant g
    join mahalla.principal p on p.tenant_id = g.tenant_id and p.id = g.principal_id and p.status = 'active'
    where g.tenant_id = ${tenantId} and g.role = ${administratorRole} and g.territory_id is null and g.until is null limit 1`
  if (left.length === 0)
    return yield* new Refused({
      code: "last-administrator",
      message: "This is the last administrator of the city. Give somebody else the role first, without an end."
    })
})

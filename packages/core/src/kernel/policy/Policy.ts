/** The city's roles in force, and the check that every door uses. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { decide, type Permission, type PolicySubject, type Roles } from "./decide.ts"
import { Actor, type Principal } from "./Principal.ts"

export class Forbidden extends Data.TaggedError("Forbidden")<{
  readonly permission: Permission
  readonly because: "other-tenant" | "no-permission" | "other-territory"
  readonly message: string
}> {}

export class Policy extends Context.Service<Policy, { readonly roles: Roles }>()("@mahalla/kernel/Policy") {}

/** The roles that are in force for somebody: their city's, or the deployment's. */
export const rolesFor = (principal: Principal) => Effect.map(Policy, ({ roles }) => principal.roles ?? roles)

/** Whether the actor may; for choosing what to show. */
export const may = Effect.fnUntraced(function* (permission: Permission, subject?: PolicySubject) {
  const principal = yield* Actor
  const roles = yield* rolesFor(principal)
  const now = yield* Clock.currentTimeMillis
  return decide(roles, {
    principal,
    permission,
    tenantId: principal.tenantId,
    now,
    ...(subject === undefined ? {} : { subject })
  })
})

/** For what belongs to the whole tenant: a role that was given in one district is not enough. */
export const demandEverywhere = (permission: Permission) => demand(permission, { territoryPath: [] })

/** Fails with `Forbidden` unless the actor may. */
export const demand = Effect.fnUntraced(function* (permission: Permission, subject?: PolicySubject) {
  const decision = yield* may(permission, subject)
  if (!decision.allowed) {
    return yield* new Forbidden({
      permission,
      because: decision.because,
      message:
        decision.because === "other-territory"
          ? `This needs ${permission} in the territory of the case; yours is another one.`
          : `This needs the permission ${permission}; ask an administrator for a role that has it.`
    })
  }
})

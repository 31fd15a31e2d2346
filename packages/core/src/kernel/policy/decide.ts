/**
 * The one decision about rights: principal × permission × territory × case. Pure, so that tables and properties can test it; the
 * database's row-level security is the second wall.
 */
import type { Principal, RoleGrant } from "./Principal.ts"
import type { Permission, Role, Roles } from "./Role.ts"

export type { Permission, Role, Roles } from "./Role.ts"

export interface PolicySubject {
  /** The case's or object's territory with all its ancestors; empty when it has none. */
  readonly territoryPath: ReadonlyArray<string>
  /** The principal who made it. */
  readonly ownerId?: string | null
}

export interface PolicyRequest {
  readonly principal: Principal
  readonly permission: Permission
  readonly tenantId: string
  readonly subject?: PolicySubject
  /** Epoch milliseconds. */
  readonly now: number
}

export type Decision =
  | { readonly allowed: true; readonly because: string }
  | { readonly allowed: false; readonly because: "other-tenant" | "no-permission" | "other-territory" }

/** `*.*` covers everything, `thing.*` every verb of a thing. */
const covers = (granted: string, wanted: string): boolean =>
  granted === "*.*" || granted === wanted || (granted.endsWith(".*") && wanted.startsWith(granted.slice(0, -1)))

/** Whether a list grants a permission; `thing.verb:own` grants it for what one made oneself. */
export const lists = (permissions: ReadonlyArray<Permission>, permission: Permission, own: boolean): boolean =>
  permissions.some((entry) =>
    entry.endsWith(":own") ? own && covers(entry.slice(0, -4), permission) : covers(entry, permission)
  )

/** Whether what was given contains a permission: the role has it, and what was handed on of the role has it too. */
const gives = (role: Role, grant: RoleGrant, permission: Permission, own: boolean): boolean =>
  lists(role.permissions, permission, own) &&
  (grant.permissions === undefined || lists(grant.permissions, permission, own))

/** Whether the app that acts in the principal's name was let do this; true where no app does. */
const isWithin = ({ within }: Principal, permission: Permission, own: boolean): boolean =>
  within === undefined || lists(within, permission, own)

/** Every principal has the role of its kind without being given it. */
const implied = (principal: Principal): ReadonlyArray<string> =>
  principal.kind === "anonymous"
    ? ["anonymous"]
    : principal.kind === "person" || principal.kind === "staff"
      ? ["citizen"]
      : []

export const decide = (roles: Roles, request: PolicyRequest): Decision => {
  const { permission, principal, subject } = request
  if (principal.tenantId !== request.tenantId) return { allowed: false, because: "other-tenant" }
  if (principal.kind === "system") return { allowed: true, because: "system" }
  const own = subject?.ownerId != null && subject.ownerId === principal.id
  if (!isWithin(principal, permission, own)) return { allowed: false, because: "no-permission" }
  for (const id of implied(principal)) {
    const role = roles.get(id)
    if (role !== undefined && lists(role.permissions, permission, own)) return { allowed: true, because: `role ${id}` }
  }
  let elsewhere = false
  for (const grant of principal.grants) {
    if (grant.until !== null && grant.until <= request.now) continue
    const role = roles.get(grant.role)
    if (role === undefined || !gives(role, grant, permission, own)) continue
    if (grant.territoryId === null || subject === undefined || subject.territoryPath.includes(grant.territoryId)) {
      return { allowed: true, because: `role ${grant.role}` }
    }
    elsewhere = true
  }
  return { allowed: false, because: elsewhere ? "other-territory" : "no-permission" }
}

/** Territories in which a permission holds, for lists: `"all"`, or ids (themselves and below). `own`: for what the principal made. */
export const territoriesOf = (
  roles: Roles,
  principal: Principal,
  permission: Permission,
  now: number,
  own = false
): "all" | ReadonlyArray<string> => {
  if (principal.kind === "system") return "all"
  const found: Array<string> = []
  if (!isWithin(principal, permission, own)) return found
  for (const grant of principal.grants) {
    if (grant.until !== null && grant.until <= now) continue
    const role = roles.get(grant.role)
    if (role === undefined || !gives(role, grant, permission, own)) continue
    if (grant.territoryId === null) return "all"
    found.push(grant.territoryId)
  }
  for (const id of implied(principal)) {
    const role = roles.get(id)
    if (role !== undefined && lists(role.permissions, permission, own)) return "all"
  }
  return found
}

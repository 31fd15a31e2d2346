/**
 * The one decision about rights: principal × permission × territory × case. Pure, so that tables and properties can test it; the
 * database's row-level security is the second wall.
 */
import type { Principal } from "./Principal.ts"

/** A permission is `thing.verb`, as `traffic-report.create`. In a role `thing.*` is every verb, `*.*` everything; see `rolesOf` for `*.verb`. */
export type Permission = string

export interface Role {
  readonly id: string
  /** What people call it. */
  readonly title: string
  readonly permissions: ReadonlyArray<Permission>
}

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

/** Roles by id, as the city has them. */
export type Roles = ReadonlyMap<string, Role>

/** `*.*` covers everything, `thing.*` every verb of a thing. */
const covers = (granted: string, wanted: string): boolean =>
  granted === "*.*" || granted === wanted || (granted.endsWith(".*") && wanted.startsWith(granted.slice(0, -1)))

/** Whether a role's list grants a permission; `thing.verb:own` grants it for what one made oneself. */
const grants = (role: Pick<Role, "permissions">, permission: Permission, own: boolean): boolean =>
  role.permissions.some((entry) =>
    entry.endsWith(":own") ? own && covers(entry.slice(0, -4), permission) : covers(entry, permission)
  )

/** Whether the app that acts in the principal's name was let do this; true where no app does. */
const isWithin = ({ within }: Principal, permission: Permission, own: boolean): boolean =>
  within === undefined || grants({ permissions: within }, permission, own)

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
    if (role !== undefined && grants(role, permission, own)) return { allowed: true, because: `role ${id}` }
  }
  let elsewhere = false
  for (const grant of principal.grants) {
    if (grant.until !== null && grant.until <= request.now) continue
    const role = roles.get(grant.role)
    if (role === undefined || !grants(role, permission, own)) continue
    if (grant.territoryId === null || subject === undefined || subject.territoryPath.includes(grant.territoryId)) {
      return { allowed: true, because: `role ${grant.role}` }
    }
    elsewhere = true
  }
  return { allowed: false, because: elsewhere ? "other-territory" : "no-permission" }
}

/** Territories in which a permission holds: for lists. `"all"`, or ids (themselves and below). */
export const territoriesOf = (
  roles: Roles,
  principal: Principal,
  permission: Permission,
  now: number
): "all" | ReadonlyArray<string> => {
  if (principal.kind === "system") return "all"
  const found: Array<string> = []
  if (!isWithin(principal, permission, false)) return found
  for (const grant of principal.grants) {
    if (grant.until !== null && grant.until <= now) continue
    const role = roles.get(grant.role)
    if (role === undefined || !grants(role, permission, false)) continue
    if (grant.territoryId === null) return "all"
    found.push(grant.territoryId)
  }
  for (const id of implied(principal)) {
    const role = roles.get(id)
    if (role !== undefined && grants(role, permission, false)) return "all"
  }
  return found
}

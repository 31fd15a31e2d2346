/**
 * Who acts: a person, staff, an app, a device, or the engine itself; and what they were given where.
 */
import * as Context from "effect/Context"

export interface RoleGrant {
  readonly role: string
  /** Valid in this territory and below; everywhere when null. */
  readonly territoryId: string | null
  /** Epoch milliseconds; for ever when null. */
  readonly until: number | null
}

export interface Principal {
  /** Null for an anonymous visitor, who has only the permissions of the role `anonymous`. */
  readonly id: string | null
  readonly kind: "person" | "staff" | "app" | "device" | "system" | "anonymous"
  readonly tenantId: string
  readonly grants: ReadonlyArray<RoleGrant>
  /** An app acts in this principal's name: only rights that are listed here too count. Absent: all of them. */
  readonly within?: ReadonlyArray<string>
}

/** The principal of the running request, job or call. */
export class Actor extends Context.Service<Actor, Principal>()("@mahalla/kernel/Actor") {}

export const anonymous = (tenantId: string): Principal => ({ id: null, kind: "anonymous", tenantId, grants: [] })

/** The engine acting by itself: deadlines, jobs, merges. It may do everything in the tenant. */
export const system = (tenantId: string): Principal => ({ id: null, kind: "system", tenantId, grants: [] })

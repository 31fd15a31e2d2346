/** What roles are made of. */

/** A permission is `thing.verb`, as `traffic-report.create`. In a role `thing.*` is every verb, `*.*` everything; see `rolesOf` for `*.verb`. */
export type Permission = string

export interface Role {
  readonly id: string
  /** What people call it. */
  readonly title: string
  readonly permissions: ReadonlyArray<Permission>
}

/** Roles by id, as the city has them. */
export type Roles = ReadonlyMap<string, Role>

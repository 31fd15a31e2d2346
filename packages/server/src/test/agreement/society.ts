/** A city of made-up people, roles, territories and cases, all from one seed, and what the pure policy is told of them. */
import { randomUUID } from "node:crypto"
import { presetRoles, type Principal, type Role, type RoleGrant, rolesOf } from "@mahalla/core"
import type { CityKit, TenantKit } from "../cityKit.ts"

export interface Area {
  readonly id: string
  /** Itself and its ancestors. */
  readonly path: ReadonlyArray<string>
}

export interface Matter {
  readonly id: string
  readonly type: "traffic-report" | "traffic-violation"
  readonly state: string
  readonly ownerId: string | null
  readonly area: Area | null
}

export interface Society {
  readonly areas: ReadonlyArray<Area>
  readonly people: ReadonlyArray<Principal & { readonly id: string }>
  readonly cases: ReadonlyArray<Matter>
}

/** Numbers in [0, 1) that the seed decides. */
export const seeded = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

/** What a city may have made of its roles. */
export const ownRoles: ReadonlyArray<Role> = [
  { id: "reader", title: "Reader", permissions: ["traffic-report.read", "event.read"] },
  { id: "fines", title: "Fines", permissions: ["traffic-violation.*", "principal.read"] },
  { id: "own-fines", title: "Own fines", permissions: ["traffic-violation.read:own", "*.comment:own"] },
  { id: "desk", title: "Desk", permissions: ["*.read", "*.decide", "role.read", "job.read"] },
  { id: "deputy", title: "Deputy", permissions: ["*.*"] },
  { id: "nothing", title: "Nothing", permissions: [] }
]

/** Citizens of this city read their own reports, and not what became of them. */
export const citizenPermissions = presetRoles
  .find((role) => role.id === "citizen")!
  .permissions.map((entry) => (entry === "*.read:own" ? "traffic-report.read:own" : entry))

const presets = presetRoles.map((role) => (role.id === "citizen" ? { ...role, permissions: citizenPermissions } : role))
export const rolesInForce = rolesOf([...presets, ...ownRoles], ["traffic-report", "traffic-violation"])

const states = {
  "traffic-report": ["submitted", "in-review", "decided", "withdrawn"],
  "traffic-violation": ["proposed", "accepted", "rejected"]
} as const

/** Parts of a role that can be handed on, by role. */
const parts: Readonly<Record<string, ReadonlyArray<ReadonlyArray<string> | null>>> = {
  desk: [null, ["traffic-report.read"], ["*.read"], ["*.decide", "role.read"]],
  fines: [null, ["traffic-violation.read"], ["traffic-violation.*"]],
  inspector: [null, ["*.read", "*.decide"]],
  deputy: [null, ["event.read", "traffic-report.*"]]
}

const expand = (permissions: ReadonlyArray<string>) =>
  rolesOf([{ id: "x", title: "x", permissions }], ["traffic-report", "traffic-violation"]).get("x")!.permissions

interface Grant {
  readonly role: string
  readonly area: Area | null
  readonly until: number | null
}

/** Makes it in a tenant of the kit, past its doors, and says what the policy should be told. */
export const makeSociety = async (
  kit: CityKit,
  tenant: TenantKit,
  size: { readonly seed: number; readonly people: number; readonly cases: number }
): Promise<Society> => {
  const random = seeded(size.seed)
  const any = <A>(from: ReadonlyArray<A>): A => from[Math.floor(random() * from.length)]!
  const now = Date.now()
  const areas: Array<Area> = []
  const area = async (above: Area | null) => {
    const id = randomUUID()
    const made: Area = { id, path: [id, ...(above?.path ?? [])] }
    await kit.sql(
      `insert into mahalla.territory (tenant_id, id, parent_id, kind, name, path) values ($1, $2, $3, 'area', '{"en":"Area"}', $4)`,
      [tenant.id, id, above?.id ?? null, made.path]
    )
    areas.push(made)
    return made
  }
  for (const root of [await area(null), await area(null)])
    for (let district = 0; district < 3; district++) {
      const middle = await area(root)
      for (let mahalla = 0; mahalla < 3; mahalla++) await area(middle)
    }
  const roleIds = [...presetRoles.map(({ id }) => id), ...ownRoles.map(({ id }) => id), "abolished"].filter(
    (id) => id !== "anonymous" && id !== "super-admin" && id !== "municipality-admin"
  )
  const ends = [null, null, null, now - 3_600_000, now + 3_600_000]
  const given = new Map<string, ReadonlyArray<Grant>>()
  const handed = new Map<string, Array<RoleGrant>>()
  const kinds = new Map<string, Principal["kind"]>()
  for (let count = 0; count < size.people; count++) {
    const id = randomUUID()
    const kind = any(["person", "staff", "staff", "staff", "app", "device"] as const)
    await kit.sql("insert into mahalla.principal (tenant_id, id, kind) values ($1, $2, $3)", [tenant.id, id, kind])
    const grants = new Map<string, Grant>()
    for (let more = Math.floor(random() * 4); more > 0; more--) {
      const grant: Grant = { role: any(roleIds), area: random() < 0.3 ? null : any(areas), until: any(ends) }
      grants.set(`${grant.role} ${grant.area?.id}`, grant)
    }
    for (const { area: where, role, until } of grants.values())
      await kit.sql(
        "insert into mahalla.role_grant (tenant_id, id, principal_id, role, territory_id, until) values ($1, gen_random_uuid(), $2, $3, $4, $5)",
        [tenant.id, id, role, where?.id ?? null, until === null ? null : new Date(until)]
      )
    given.set(id, [...grants.values()])
    kinds.set(id, kind)
  }
  const ids = [...given.keys()]
  for (let count = 0; count < size.people / 2; count++) {
    const [giver, receiver] = [any(ids), any(ids)]
    if (giver === receiver) continue
    const role = any(Object.keys(parts))
    const where = random() < 0.3 ? null : any(areas)
    const until = any([now - 1_000, now + 7_200_000])
    const ended = random() < 0.15
    const permissions = any(parts[role]!)
    await kit.sql(
      `insert into mahalla.delegation (tenant_id, id, giver_id, principal_id, role, permissions, territory_id, given_at, until, ended_at, ended_because)
       values ($1, gen_random_uuid(), $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        tenant.id,
        giver,
        receiver,
        role,
        permissions,
        where?.id ?? null,
        new Date(now - 7_200_000),
        new Date(until),
        ended ? new Date(now) : null,
        ended ? "revoked" : null
      ]
    )
    // It is worth what its giver holds there now, and no longer.
    const backing = given
      .get(giver)!
      .filter((one) => one.role === role && (one.area === null || (where?.path.includes(one.area.id) ?? false)))
      .map((one) => one.until ?? Number.POSITIVE_INFINITY)
    if (ended || backing.length === 0) continue
    const grant: RoleGrant = {
      role,
      territoryId: where?.id ?? null,
      until: Math.min(until, Math.max(...backing)),
      ...(permissions === null ? {} : { permissions: expand(permissions) })
    }
    handed.set(receiver, [...(handed.get(receiver) ?? []), grant])
  }
  const cases: Array<Matter> = []
  for (let count = 0; count < size.cases; count++) {
    const type = any(["traffic-report", "traffic-violation"] as const)
    const matter: Matter = {
      id: randomUUID(),
      type,
      state: any(states[type]),
      ownerId: random() < 0.8 ? any(ids) : null,
      area: random() < 0.9 ? any(areas) : null
    }
    cases.push(matter)
    await kit.sql(
      `insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, territory_id, owner_id, created_at, updated_at)
       values ($1, $2, $3, (select max(version) from mahalla.case_type where id = $3), $7, $4, 'open', '{}', $5, $6, now(), now())`,
      [tenant.id, matter.id, type, matter.state, matter.area?.id ?? null, matter.ownerId, matter.id]
    )
  }
  const people = ids.map((id) => ({
    id,
    kind: kinds.get(id)!,
    tenantId: tenant.id,
    grants: [
      ...given
        .get(id)!
        .map(({ area: where, role, until }): RoleGrant => ({ role, territoryId: where?.id ?? null, until })),
      ...(handed.get(id) ?? [])
    ]
  }))
  return { areas, people, cases }
}

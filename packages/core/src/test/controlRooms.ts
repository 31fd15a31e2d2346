/** A city with a control room, for tests that hold a clock in their hand. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "../kernel/cases/registry.ts"
import { transitionCase } from "../kernel/cases/transition.ts"
import { TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import type { Migration } from "../kernel/db/Migration.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import type { Principal } from "../kernel/policy/Principal.ts"
import { makeRoleBook, RoleBook } from "../kernel/policy/roles.ts"
import { controlRoom, type RaiseAlert } from "../modules/control-room/index.ts"
import { createPrincipal, createTenant, testKernel } from "../testing/kernel.ts"
import { as, outcome } from "./caseRooms.ts"

const { caseTypes, migrations, roles } = controlRoom()
const types = makeCaseTypes(caseTypes)
const typeIds = types.all.map(({ definition }) => definition.id)
const presets = [...presetRoles, ...roles]

/** `more`: migrations of other modules. */
export const controlRooms = (postgresUrl: string, more: ReadonlyArray<Migration> = []) =>
  Layer.effectDiscard(withPlatform(storeCaseTypes(types.all))).pipe(
    Layer.provideMerge(testKernel({ postgresUrl, migrations: [...migrations, ...more], maxConnections: 16 })),
    Layer.provideMerge(Layer.succeed(CaseTypes, types)),
    Layer.provideMerge(Layer.succeed(Policy, { roles: rolesOf(presets, typeIds) })),
    Layer.provideMerge(
      Layer.succeed(RoleBook, makeRoleBook({ presets, caseTypes: typeIds, permissions: [], knows: () => true }))
    )
  )

/** 2026-11-20, a Friday, 11:00 in Tashkent. */
export const friday = Date.UTC(2026, 10, 20, 6)

export const onFriday = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(friday), self).pipe(Effect.provide(TestClock.layer(), { local: true }))

export const pump = "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"
export const valve = "01a1fb96-0a6f-7324-b14e-40eab5e1b19d"
export const station = "01a1fb96-0a6f-7324-b14e-40eab5e1b1aa"
export const district = "01a1fb96-0a6f-7324-b14e-40eab5e1b1bb"

/** The pressure at a pump is low, for the first time. */
export const lowPressure = {
  key: { rule: "low-pressure", originator: pump },
  episode: "1",
  severity: "major",
  summary: "2.1 bar at pump 7, expected 3.5 to 5.",
  at: friday,
  details: { value: 2.1, expected: { low: 3.5, high: 5 } },
  originator: { kind: "device", name: "Pump 7" },
  assetId: station,
  propagate: [district]
} as const satisfies RaiseAlert

export interface SeenAlert {
  readonly id: string
  readonly state: string
  readonly data: Readonly<Record<string, unknown>>
  readonly severity: string
  readonly episode: string
  readonly times: number
  readonly active: boolean
  readonly suppressedUntil: Date | null
}

/** A tenant with its people and what they do. */
export const watchedCity = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const staff = (...given: ReadonlyArray<string>) => createPrincipal(tenantId, { kind: "staff", roles: given })
  const operator = yield* staff("control-room-operator")
  const inside = withTenant(tenantId)
  const rows = <Row extends object>(select: (tx: TenantTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>) =>
    inside(Effect.flatMap(TenantTx, select))
  return {
    tenantId,
    operator,
    dispatcher: yield* staff("dispatcher"),
    citizen: yield* createPrincipal(tenantId),
    staff,
    inside,
    rows,
    /** All alerts, oldest first. */
    alerts: rows<SeenAlert>(
      ({ sql }) => sql`
        select c.id, c.state, c.data, a.severity, a.episode, a.times, a.cleared_at is null as active, a.suppressed_until as "suppressedUntil"
        from mahalla.civic_case c join mahalla.alert a on a.tenant_id = c.tenant_id and a.case_id = c.id
        where c.type = 'alert' order by c.id`
    ),
    /** Who hears of a case. */
    hearers: (caseId: string) =>
      Effect.map(
        rows<{ id: string }>(
          ({ sql }) => sql`select principal_id as id from mahalla.case_subscriber where case_id = ${caseId}`
        ),
        (found) => found.map(({ id }) => id)
      ),
    take: (transition: string, caseId: string, input: object = {}, actor: Principal = operator) =>
      outcome(as(actor)(transitionCase({ caseId, transition, input })))
  }
})

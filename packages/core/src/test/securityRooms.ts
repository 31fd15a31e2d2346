/** A city with its guards and alerts, for tests that hold a clock in their hand. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { CaseTypes, makeCaseTypes, storeCaseTypes } from "../kernel/cases/registry.ts"
import { PlatformTx, withPlatform } from "../kernel/db/Database.ts"
import { Keys } from "../kernel/keys/Keys.ts"
import { Policy } from "../kernel/policy/Policy.ts"
import { presetRoles, rolesOf } from "../kernel/policy/presets.ts"
import { makeRoleBook, RoleBook } from "../kernel/policy/roles.ts"
import { security } from "../modules/security/index.ts"
import { layerMemoryLimiter } from "../plugin/memoryLimiter.ts"
import { testKernel } from "../testing/kernel.ts"

const { caseTypes, migrations, roles } = security()
const types = makeCaseTypes(caseTypes)
const typeIds = ["security-alert"]
const presets = [...presetRoles, ...roles]

export const securityRooms = (postgresUrl: string) =>
  Layer.effectDiscard(withPlatform(storeCaseTypes(types.all))).pipe(
    Layer.provideMerge(testKernel({ postgresUrl, migrations, maxConnections: 16 })),
    Layer.provideMerge(Layer.succeed(CaseTypes, types)),
    Layer.provideMerge(Keys.layer(Redacted.make("a secret for the tests of guards and alerts"))),
    Layer.provideMerge(Layer.succeed(Policy, { roles: rolesOf(presets, typeIds) })),
    Layer.provideMerge(
      Layer.succeed(RoleBook, makeRoleBook({ presets, caseTypes: typeIds, permissions: [], knows: () => true }))
    )
  )

/** From six in the morning of a day, with limits that nobody has touched. */
export const onADay = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(Date.UTC(2026, 10, 20, 6)), self).pipe(
    Effect.provide(layerMemoryLimiter, { local: true }),
    Effect.provide(TestClock.layer(), { local: true })
  )

export interface SeenAlert {
  readonly caseId: string
  readonly kind: string
  readonly originator: string
  readonly severity: string
  readonly state: string
  /** Of an active one; null once it is cleared. */
  readonly times: number | null
}

/** All alerts of a tenant, oldest first. */
export const alertsOf = (tenantId: string) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<SeenAlert>`
        select c.id as "caseId", c.data ->> 'kind' as kind, c.data ->> 'originator' as originator, c.data ->> 'severity' as severity, c.state, a.times
        from mahalla.civic_case c left join mahalla.security_alert a on a.tenant_id = c.tenant_id and a.case_id = c.id
        where c.tenant_id = ${tenantId} and c.type = 'security-alert' order by c.id`
    )
  )

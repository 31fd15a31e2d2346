/** Alerts that came and went too often are cleared when they have been calm for long enough: as of the moment at which their condition ended. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { transitionAll } from "../../kernel/cases/transitionTogether.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"

const clear = Effect.fn("control-room.clearCalm")(function* (ids: ReadonlyArray<string>, now: Date) {
  const { sql, tenantId } = yield* TenantTx
  // Locked as every step locks. Whichever has begun again since is calm no more.
  const calm = yield* sql<{ caseId: string; since: Date }>`
    select a.case_id as "caseId", a.quiet_since as since
    from mahalla.alert a join mahalla.civic_case c on c.tenant_id = a.tenant_id and c.id = a.case_id
    where a.tenant_id = ${tenantId} and a.case_id = any (${ids}::uuid[]) and a.cleared_at is null and a.calm_at <= ${now}
    order by a.case_id for no key update of c, a`
  const cases = calm.map(({ caseId, since }) => ({ caseId, input: { at: since.toISOString() } }))
  yield* transitionAll({ type: "alert", transition: "clear-by-rule", cases })
})

/** One turn over all tenants: the 500 that have been calm for longest. Index `alert_calm`. */
export const clearCalm = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  const due = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; caseId: string }>`
        select tenant_id as "tenantId", case_id as "caseId" from mahalla.alert
        where calm_at <= ${now} order by calm_at limit 500`
    )
  )
  for (const [tenantId, alerts] of Map.groupBy(due, (row) => row.tenantId)) {
    const ids = alerts.map(({ caseId }) => caseId)
    yield* withTenant(tenantId)(Effect.provideService(clear(ids, now), Actor, system(tenantId))).pipe(
      Effect.catchCause((cause) => Effect.logError(`${ids.length} calm alerts stay active and are tried again`, cause))
    )
  }
})

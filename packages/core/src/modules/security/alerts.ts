/** Raising alerts, and clearing those of which nothing was heard for a while. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { createCase } from "../../kernel/cases/create.ts"
import { transitionCase } from "../../kernel/cases/transition.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { type Alert, alertKinds } from "./model.ts"

/**
 * Raises an alert in the transaction, or counts one more of an active one. Returns the case's id and whether it is new.
 */
export const raiseAlert = Effect.fn("security.raiseAlert")(function* (alert: Alert) {
  const { sql, tenantId } = yield* TenantTx
  const { kind, originator, summary } = alert
  const { lasts, severity } = alertKinds[kind]
  const now = yield* Clock.currentTimeMillis
  const [at, quietAt] = [new Date(now), new Date(now + lasts * 1000)]
  // One after the other: of two at once the second counts.
  yield* sql`select pg_advisory_xact_lock(hashtextextended(${`mahalla.alert ${kind} ${originator}`}, hashtextextended(${tenantId}, 0)))`
  const [active] = yield* sql<{ id: string }>`
    update mahalla.security_alert set times = times + 1, last_at = ${at}, quiet_at = ${quietAt}
    where tenant_id = ${tenantId} and kind = ${kind} and originator = ${originator} returning case_id as id`
  if (active !== undefined) return { caseId: active.id, isNew: false }
  const { id } = yield* Effect.provideService(
    createCase({ type: "security-alert", data: { kind, severity, summary, originator } }),
    Actor,
    system(tenantId)
  )
  yield* sql`
    insert into mahalla.security_alert (tenant_id, kind, originator, case_id, last_at, quiet_at)
    values (${tenantId}, ${kind}, ${originator}, ${id}, ${at}, ${quietAt})`
  return { caseId: id, isNew: true }
})

/** Clears what has been quiet for as long as its kind lasts; 500 at once at most. */
export const clearQuietAlerts = Effect.gen(function* () {
  const now = new Date(yield* Clock.currentTimeMillis)
  const due = yield* withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql<{ tenantId: string; caseId: string }>`
        select tenant_id as "tenantId", case_id as "caseId" from mahalla.security_alert
        where quiet_at <= ${now} order by quiet_at limit 500`
    )
  )
  for (const { caseId, tenantId } of due) {
    yield* withTenant(tenantId)(transitionCase({ caseId, transition: "clear" })).pipe(
      Effect.provideService(Actor, system(tenantId)),
      // Somebody may have cleared it in between.
      Effect.catchTag("WrongState", () => Effect.void)
    )
  }
})

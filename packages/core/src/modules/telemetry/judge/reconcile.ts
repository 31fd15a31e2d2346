/**
 * Alerts that are up though no rule holds them: devices were retired, or a crash took what was remembered and rules went, while nobody judged.
 * Nothing would ever clear them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../../../kernel/db/Database.ts"
import { isId } from "../../../kernel/ids.ts"
import { type AlertEffect, activeAlertsOf, applyAlertEffects } from "../../control-room/index.ts"
import type { RuleDefinition } from "../rules/definition.ts"
import { forgetUnclaimed, isUp, type RulesState } from "../rules/state.ts"

/** Of a tenant that ever were, and those of the deployment. */
const ruleIds = Effect.fnUntraced(function* (coded: ReadonlyArray<RuleDefinition>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select distinct id from mahalla.rule_version where tenant_id = ${tenantId}`
  return [...new Set([...rows.map(({ id }) => id), ...coded.map(({ id }) => id)])]
})

/**
 * Active alerts of rules. Other modules raise alerts too, perhaps under the name that a rule has, and theirs are not ours to clear: ours are of devices
 * and of sets of them.
 */
const activeOfRules = Effect.fnUntraced(function* (coded: ReadonlyArray<RuleDefinition>) {
  const { sql, tenantId } = yield* TenantTx
  const active = yield* Effect.flatMap(ruleIds(coded), activeAlertsOf)
  const ids = [...new Set(active.map(({ originator }) => originator).filter(isId))]
  const rows = yield* sql<{ id: string }>`
    select id from mahalla.device where tenant_id = ${tenantId} and id = any (${ids}::uuid[])`
  const devices = new Set(rows.map(({ id }) => id))
  return active.filter(({ originator }) => originator.startsWith("set:") || devices.has(originator))
})

/** When everything that there is has been judged, and all devices are introduced. */
export const reconcile = Effect.fn("telemetry.reconcileAlerts")(function* (
  tenantId: string,
  state: RulesState,
  coded: ReadonlyArray<RuleDefinition>
) {
  forgetUnclaimed(state)
  const at = yield* Clock.currentTimeMillis
  const active = yield* withTenant(tenantId)(activeOfRules(coded))
  const clears = active
    .filter(({ originator, rule }) => !isUp(state, originator, rule))
    .map(({ episode, originator, rule }): AlertEffect => ({
      ...{ kind: "clear", key: { rule, originator }, episode, at },
      reason: "The rule or the device went while nobody was judging."
    }))
  for (let from = 0; from < clears.length; from += 1000)
    yield* withTenant(tenantId)(applyAlertEffects(clears.slice(from, from + 1000)))
})

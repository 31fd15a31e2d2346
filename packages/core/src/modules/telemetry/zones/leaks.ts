/** Leaks that are known in a zone, and the word that they are dealt with. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NotFound } from "../../../kernel/cases/model.ts"
import { TenantTx } from "../../../kernel/db/Database.ts"
import { appendEvent } from "../../../kernel/events/append.ts"
import { defineEvent } from "../../../kernel/events/Event.ts"
import { demandEverywhere } from "../../../kernel/policy/Policy.ts"
import { Actor } from "../../../kernel/policy/Principal.ts"
import { applyAlertEffects } from "../../control-room/index.ts"
import { registryChanged } from "../registry.ts"
import { alertKey, episode } from "./alert.ts"

/** Somebody said that what a zone's sensors show now is normal. */
export const LeaksAccepted = defineEvent({
  id: "hydraulic-zone.leaks-accepted",
  payload: Schema.Struct({ zoneId: Schema.String, alerts: Schema.Array(Schema.String) })
})

export interface StoredLeak {
  /** End of the night that was enough. */
  readonly foundAt: Date
  /** The first night that is counted as evidence. */
  readonly since: Date
  /** Where most likely: a place of the model, else a sensor; null: only the inflow grew. */
  readonly place: string | null
  /** All that are nearly as likely, the likeliest first. */
  readonly places: ReadonlyArray<string>
  /** m³/h on average since then; null without a model. */
  readonly flow: number | null
  /** 0–1; 0.5 is just enough. */
  readonly score: number
  readonly explanation: string
  readonly alertId: string | null
}

/** Leaks of a zone that were found and not accepted, the newest first; needs `hydraulic-zone.read`. */
export const knownLeaksOf = Effect.fn("telemetry.knownLeaksOf")(function* (zoneId: string) {
  yield* demandEverywhere("hydraulic-zone.read")
  const { sql, tenantId } = yield* TenantTx
  const zones = yield* sql`select from mahalla.hydraulic_zone where tenant_id = ${tenantId} and id = ${zoneId}`
  if (zones.length === 0) return yield* new NotFound({ what: "hydraulic zone", id: zoneId })
  return yield* sql<StoredLeak>`
    select found_at as "foundAt", since, place, places, flow, score, explanation, alert_id as "alertId" from mahalla.leak
    where tenant_id = ${tenantId} and zone_id = ${zoneId} order by found_at desc limit 200`
})

/** The leaks of a zone are no more: their alerts clear. Answers with those alerts. */
export const endLeaks = Effect.fnUntraced(function* (zoneId: string, reason: string) {
  const { sql, tenantId } = yield* TenantTx
  const at = yield* Clock.currentTimeMillis
  const gone = yield* sql<{ foundAt: Date; alertId: string | null }>`
    delete from mahalla.leak where tenant_id = ${tenantId} and zone_id = ${zoneId} returning found_at as "foundAt", alert_id as "alertId"`
  for (let from = 0; from < gone.length; from += 1000)
    yield* applyAlertEffects(
      gone.slice(from, from + 1000).map(({ foundAt }) => ({
        kind: "clear" as const,
        key: alertKey(zoneId, foundAt.getTime()),
        episode,
        at,
        reason
      }))
    )
  return gone.flatMap(({ alertId }) => alertId ?? [])
})

/**
 * What the zone's sensors show now is normal from here on, after a repair or a closed valve: its leaks are known no more and their alerts clear, a
 * further one at the same place is a new one. Needs `leak.accept`. Answers with how many there were.
 */
export const acceptLeaksOf = Effect.fn("telemetry.acceptLeaksOf")(function* (zoneId: string) {
  yield* demandEverywhere("leak.accept")
  const { sql, tenantId } = yield* TenantTx
  yield* registryChanged
  const zones = yield* sql`
    update mahalla.hydraulic_zone set accepted = accepted + 1 where tenant_id = ${tenantId} and id = ${zoneId} returning id`
  if (zones.length === 0) return yield* new NotFound({ what: "hydraulic zone", id: zoneId })
  const alerts = yield* endLeaks(zoneId, "What the zone's sensors show now was accepted as normal.")
  const { id } = yield* Actor
  yield* appendEvent(LeaksAccepted, { zoneId, alerts }, { actorId: id })
  return alerts.length
})

/** Anomalies as people look them up, and how easily they are raised. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { defineEvent } from "../../kernel/events/Event.ts"
import { territoriesOf } from "../../kernel/policy/decide.ts"
import { demandEverywhere, rolesFor } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import type { StoredDatastream } from "./datastreams.ts"
import { loadHead } from "./judge/load.ts"
import type { Anomaly } from "./model.ts"
import { registryChanged } from "./registry.ts"
import type { Span } from "./series.ts"

export interface StoredAnomaly extends Omit<Anomaly, "at" | "expected"> {
  readonly at: Date
  readonly low: number
  readonly high: number
}

export interface ListedAnomaly extends StoredAnomaly {
  readonly deviceId: string
  readonly device: string
  readonly datastreamId: string
  readonly key: string
  readonly unit: string
  /** The datastream's, for the cursor. */
  readonly number: string
}

/** Of one datastream, in the order of time, after the cursor's. Index: the primary key. */
export const anomaliesOf = Effect.fn("telemetry.anomaliesOf")(function* (
  { number }: StoredDatastream,
  { from, to }: Span,
  after: { readonly at: Date; readonly kind: string } | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const at = after?.at ?? from
  return yield* sql<StoredAnomaly>`
    select at, kind, value, low, high, score, explanation from mahalla.anomaly
    where tenant_id = ${tenantId} and datastream = ${number} and at >= ${at} and at < ${to} and (at, kind) > (${at}, ${after?.kind ?? ""})
    order by at, kind limit ${limit}`
})

/** Of all devices whose readings the actor may see, the newest first. Index: anomaly_age. */
export const newestAnomalies = Effect.fn("telemetry.newestAnomalies")(function* (
  filter: { readonly kind?: string | undefined; readonly minScore?: number | undefined },
  before: { readonly at: Date; readonly number: string; readonly kind: string } | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const seen = territoriesOf(yield* rolesFor(actor), actor, "reading.read", yield* Clock.currentTimeMillis)
  const where = [
    sql`a.tenant_id = ${tenantId}`,
    ...(before === undefined
      ? []
      : [
          sql`a.at <= ${before.at}`,
          sql`(a.at, a.datastream, a.kind) < (${before.at}, ${before.number}::bigint, ${before.kind})`
        ]),
    ...(filter.kind === undefined ? [] : [sql`a.kind = ${filter.kind}`]),
    ...(filter.minScore === undefined ? [] : [sql`a.score >= ${filter.minScore}`]),
    ...(seen === "all" ? [] : [sql`t.path && ${seen}::uuid[]`])
  ]
  return yield* sql<ListedAnomaly>`
    select a.at, a.kind, a.value, a.low, a.high, a.score, a.explanation, s.device_id as "deviceId", d.name as device, s.id as "datastreamId",
      s.key, s.unit, a.datastream::text as number
    from mahalla.anomaly a
    join mahalla.datastream s on s.tenant_id = a.tenant_id and s.number = a.datastream
    join mahalla.device d on d.tenant_id = s.tenant_id and d.id = s.device_id
    left join mahalla.territory t on t.tenant_id = d.tenant_id and t.id = d.territory_id
    where ${sql.and(where)} order by a.at desc, a.datastream desc, a.kind desc limit ${limit}`
})

/** Cursors of both lists: time, datastream's number (in the second), kind. */
export const anomalyCursor = {
  of: ({ at, kind, number = "0" }: { readonly at: Date; readonly kind: string; readonly number?: string }) =>
    `${at.getTime()}.${number}.${kind}`,
  parse: (text: string | undefined) => {
    if (text === undefined) return Effect.succeed(undefined)
    const parts = /^(-?\d{1,15})\.(\d{1,18})\.([a-z]{1,20})$/.exec(text)
    return parts === null
      ? Effect.fail(
          new InvalidInput({
            issues: [{ pointer: "#query/cursor", detail: "This is not a cursor of this list; begin without one." }]
          })
        )
      : Effect.succeed({ at: new Date(Number(parts[1])), number: parts[2]!, kind: parts[3]! })
  }
}

/** Somebody changed how easily anomalies are raised. */
export const TelemetrySettingsChanged = defineEvent({
  id: "telemetry-settings.changed",
  payload: Schema.Struct({ sensitivity: Schema.NullOr(Schema.Finite) })
})

/** How easily anomalies are raised where a profile says nothing, 0–1; null: the engine's own default, 0.5. */
export interface TelemetrySettings {
  readonly sensitivity: number | null
}

export const getSettings = Effect.gen(function* () {
  yield* demandEverywhere("telemetry-settings.read")
  const { sensitivity = null } = yield* loadHead
  return { sensitivity } satisfies TelemetrySettings
}).pipe(Effect.withSpan("telemetry.getSettings"))

/** The judge goes by them from its next turn on. */
export const putSettings = Effect.fn("telemetry.putSettings")(function* ({ sensitivity }: TelemetrySettings) {
  yield* demandEverywhere("telemetry-settings.manage")
  const { sql, tenantId } = yield* TenantTx
  yield* registryChanged
  const before = yield* loadHead
  if ((before.sensitivity ?? null) !== sensitivity) {
    yield* sql`update mahalla.telemetry_head set sensitivity = ${sensitivity} where tenant_id = ${tenantId}`
    yield* appendEvent(TelemetrySettingsChanged, { sensitivity }, { actorId: (yield* Actor).id })
  }
  return { sensitivity } satisfies TelemetrySettings
})

/** Doors to anomalies, and to how easily they are raised. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment, IdParam, page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"

const Kind = Schema.Literals(["range", "rate", "flat", "gap", "clock", "record", "season", "baseline"])
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

const anomaly = {
  at: Timestamp,
  kind: Kind,
  value: Schema.Finite,
  /** What would have been expected, in the datastream's unit. */
  low: Schema.Finite,
  high: Schema.Finite,
  /** 0–1: how sure it is that this is none of the usual. */
  score: Schema.Finite,
  /** For people, in English. */
  explanation: Schema.String
}
const AnomalyView = Schema.Struct(anomaly).annotate({ identifier: "Anomaly" })
const ListedView = Schema.Struct({
  ...anomaly,
  deviceId: Id,
  device: Schema.String,
  datastreamId: Id,
  key: Schema.String,
  /** UCUM. */
  unit: Schema.String
}).annotate({ identifier: "ListedAnomaly" })

const Settings = Schema.Struct({
  /** How easily anomalies are raised where a profile says nothing: 0 nothing but what cannot be, 1 the slightest. Null: the default, 0.5. */
  sensitivity: Schema.NullOr(Share)
}).annotate({ identifier: "TelemetrySettings" })

export const anomaliesGroup = HttpApiGroup.make("anomalies")
  .add(
    HttpApiEndpoint.get("anomaliesOf", "/datastreams/:id/anomalies", {
      params: IdParam,
      /** From (with it) to (without it), in the order of time. */
      query: { ...PageQuery, from: GivenMoment, to: GivenMoment },
      success: page(AnomalyView)
    }),
    HttpApiEndpoint.get("newestAnomalies", "/anomalies", {
      query: {
        ...PageQuery,
        kind: Schema.optionalKey(Kind),
        minScore: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
      },
      success: page(ListedView)
    }),
    HttpApiEndpoint.get("getTelemetrySettings", "/telemetry-settings", { success: Settings }),
    HttpApiEndpoint.put("putTelemetrySettings", "/telemetry-settings", { payload: Settings, success: Settings })
  )
  .middleware(Door)

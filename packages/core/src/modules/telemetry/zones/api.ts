/** Doors to hydraulic zones and the leaks that are known in them. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../../kernel/http/once.ts"
import { IdParam, Timestamp } from "../../../kernel/http/schemas.ts"
import { Id } from "../../../kernel/ids.ts"
import { ZoneDefinition } from "./definition.ts"

const head = {
  id: Id,
  version: Schema.Int,
  changedAt: Timestamp,
  /** Nights learnt. From the 42nd on each is judged. */
  nights: Schema.Int,
  /** End of the window of the last night; null before the first. */
  judgedAt: Schema.NullOr(Timestamp),
  /** Datastreams that said too little in it. Nights count from the first in which there was none. */
  silent: Schema.Array(Id)
}

const ZoneView = Schema.Struct({ ...ZoneDefinition.fields, ...head }).annotate({ identifier: "HydraulicZone" })

const ListedZoneView = Schema.Struct({
  ...head,
  name: Schema.String,
  /** How many. */
  sensors: Schema.Int,
  places: Schema.Int
}).annotate({ identifier: "ListedHydraulicZone" })

const LeakView = Schema.Struct({
  /** End of the night that was enough. */
  foundAt: Timestamp,
  /** The first night that is counted as evidence. */
  since: Timestamp,
  /** Where most likely: a place of the zone's model, else a sensor; null: only the inflow grew. */
  place: Schema.NullOr(Schema.String),
  /** All that are nearly as likely, the likeliest first; at most 50. */
  places: Schema.Array(Schema.String),
  /** m³/h on average since then; null without a model. */
  flow: Schema.NullOr(Schema.Finite),
  /** 0–1; 0.5 is just enough. */
  score: Schema.Finite,
  /** For people, in English. */
  explanation: Schema.String,
  /** Of the alert. */
  alertId: Schema.NullOr(Id)
}).annotate({ identifier: "Leak" })

export const zonesGroup = HttpApiGroup.make("hydraulicZones")
  .add(
    HttpApiEndpoint.get("listZones", "/hydraulic-zones", {
      success: Schema.Struct({ items: Schema.Array(ListedZoneView) })
    }),
    HttpApiEndpoint.post("createZone", "/hydraulic-zones", {
      payload: ZoneDefinition,
      success: ZoneView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getZone", "/hydraulic-zones/:id", { params: IdParam, success: ZoneView }),
    HttpApiEndpoint.put("replaceZone", "/hydraulic-zones/:id", {
      params: IdParam,
      payload: ZoneDefinition,
      success: ZoneView
    }),
    HttpApiEndpoint.delete("removeZone", "/hydraulic-zones/:id", { params: IdParam, success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.get("knownLeaks", "/hydraulic-zones/:id/leaks", {
      params: IdParam,
      /** Found and not accepted, the newest first; at most 200. */
      success: Schema.Struct({ items: Schema.Array(LeakView) })
    }),
    HttpApiEndpoint.post("acceptLeaks", "/hydraulic-zones/:id/leaks/accept", {
      params: IdParam,
      /** How many there were. */
      success: Schema.Struct({ accepted: Schema.Int })
    })
  )
  .middleware(Door)

/** Doors of the reports module: the offence catalogue and the findings of a report. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { loadCase } from "../../kernel/cases/record.ts"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door, inTenant } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { demand, demandEverywhere } from "../../kernel/policy/Policy.ts"
import { listOffences, putOffence } from "./offences.ts"
import { OffenceView } from "./model.ts"
import { findingsOf } from "./sql.ts"

const FindingView = Schema.Struct({
  id: Id,
  attachmentId: Id,
  frameId: Schema.NullOr(Id),
  kind: Schema.String,
  at: Schema.NullOr(Schema.Finite),
  box: Schema.Struct({ x: Schema.Finite, y: Schema.Finite, width: Schema.Finite, height: Schema.Finite }),
  text: Schema.NullOr(Schema.String),
  country: Schema.NullOr(Schema.String),
  format: Schema.NullOr(Schema.String),
  confidence: Schema.Finite,
  certain: Schema.Boolean,
  model: Schema.String
}).annotate({ identifier: "Finding" })

export const ReportsApi = cityApi("reports")
  .add(
    HttpApiGroup.make("reports")
      .add(
        HttpApiEndpoint.get("listOffences", "/offences", {
          success: Schema.Struct({ items: Schema.Array(OffenceView) })
        })
      )
      .add(
        HttpApiEndpoint.put("putOffence", "/offences/:code", {
          params: { code: OffenceView.fields.code },
          payload: OffenceView,
          success: OffenceView
        })
      )
      .add(
        HttpApiEndpoint.get("findings", "/reports/:id/findings", {
          params: { id: Id },
          success: Schema.Struct({ items: Schema.Array(FindingView) })
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

const handlers = HttpApiBuilder.group(ReportsApi, "reports", (group) =>
  group
    .handle("listOffences", () =>
      inTenant(
        Effect.map(listOffences, (items) => ({
          items: items.map((offence) => ({ ...offence, fine: Number(offence.fine) }))
        }))
      )
    )
    .handle("putOffence", ({ params, payload }) =>
      inTenant(
        Effect.gen(function* () {
          yield* demandEverywhere("offence.change")
          const offence = { ...payload, code: params.code }
          yield* putOffence({ ...offence, fine: BigInt(offence.fine) })
          return offence
        })
      )
    )
    .handle("findings", ({ params }) =>
      inTenant(
        Effect.gen(function* () {
          const report = yield* loadCase(params.id)
          yield* demand("finding.read", { territoryPath: report.territoryPath, ownerId: report.ownerId })
          const rows = yield* findingsOf(params.id)
          return {
            items: rows.map((row) => ({
              id: row.id,
              attachmentId: row.attachment_id,
              frameId: row.frame_id,
              kind: row.kind,
              at: row.at,
              box: row.box,
              text: row.text,
              country: row.country,
              format: row.format,
              confidence: row.confidence,
              certain: row.certain,
              model: row.model
            }))
          }
        })
      )
    )
)

export const reportsApiLayer = HttpApiBuilder.layer(ReportsApi).pipe(Layer.provide(handlers))

/** What stands behind the doors to anomalies. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { inTenant } from "../../kernel/http/Door.ts"
import {
  anomaliesOf,
  anomalyCursor,
  getSettings,
  type ListedAnomaly,
  newestAnomalies,
  putSettings,
  type StoredAnomaly
} from "./anomalies.ts"
import { TelemetryApi } from "./api.ts"
import { getDatastream } from "./datastreams.ts"
import { demandSpan } from "./series.ts"

const view = <A extends StoredAnomaly>(anomaly: A) => ({ ...anomaly, at: anomaly.at.toISOString() })

const listedView = ({ number: _number, ...anomaly }: ListedAnomaly) => view(anomaly)

export const anomaliesHandlers = HttpApiBuilder.group(TelemetryApi, "anomalies", (handlers) =>
  handlers
    .handle("anomaliesOf", ({ params, query: { cursor, from, limit = 50, to } }) =>
      inTenant(
        Effect.gen(function* () {
          const span = { from: new Date(from), to: new Date(to) }
          yield* demandSpan(span)
          const after = yield* anomalyCursor.parse(cursor)
          const rows = yield* anomaliesOf(yield* getDatastream(params.id), span, after, limit + 1)
          const items = rows.slice(0, limit)
          return { items: items.map(view), ...(rows.length > limit ? { cursor: anomalyCursor.of(items.at(-1)!) } : {}) }
        })
      )
    )
    .handle("newestAnomalies", ({ query: { cursor, limit = 50, ...filter } }) =>
      inTenant(
        Effect.gen(function* () {
          const rows = yield* newestAnomalies(filter, yield* anomalyCursor.parse(cursor), limit + 1)
          const items = rows.slice(0, limit)
          return {
            items: items.map(listedView),
            ...(rows.length > limit ? { cursor: anomalyCursor.of(items.at(-1)!) } : {})
          }
        })
      )
    )
    .handle("getTelemetrySettings", () => inTenant(getSettings))
    .handle("putTelemetrySettings", ({ payload }) => inTenant(putSettings(payload)))
)

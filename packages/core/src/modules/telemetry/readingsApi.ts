/** Doors to readings: newest values, charts, intervals, exports, and what could not be used. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Door } from "../../kernel/http/Door.ts"
import { GivenMoment, IdPageQuery, IdParam, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { DatastreamKey } from "./profile.ts"

const whole = (minimum: number, maximum: number) =>
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum, maximum }))

/** From (with it) to (without it). */
const SpanQuery = { from: GivenMoment, to: GivenMoment }

const LatestView = Schema.Struct({
  deviceId: Id,
  datastreamId: Id,
  key: Schema.String,
  /** UCUM. */
  unit: Schema.String,
  at: Schema.NullOr(Timestamp),
  value: Schema.NullOr(Schema.Finite),
  /** Bits: 1 outside the datastream's range, 2 from the device's memory. */
  quality: Schema.NullOr(Schema.Int),
  receivedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "LatestValue" })

const ReadingView = Schema.Struct({
  at: Timestamp,
  value: Schema.Finite,
  sequence: Schema.Int,
  quality: Schema.Int
}).annotate({ identifier: "Reading" })

const IntervalView = Schema.Struct({
  at: Timestamp,
  readings: Schema.Int,
  minimum: Schema.Finite,
  maximum: Schema.Finite,
  mean: Schema.Finite,
  total: Schema.Finite,
  first: Schema.Finite,
  last: Schema.Finite
}).annotate({ identifier: "ReadingInterval" })

const DeadLetterView = Schema.Struct({
  id: Id,
  receivedAt: Timestamp,
  deviceId: Schema.NullOr(Id),
  device: Schema.String,
  topic: Schema.String,
  format: Schema.String,
  /** Base64. */
  payload: Schema.String,
  reason: Schema.String,
  detail: Schema.String,
  profileVersion: Schema.NullOr(Schema.Int),
  codecVersion: Schema.NullOr(Schema.String),
  replayedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "DeadLetter" })

const deadFilter = {
  reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(40))),
  deviceId: Schema.optionalKey(Id)
}

export const readingsGroup = HttpApiGroup.make("readings")
  .add(
    HttpApiEndpoint.get("datastreams", "/devices/:id/datastreams", {
      params: IdParam,
      success: Schema.Struct({ items: Schema.Array(LatestView) })
    }),
    HttpApiEndpoint.post("latest", "/readings/latest", {
      payload: Schema.Struct({
        devices: Schema.Array(Id).check(Schema.isMinLength(1), Schema.isMaxLength(1000)),
        keys: Schema.optionalKey(Schema.Array(DatastreamKey).check(Schema.isMinLength(1), Schema.isMaxLength(100)))
      }),
      success: Schema.Struct({ items: Schema.Array(LatestView) })
    }),
    HttpApiEndpoint.get("readings", "/datastreams/:id/readings", {
      params: IdParam,
      query: { ...SpanQuery, cursor: Schema.optionalKey(Schema.String), limit: Schema.optionalKey(whole(1, 5000)) },
      success: page(ReadingView)
    }),
    HttpApiEndpoint.get("chart", "/datastreams/:id/chart", {
      params: IdParam,
      query: {
        ...SpanQuery,
        /** About so many; default 500. */
        points: Schema.optionalKey(whole(3, 5000)),
        /** `extremes` (default): mean, lowest and highest of each part; `triangles`: the points that shape the line. */
        method: Schema.optionalKey(Schema.Literals(["extremes", "triangles"]))
      },
      success: Schema.Struct({
        unit: Schema.String,
        resolution: Schema.Literals(["reading", "minute", "hour", "day"]),
        points: Schema.Array(
          Schema.Struct({
            at: Timestamp,
            value: Schema.Finite,
            minimum: Schema.optionalKey(Schema.Finite),
            maximum: Schema.optionalKey(Schema.Finite)
          })
        )
      })
    }),
    HttpApiEndpoint.get("intervals", "/datastreams/:id/intervals", {
      params: IdParam,
      /** Seconds: whole minutes, hours or days. */
      query: { ...SpanQuery, interval: whole(60, 366 * 86_400) },
      success: Schema.Struct({ unit: Schema.String, items: Schema.Array(IntervalView) })
    }),
    HttpApiEndpoint.get("exportCsv", "/datastreams/:id/readings.csv", {
      params: IdParam,
      query: SpanQuery,
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" }))
    }),
    HttpApiEndpoint.get("exportNdjson", "/datastreams/:id/readings.ndjson", {
      params: IdParam,
      query: SpanQuery,
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))
    }),
    HttpApiEndpoint.get("live", "/readings/live", {
      /** Lists are separated by commas. */
      query: {
        devices: Schema.optionalKey(Schema.String),
        groups: Schema.optionalKey(Schema.String),
        keys: Schema.optionalKey(Schema.String),
        /** A territory with all below it. */
        territory: Schema.optionalKey(Schema.String),
        /** Number of the batch after which to go on, as `Last-Event-ID`. Default: now. */
        after: Schema.optionalKey(Schema.String)
      },
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))
    }),
    HttpApiEndpoint.get("deadLetters", "/readings/dead-letters", {
      query: { ...IdPageQuery, ...deadFilter, open: Schema.optionalKey(Schema.Literals(["true", "false"])) },
      success: page(DeadLetterView)
    }),
    HttpApiEndpoint.post("replayDeadLetters", "/readings/dead-letters/replay", {
      /** The newest 500 of the filter; the cursor of the answer goes on. */
      payload: Schema.Struct({ ...deadFilter, cursor: Schema.optionalKey(Id) }),
      success: Schema.Struct({ tried: Schema.Int, stored: Schema.Int, cursor: Schema.optionalKey(Id) })
    }),
    HttpApiEndpoint.post("replayMessages", "/readings/replay", {
      /** What came in this time, of the device of this name or of all; a day at most. */
      payload: Schema.Struct({
        ...SpanQuery,
        name: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(100)))
      }),
      success: Schema.Struct({ messages: Schema.Int, stored: Schema.Int, dead: Schema.Int, refused: Schema.Int })
    })
  )
  .middleware(Door)

/** Readings of one datastream over a stretch of time: as they are, by interval, or as many points as a chart has room for. */
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { numbers } from "./arrays.ts"
import type { StoredDatastream } from "./datastreams.ts"
import { largestTriangles } from "./downsample.ts"
import { type Resolution, resolutions } from "./rollups.ts"

export interface Span {
  readonly from: Date
  readonly to: Date
}

export interface Bucket {
  readonly at: Date
  readonly readings: number
  readonly minimum: number
  readonly maximum: number
  readonly mean: number
  readonly total: number
  readonly first: number
  readonly last: number
}

/** Most rows that are read for one chart. */
const mostRows = 50_000

export const demandSpan = ({ from, to }: Span) =>
  from.getTime() < to.getTime()
    ? Effect.void
    : Effect.fail(
        new InvalidInput({ issues: [{ pointer: "#query/to", detail: "The end is not after the beginning." }] })
      )

/** Readings in the order of time; index: the primary key of each class's partitions. */
export const readingsOf = Effect.fnUntraced(function* (
  { number, retentions }: StoredDatastream,
  { from, to }: Span,
  after: { readonly at: Date; readonly sequence: number } | undefined,
  limit: number
) {
  const { sql, tenantId } = yield* TenantTx
  const at = after?.at ?? from
  const rows = yield* sql<{ at: Date; sequence: string; value: number; quality: number }>`
    select at, r.sequence::text, value, quality::int from mahalla.reading r
    where tenant_id = ${tenantId} and datastream = ${number} and retention = any (${numbers(retentions, (days) => days)}::smallint[])
      and at >= ${at} and at < ${to} and (at, r.sequence) > (${at}, ${after?.sequence ?? -1})
    order by at, r.sequence limit ${limit}`
  return rows.map((row) => ({ ...row, sequence: Number(row.sequence) }))
})

/** By interval, from the widest roll-up that fits into it; empty intervals are left out. `interval` in milliseconds, a minute at least. */
export const bucketsOf = Effect.fn("telemetry.buckets")(function* (
  { number }: StoredDatastream,
  { from, to }: Span,
  interval: number
) {
  const { sql, tenantId } = yield* TenantTx
  const fits = (["day", "hour", "minute"] as const).find((name) => interval % resolutions[name].width === 0)
  if (fits === undefined)
    return yield* new InvalidInput({
      issues: [{ pointer: "#query/interval", detail: "The interval is whole minutes, hours or days." }]
    })
  const amount = (to.getTime() - from.getTime()) / interval
  if (amount > mostRows)
    return yield* new InvalidInput({
      issues: [
        { pointer: "#query/interval", detail: `That would be ${Math.ceil(amount)} intervals; ${mostRows} is the most.` }
      ]
    })
  const { table } = resolutions[fits]
  // With the one that the span begins in.
  const begin = new Date(Math.floor(from.getTime() / interval) * interval)
  // Index: the primary key of the roll-up's partitions.
  return yield* sql<Bucket>`
    select bucket as at, sum(readings)::float8 as readings, min(minimum) as minimum, max(maximum) as maximum, sum(total) / sum(readings) as mean,
      sum(total) as total, (array_agg(first order by first_at))[1] as first, (array_agg(last order by last_at desc))[1] as last
    from (
      select to_timestamp(floor(extract(epoch from at)::float8 * 1000 / ${interval}::float8) * ${interval}::float8 / 1000) as bucket, b.*
      from ${sql(`mahalla.${table}`)} b where tenant_id = ${tenantId} and datastream = ${number} and at >= ${begin} and at < ${to}
    ) rows
    group by bucket order by bucket`
})

/** The finest resolution of which a span has not more than this many buckets; undefined where readings themselves are few enough. */
const resolutionFor = ({ from, to }: Span, points: number): Resolution => {
  const width = (to.getTime() - from.getTime()) / points
  return (["day", "hour", "minute"] as const).find((name) => resolutions[name].width <= width) ?? "minute"
}

export interface Chart {
  /** What the points are made of. */
  readonly resolution: Resolution | "reading"
  readonly points: ReadonlyArray<{
    readonly at: Date
    readonly value: number
    readonly minimum?: number
    readonly maximum?: number
  }>
}

/** At most about `points` points that look like the whole: means with extremes, or the readings that shape the line. */
export const chartOf = Effect.fn("telemetry.chart")(function* (
  datastream: StoredDatastream,
  span: Span,
  points: number,
  method: "extremes" | "triangles"
) {
  const length = span.to.getTime() - span.from.getTime()
  // Short spans are shown as they were measured, as long as they are not too many.
  if (length <= points * resolutions.minute.width) {
    const readings = yield* readingsOf(datastream, span, undefined, points * 20 + 1)
    if (readings.length <= points * 20) {
      const line = readings.map(({ at, value }) => ({ at: at.getTime(), value }))
      return {
        resolution: "reading",
        points: largestTriangles(line, points).map(({ at, value }) => ({ at: new Date(at), value }))
      } satisfies Chart
    }
  }
  const resolution = resolutionFor(span, points)
  const { width } = resolutions[resolution]
  const interval = Math.max(width, Math.ceil(length / points / width) * width)
  // As fine as may be read at once.
  const finest = Math.max(width, Math.ceil(length / mostRows / width) * width)
  const buckets = yield* bucketsOf(datastream, span, method === "extremes" ? interval : finest)
  if (method === "extremes")
    return {
      resolution,
      points: buckets.map(({ at, maximum, mean, minimum }) => ({ at, value: mean, minimum, maximum }))
    } satisfies Chart
  const line = buckets.map(({ at, mean }) => ({ at: at.getTime(), value: mean }))
  return {
    resolution,
    points: largestTriangles(line, points).map(({ at, value }) => ({ at: new Date(at), value }))
  } satisfies Chart
})

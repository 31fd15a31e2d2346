/**
 * Roll-ups by minute, hour and day: counts, totals, extremes, first and last of the readings whose own time is in the bucket, whenever they came.
 * Gathered in memory and added to the rows in one statement; shuffled readings give the same rows as ordered ones, totals up to rounding.
 */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { numbers } from "./arrays.ts"
import type { Checked } from "./check.ts"

export const resolutions = {
  minute: { width: 60_000, table: "reading_minute" },
  hour: { width: 3_600_000, table: "reading_hour" },
  day: { width: 86_400_000, table: "reading_day" }
} as const
export type Resolution = keyof typeof resolutions

interface Bucket {
  readonly datastream: number
  readonly at: number
  readings: number
  total: number
  minimum: number
  maximum: number
  firstAt: number
  firstSequence: number
  first: number
  lastAt: number
  lastSequence: number
  last: number
}

/** Buckets of one width that are not written yet. */
export class Buckets {
  private buckets = new Map<number, Bucket>()
  private readonly width: number

  constructor(width: number) {
    this.width = width
  }

  get size(): number {
    return this.buckets.size
  }

  add({ at, sequence, stream, value }: Checked): void {
    const slot = Math.floor(at / this.width)
    // Minutes since 1970 are below 2^26 until 2097.
    const key = stream.number * 67_108_864 + slot
    const bucket = this.buckets.get(key)
    if (bucket === undefined) {
      this.buckets.set(key, {
        datastream: stream.number,
        at: slot * this.width,
        readings: 1,
        total: value,
        minimum: value,
        maximum: value,
        firstAt: at,
        firstSequence: sequence,
        first: value,
        lastAt: at,
        lastSequence: sequence,
        last: value
      })
      return
    }
    bucket.readings++
    bucket.total += value
    if (value < bucket.minimum) bucket.minimum = value
    if (value > bucket.maximum) bucket.maximum = value
    if (at < bucket.firstAt || (at === bucket.firstAt && sequence < bucket.firstSequence)) {
      bucket.firstAt = at
      bucket.firstSequence = sequence
      bucket.first = value
    }
    if (at > bucket.lastAt || (at === bucket.lastAt && sequence > bucket.lastSequence)) {
      bucket.lastAt = at
      bucket.lastSequence = sequence
      bucket.last = value
    }
  }

  /** What was gathered, by datastream and time; the buckets stay until `clear`. */
  rows(): ReadonlyArray<Bucket> {
    return [...this.buckets.values()].sort((left, right) => left.datastream - right.datastream || left.at - right.at)
  }

  clear(): void {
    this.buckets = new Map()
  }
}

/** Adds buckets to their table. */
export const addBuckets = Effect.fnUntraced(function* (resolution: Resolution, rows: ReadonlyArray<Bucket>) {
  if (rows.length === 0) return
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into ${sql(`mahalla.${resolutions[resolution].table}`)} as b (tenant_id, datastream, at, readings, total, minimum, maximum,
      first_at, first, last_at, last)
    select ${tenantId}, datastream, to_timestamp(at / 1000), readings, total, minimum, maximum, to_timestamp(first_at / 1000), first,
      to_timestamp(last_at / 1000), last
    from unnest(${numbers(rows, (row) => row.datastream)}::bigint[], ${numbers(rows, (row) => row.at)}::float8[],
      ${numbers(rows, (row) => row.readings)}::bigint[], ${numbers(rows, (row) => row.total)}::float8[], ${numbers(rows, (row) => row.minimum)}::float8[],
      ${numbers(rows, (row) => row.maximum)}::float8[], ${numbers(rows, (row) => row.firstAt)}::float8[], ${numbers(rows, (row) => row.first)}::float8[],
      ${numbers(rows, (row) => row.lastAt)}::float8[], ${numbers(rows, (row) => row.last)}::float8[])
      as r (datastream, at, readings, total, minimum, maximum, first_at, first, last_at, last)
    on conflict (tenant_id, datastream, at) do update set
      readings = b.readings + excluded.readings,
      total = b.total + excluded.total,
      minimum = least(b.minimum, excluded.minimum),
      maximum = greatest(b.maximum, excluded.maximum),
      first_at = least(b.first_at, excluded.first_at),
      first = case when excluded.first_at < b.first_at then excluded.first else b.first end,
      last_at = greatest(b.last_at, excluded.last_at),
      last = case when excluded.last_at >= b.last_at then excluded.last else b.last end`
})

/** Last values by event time, minutes, and when each device was heard: what screens look at, written within moments. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { numbers } from "./arrays.ts"
import { type Checked, quality } from "./check.ts"
import type { Follower } from "./Follower.ts"
import { ensurePartition } from "./partitions.ts"
import type { Device } from "./registry.ts"
import { addBuckets, Buckets, resolutions } from "./rollups.ts"

interface Last {
  readonly reading: Checked
  readonly receivedAt: number
}

interface Heard {
  readonly device: Device
  at: number
  receivedAt: number
}

/** Milliseconds after its last word at which a device counts as offline: two and a half of its profile's intervals, and a minute at least over one. */
export const patienceOf = (interval: number): number => Math.max(2.5 * interval, interval + 60) * 1000

const writeLast = Effect.fnUntraced(function* (lasts: ReadonlyArray<Last>) {
  const { sql, tenantId } = yield* TenantTx
  yield* sql`
    insert into mahalla.datastream_last as l (tenant_id, datastream, at, sequence, value, quality, received_at)
    select ${tenantId}, datastream, to_timestamp(at / 1000), sequence, value, quality, to_timestamp(received / 1000)
    from unnest(${numbers(lasts, ({ reading }) => reading.stream.number)}::bigint[], ${numbers(lasts, ({ reading }) => reading.at)}::float8[],
      ${numbers(lasts, ({ reading }) => reading.sequence)}::bigint[], ${numbers(lasts, ({ reading }) => reading.value)}::float8[],
      ${numbers(lasts, ({ reading }) => reading.quality)}::smallint[], ${numbers(lasts, ({ receivedAt }) => receivedAt)}::float8[])
      as r (datastream, at, sequence, value, quality, received)
    on conflict (tenant_id, datastream) do update set at = excluded.at, sequence = excluded.sequence, value = excluded.value,
      quality = excluded.quality, received_at = excluded.received_at
    where (l.at, l.sequence) < (excluded.at, excluded.sequence)`
})

const writeHeard = Effect.fnUntraced(function* (heard: ReadonlyArray<Heard>) {
  const { sql, tenantId } = yield* TenantTx
  const due = numbers(heard, ({ device, receivedAt }) => {
    const { interval } = device.profile.definition
    return interval === undefined ? null : receivedAt + patienceOf(interval)
  })
  yield* sql`
    insert into mahalla.device_presence as p (tenant_id, device_id, seen_at, received_at, due_at)
    select ${tenantId}, device, to_timestamp(at / 1000), to_timestamp(received / 1000), to_timestamp(due / 1000)
    from unnest(${heard.map(({ device }) => device.id)}::uuid[], ${numbers(heard, ({ at }) => at)}::float8[],
      ${numbers(heard, ({ receivedAt }) => receivedAt)}::float8[], ${due}::float8[]) as r (device, at, received, due)
    on conflict (tenant_id, device_id) do update set seen_at = greatest(p.seen_at, excluded.seen_at),
      received_at = greatest(p.received_at, excluded.received_at),
      due_at = case when excluded.received_at < p.received_at then p.due_at else excluded.due_at end,
      offline_since = case when excluded.received_at > coalesce(p.offline_since, '-infinity') then null else p.offline_since end`
})

const byDevice = (left: Heard, right: Heard) => (left.device.id < right.device.id ? -1 : 1)

export const recent: Follower = {
  id: "recent",
  every: 2000,
  pause: 100,
  most: 100_000,
  open: () =>
    Effect.sync(() => {
      const minutes = new Buckets(resolutions.minute.width)
      const lasts = new Map<number, Last>()
      const heard = new Map<string, Heard>()
      const take = (readings: ReadonlyArray<Checked>, receivedAt: number) => {
        for (const reading of readings) {
          const { at, sequence, stream } = reading
          minutes.add(reading)
          if ((reading.quality & quality.historical) === 0) {
            const last = lasts.get(stream.number)?.reading
            if (last === undefined || at > last.at || (at === last.at && sequence > last.sequence))
              lasts.set(stream.number, { reading, receivedAt })
          }
          const { device } = stream
          const known = heard.get(device.id)
          if (known === undefined) heard.set(device.id, { device, at, receivedAt })
          else {
            known.at = Math.max(known.at, at)
            known.receivedAt = receivedAt
          }
        }
      }
      return {
        take: ({ readings, receivedAt }) => Effect.sync(() => take(readings, receivedAt)),
        waiting: () => minutes.size,
        prepare: Effect.suspend(() => partitionsOf("reading_minute", minutes.rows())),
        write: Effect.suspend(() =>
          Effect.gen(function* () {
            yield* addBuckets("minute", minutes.rows())
            yield* writeLast(
              [...lasts.values()].sort((left, right) => left.reading.stream.number - right.reading.stream.number)
            )
            yield* writeHeard([...heard.values()].sort(byDevice))
          })
        ),
        cleared: () => {
          minutes.clear()
          lasts.clear()
          heard.clear()
        }
      }
    })
}

const partitionsOf = (parent: string, rows: ReadonlyArray<{ readonly at: number }>) =>
  Effect.forEach(
    new Set(rows.map(({ at }) => Math.floor(at / 86_400_000) * 86_400_000)),
    (at) => ensurePartition(parent, at),
    {
      discard: true
    }
  )

/** Hours and days: written seldom, for every reading is in one of each. */
export const hours: Follower = {
  id: "hours",
  every: 30_000,
  pause: 1000,
  most: 200_000,
  open: () =>
    Effect.sync(() => {
      const hour = new Buckets(resolutions.hour.width)
      const day = new Buckets(resolutions.day.width)
      return {
        take: ({ readings }) =>
          Effect.sync(() => {
            for (const reading of readings) {
              hour.add(reading)
              day.add(reading)
            }
          }),
        waiting: () => hour.size + day.size,
        prepare: Effect.suspend(() =>
          Effect.andThen(partitionsOf("reading_hour", hour.rows()), partitionsOf("reading_day", day.rows()))
        ),
        write: Effect.suspend(() => Effect.andThen(addBuckets("hour", hour.rows()), addBuckets("day", day.rows()))),
        cleared: () => {
          hour.clear()
          day.clear()
        }
      }
    })
}

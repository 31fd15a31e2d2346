/** Partitions of readings and of what goes with them: made before they are needed, dropped when their time is over. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { retentionClasses } from "./profile.ts"

const day = 86_400_000

/** Makes the partition of a table for a moment. */
export const ensurePartition = (parent: string, at: number) =>
  withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`select from mahalla.ensure_telemetry_partition(${parent}, to_timestamp(${at / 1000}))`
    )
  )

/** Makes those of readings of the given classes and times; each time one that a batch could not be stored without. */
export const ensureReadingPartitions = Effect.fnUntraced(function* (
  readings: ReadonlyArray<{ readonly at: number; readonly stream: { readonly retention: number } }>
) {
  const days = new Map<string, { readonly parent: string; readonly at: number }>()
  for (const { at, stream } of readings) {
    const parent = `reading_${stream.retention}`
    days.set(`${parent} ${Math.floor(at / day)}`, { parent, at })
  }
  yield* Effect.forEach(days.values(), ({ at, parent }) => ensurePartition(parent, at), { discard: true })
})

/** Days that roll-ups and raw messages are kept. */
const kept = [
  ["raw_message", 3],
  ["reading_minute", 400],
  ["reading_hour", 3660]
] as const

/** Every ten minutes: partitions of the next two days are there before anything is for them, and those whose time is over go. */
export const keepPartitions = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  const parents = [
    ...retentionClasses.map((days) => [`reading_${days}`, days] as const),
    ...kept,
    ["reading_day", 0] as const
  ]
  const keep = Effect.fnUntraced(function* ([parent, days]: readonly [string, number]) {
    for (const at of [now - day, now, now + day, now + 2 * day]) yield* ensurePartition(parent, at)
    if (days === 0) return
    const before = (now - days * day) / 1000
    const dropped = yield* withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) =>
          sql<{ dropped: ReadonlyArray<string> }>`
            select mahalla.drop_telemetry_partitions(${parent}, to_timestamp(${before})) as dropped`
      )
    )
    const names = dropped[0]?.dropped ?? []
    if (names.length > 0) yield* Effect.logInfo(`Readings kept for ${days} days: dropped ${names.join(", ")}`)
  })
  // One that somebody reads for long cannot be dropped just now; the others can.
  for (const parent of parents)
    yield* Effect.catch(keep(parent), (error) =>
      Effect.logWarning(`Partitions of ${parent[0]} were not kept in order and are looked at again later`, error)
    )
})

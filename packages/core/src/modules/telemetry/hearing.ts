/**
 * When nobody listened. A city that was down for an hour has heard nothing of any device, and its first look at the clock must not call all of
 * them silent: whoever was due in that hour may take as long once more, from when the city listens again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx } from "../../kernel/db/Database.ts"
import type { Deafness } from "./rules/model.ts"

/** Milliseconds between two words of ours at most, while we work. */
export const hearingEvery = 5_000
/** So much longer nobody worked. A restart is shorter. */
const tolerated = 15_000
/** Stretches that are looked at; what was before is long decided. */
const most = 100

/** Notes that somebody works, and tells when nobody did: the latest outages, the oldest first. Of the platform's transaction. */
export const noteHearing = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  const now = yield* Clock.currentTimeMillis
  const goesOn = yield* sql`
    update mahalla.telemetry_hearing set until_at = greatest(until_at, ${new Date(now)})
    where from_at = (select max(from_at) from mahalla.telemetry_hearing) and until_at >= ${new Date(now - tolerated)} returning from_at`
  if (goesOn.length === 0) {
    yield* sql`
      insert into mahalla.telemetry_hearing (from_at, until_at) values (${new Date(now)}, ${new Date(now)}) on conflict do nothing`
    yield* sql`
      delete from mahalla.telemetry_hearing where from_at <
        (select from_at from mahalla.telemetry_hearing order by from_at desc offset ${most} limit 1)`
  }
  const stretches = yield* sql<{ from: Date; until: Date }>`
    select from_at as "from", until_at as until from mahalla.telemetry_hearing order by from_at`
  const deaf: Array<Deafness> = []
  let last: number | undefined
  for (const { from, until } of stretches) {
    // Two processes that come back at one moment begin one each.
    if (last !== undefined && from.getTime() - last > tolerated) deaf.push({ from: last, until: from.getTime() })
    last = Math.max(last ?? 0, until.getTime())
  }
  return { now, deaf }
})

/**
 * Work that only one process may do at a time, held by a row in the database. A lease makes it rare that two do it; what must never
 * happen twice is guarded by the work's own locks and unique keys.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { PlatformTx, withPlatform } from "../db/Database.ts"

/** Takes or prolongs a lease for `seconds`; true when it is ours. */
export const takeLease = Effect.fnUntraced(function* (name: string, holder: string, seconds: number) {
  const { sql } = yield* PlatformTx
  const rows = yield* sql`
    insert into mahalla.lease as held (name, holder, until) values (${name}, ${holder}, now() + make_interval(secs => ${seconds}))
    on conflict (name) do update
      set holder = excluded.holder, until = excluded.until, term = held.term + (held.holder <> excluded.holder)::int
      where held.holder = excluded.holder or held.until < now()
    returning term`
  return rows.length === 1
})

/** Gives a lease back, so that another process need not wait for it to run out. */
export const dropLease = Effect.fnUntraced(function* (name: string, holder: string) {
  const { sql } = yield* PlatformTx
  yield* sql`delete from mahalla.lease where name = ${name} and holder = ${holder}`
})

/** Seconds after which others go on when whoever works alone has died. */
const aloneFor = 10

/** Runs work while the holder has the lease, and waits for whoever has it. Of one holder two at once do not wait for each other. */
export const alone =
  (name: string, holder: string) =>
  <A, E, R>(work: Effect.Effect<A, E, R>) => {
    const take = withPlatform(takeLease(name, holder, aloneFor))
    const ours = Effect.repeat(take, { until: (taken) => taken, schedule: Schedule.spaced("250 millis") })
    const kept = Effect.ignore(take).pipe(Effect.delay(Duration.seconds(aloneFor / 3)), Effect.forever)
    return Effect.andThen(ours, Effect.raceFirst(work, kept)).pipe(
      Effect.ensuring(Effect.ignore(withPlatform(dropLease(name, holder))))
    )
  }

export interface LeaderOptions {
  readonly name: string
  readonly holder: string
  /** Seconds a lease lasts without renewal; another process waits so long after a crash. Default 10. */
  readonly seconds?: number
}

/**
 * Runs `turn` again and again while this process holds the lease; waits for it otherwise. The lease is renewed when a third of it
 * has passed, so a turn must be shorter than the other two thirds. Never ends by itself.
 */
export const whileLeader = <E, R>(options: LeaderOptions, turn: Effect.Effect<void, E, R>) => {
  const seconds = options.seconds ?? 10
  const term = Effect.gen(function* () {
    // Time that nobody sets: a clock that is put back a day must not make a leader who holds no lease any more.
    const began = yield* Clock.monotonicTimeNanos
    const ours = yield* withPlatform(takeLease(options.name, options.holder, seconds))
    if (!ours) return yield* Effect.sleep(Duration.seconds(seconds / 3))
    while (Number((yield* Clock.monotonicTimeNanos) - began) / 1e9 < seconds / 3) yield* turn
  })
  return term.pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.logWarning(`${options.name}: a turn failed and is tried again`, cause).pipe(
            Effect.andThen(Effect.sleep("1 second"))
          )
    ),
    Effect.repeat(Schedule.forever),
    Effect.ensuring(Effect.ignore(withPlatform(dropLease(options.name, options.holder))))
  )
}

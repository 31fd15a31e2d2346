/** A clock of the wall that can be set while something runs, as a person, NTP or a restored machine sets it. What time passes stays as it is. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

export const jumpingClock = Effect.map(Clock.Clock, (clock) => {
  let ahead = 0
  const now = () => clock.currentTimeMillisUnsafe() + ahead
  const jumping = Object.assign(Object.create(clock) as Clock.Clock, {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now)
  })
  return {
    /** So many seconds ahead of the real one, or behind. */
    set: (seconds: number) => {
      ahead = seconds * 1000
    },
    by: <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.provideService(self, Clock.Clock, jumping)
  }
})

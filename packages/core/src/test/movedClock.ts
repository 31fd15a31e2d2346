/** Time for tests that cannot wait: an effect as if so many seconds had passed. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

export const after =
  (seconds: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Clock.Clock, (clock) =>
      Effect.provideService(
        self,
        Clock.Clock,
        Object.assign(Object.create(clock) as Clock.Clock, {
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + seconds * 1000,
          currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + seconds * 1000)
        })
      )
    )

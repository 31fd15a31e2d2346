/**
 * A codec that was too slow three times in a row is not asked for a minute: its messages would keep the threads from everybody else's.
 * They fail at once, with the same reason, and can be replayed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CodecFailure } from "./model.ts"

const strikes = 3
const milliseconds = 60_000
/** Slow codecs that are remembered. */
const most = 1_000

/** Sits out a codec's turn, or lets it run and watches how it ends. */
export const makeQuarantine = () => {
  const slow = new Map<string, { readonly count: number; readonly since: number }>()

  return <A>(source: string, run: Effect.Effect<A, CodecFailure>): Effect.Effect<A, CodecFailure> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const before = slow.get(source)
      if (before !== undefined && before.count >= strikes && now - before.since < milliseconds)
        return Effect.fail(
          new CodecFailure({
            reason: "codec-too-slow",
            message: `The codec was too slow ${strikes} times in a row and is not asked for a minute.`
          })
        )
      return run.pipe(
        Effect.tap(() => Effect.sync(() => slow.delete(source))),
        Effect.tapError((failure) =>
          Effect.sync(() => {
            if (failure.reason !== "codec-too-slow") return slow.delete(source)
            const oldest = slow.keys().next().value
            if (slow.size >= most && oldest !== undefined) slow.delete(oldest)
            return slow.set(source, { count: (slow.get(source)?.count ?? 0) + 1, since: now })
          })
        )
      )
    })
}

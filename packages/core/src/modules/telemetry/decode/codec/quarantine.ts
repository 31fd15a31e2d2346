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

interface Strikes {
  readonly count: number
  readonly since: number
}

const add = (to: Map<string, Strikes>, source: string, now: number): number => {
  const oldest = to.keys().next().value
  if (to.size >= most && oldest !== undefined) to.delete(oldest)
  const count = (to.get(source)?.count ?? 0) + 1
  to.set(source, { count, since: now })
  return count
}

export const makeQuarantine = () => {
  const slow = new Map<string, Strikes>()
  /** Codecs whose thread was still busy with them when another's message came; their own messages may go well meanwhile. */
  const holding = new Map<string, Strikes>()
  const isOut = (of: Map<string, Strikes>, source: string, now: number) => {
    const before = of.get(source)
    return before !== undefined && before.count >= strikes && now - before.since < milliseconds
  }

  return {
    /** It held a thread after its own call. */
    strike: (source: string) => Effect.map(Clock.currentTimeMillis, (now) => void add(holding, source, now)),
    /** Sits out a codec's turn, or lets it run and watches how it ends. */
    guard: <A>(source: string, run: Effect.Effect<A, CodecFailure>): Effect.Effect<A, CodecFailure> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (isOut(slow, source, now) || isOut(holding, source, now))
          return Effect.fail(
            new CodecFailure({
              reason: "codec-too-slow",
              message: `The codec was too slow ${strikes} times in a row and is not asked for a minute.`
            })
          )
        return run.pipe(
          Effect.tap(() => Effect.sync(() => slow.delete(source))),
          Effect.tapError((failure) =>
            Effect.sync(() => (failure.reason === "codec-too-slow" ? add(slow, source, now) : slow.delete(source)))
          )
        )
      })
  }
}

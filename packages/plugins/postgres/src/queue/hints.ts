/**
 * Hints that something may be ready: at once within this process, and over LISTEN and NOTIFY between processes, where a burst of
 * sends becomes one notification.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Listener } from "../listener.ts"
import { channelName, type Notifier } from "../notifier.ts"

/** The kernel publishes on this channel after the commit of a transaction that wrote jobs. */
const channel = "jobs"

export interface Hints {
  /** Tells this process now and the others soon. */
  readonly give: Effect.Effect<void>
  readonly stream: Stream.Stream<void>
}

export const makeHints = (listener: Listener, notifier: Notifier): Effect.Effect<Hints, never, Scope.Scope> =>
  Effect.gen(function* () {
    const self = randomBytes(6).toString("hex")
    const sleepers = new Set<Queue.Queue<void>>()
    const wake = Effect.sync(() => {
      for (const sleeper of sleepers) Queue.offerUnsafe(sleeper, undefined)
    })
    const pending = yield* Queue.sliding<void>(1)
    yield* Queue.take(pending).pipe(
      Effect.andThen(Effect.ignore(notifier.notify(channel, self))),
      Effect.andThen(Effect.sleep("5 millis")),
      Effect.forever,
      Effect.forkScoped
    )
    yield* listener
      .subscribe(channelName(channel))
      .pipe(
        Effect.flatMap(
          Stream.runForEach((signal) => (signal.type === "message" && signal.body === self ? Effect.void : wake))
        ),
        Effect.scoped,
        Effect.forkScoped
      )
    return {
      give: Effect.andThen(wake, Effect.asVoid(Queue.offer(pending, undefined))),
      stream: Stream.unwrap(
        Effect.map(
          Effect.acquireRelease(
            Effect.tap(Queue.sliding<void>(1), (sleeper) => Effect.sync(() => sleepers.add(sleeper))),
            (sleeper) =>
              Effect.andThen(
                Effect.sync(() => sleepers.delete(sleeper)),
                Queue.shutdown(sleeper)
              )
          ),
          (sleeper) => Stream.fromQueue(sleeper)
        )
      )
    }
  })

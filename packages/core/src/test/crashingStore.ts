/** A blob store whose calls stop for ever where a test wants it: what a process that was killed there leaves behind. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { BlobStore } from "../ports/BlobStore.ts"

export class Crash extends Context.Service<
  Crash,
  {
    /** Stops the call after so many, before or after it did its work, and every later one; the result waits until it is there. */
    readonly after: (calls: number, moment: "before" | "after") => Effect.Effect<Deferred.Deferred<void>>
    /** Calls go through again. Those that stand still do so for ever. */
    readonly over: Effect.Effect<void>
  }
>()("test/Crash") {}

export const crashing = (real: Layer.Layer<BlobStore>): Layer.Layer<BlobStore | Crash> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const store = yield* BlobStore
      let plan:
        { left: number; readonly moment: "before" | "after"; readonly dead: Deferred.Deferred<void> } | undefined
      const step = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
        Effect.suspend(() => {
          const current = plan
          if (current === undefined) return self
          const left = current.left--
          if (left > 0) return self
          const stop = Effect.andThen(Deferred.succeed(current.dead, undefined), Effect.never)
          return left === 0 && current.moment === "after" ? Effect.andThen(self, stop) : stop
        })
      const service: BlobStore["Service"] = {
        ...store,
        put: (...given) => step(store.put(...given)),
        get: (...given) => Stream.unwrap(step(Effect.sync(() => store.get(...given)))),
        compose: (...given) => step(store.compose(...given)),
        delete: (...given) => step(store.delete(...given)),
        list: (...given) => step(store.list(...given))
      }
      return Context.make(BlobStore, service).pipe(
        Context.add(Crash, {
          after: (calls, moment) =>
            Effect.map(Deferred.make<void>(), (dead) => {
              plan = { left: calls, moment, dead }
              return dead
            }),
          over: Effect.sync(() => void (plan = undefined))
        })
      )
    })
  ).pipe(Layer.provide(real))

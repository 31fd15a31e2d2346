/**
 * A bus inside one process, for tests: the port's promises and nothing else.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { checkBusMessage, EventBus, type BusSignal } from "../ports/EventBus.ts"
import { EventBusControl } from "./EventBus.suite.ts"

interface Hearer {
  readonly channel: string
  readonly signals: Queue.Queue<BusSignal>
}

const member = (hearers: Set<Hearer>): EventBus["Service"] => ({
  publish: (channel, body) =>
    Effect.suspend(() => {
      const refusal = checkBusMessage("publish", channel, body)
      if (refusal !== undefined) return Effect.fail(refusal)
      for (const hearer of hearers)
        if (hearer.channel === channel) Queue.offerUnsafe(hearer.signals, { type: "message", body })
      return Effect.void
    }),
  subscribe: (channel) =>
    Effect.gen(function* () {
      const refusal = checkBusMessage("subscribe", channel)
      if (refusal !== undefined) return yield* refusal
      const hearer = { channel, signals: yield* Queue.unbounded<BusSignal>() }
      yield* Effect.acquireRelease(
        Effect.sync(() => hearers.add(hearer)),
        () =>
          Effect.andThen(
            Effect.sync(() => hearers.delete(hearer)),
            Queue.shutdown(hearer.signals)
          )
      )
      return Stream.fromQueue(hearer.signals)
    })
})

/** An EventBus in memory, with the hand that cuts it. */
export const memoryEventBus = (): Layer.Layer<EventBus | EventBusControl> =>
  Layer.effectContext(
    Effect.sync(() => {
      const hearers = new Set<Hearer>()
      return Context.make(EventBus, member(hearers)).pipe(
        Context.add(EventBusControl, {
          peer: member(hearers),
          cut: Effect.sync(() => {
            for (const { signals } of hearers) Queue.offerUnsafe(signals, { type: "gap" })
          })
        })
      )
    })
  )

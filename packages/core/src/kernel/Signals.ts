/**
 * Wake-ups: "there is something new" within the process at once, between processes coalesced over the bus. Nothing depends on them
 * for truth; who sleeps also looks by itself now and then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import type * as Duration from "effect/Duration"

export interface Signal {
  readonly wake: Effect.Effect<void>
  /** Until the next wake-up, or at most so long; a wake-up between two waits counts for the second. */
  readonly wait: (atMost: Duration.Input) => Effect.Effect<void>
}

export const makeSignal: Effect.Effect<Signal> = Effect.map(Queue.sliding<void>(1), (queue) => ({
  wake: Effect.asVoid(Queue.offer(queue, undefined)),
  wait: (atMost) => Effect.asVoid(Effect.timeoutOption(Queue.take(queue), atMost))
}))

/** A tenant's order has grown to this position. */
export interface OrderGrew {
  readonly tenantId: string
  readonly position: bigint
}

export class Signals extends Context.Service<
  Signals,
  {
    /** Events were written: the sequencer has work. */
    readonly written: Signal
    /** The order has grown: consumers have work. */
    readonly ordered: Signal
    /** Jobs were written. */
    readonly jobs: Signal
    /** For live feeds; a slow reader loses the oldest and reads the order instead. */
    readonly order: PubSub.PubSub<OrderGrew>
  }
>()("@mahalla/kernel/Signals") {}

export const makeSignals = Effect.gen(function* () {
  return {
    written: yield* makeSignal,
    ordered: yield* makeSignal,
    jobs: yield* makeSignal,
    order: yield* PubSub.sliding<OrderGrew>(1024)
  }
})

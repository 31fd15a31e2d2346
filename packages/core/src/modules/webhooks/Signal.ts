/** Wakes the courier of this process; couriers of others look by themselves now and then. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeSignal, type Signal } from "../../kernel/Signals.ts"

export class CourierSignal extends Context.Service<CourierSignal, Signal>()("@mahalla/webhooks/CourierSignal") {
  static readonly layer = Layer.effect(
    CourierSignal,
    Effect.map(makeSignal, (signal) => CourierSignal.of(signal))
  )
}

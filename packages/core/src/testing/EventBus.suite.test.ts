import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import { EventBus, type EventBusError } from "../ports/EventBus.ts"
import { memoryEventBus } from "./EventBus.memory.ts"
import { EventBusControl, eventBusSuite } from "./EventBus.suite.ts"

eventBusSuite.run({ describe, it }, { name: "memory", layer: memoryEventBus() })

type Service = EventBus["Service"]
type Break = (service: Service) => Partial<Service>

/** The fake in memory with one thing spoiled. */
const broken = (spoil: Break) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const service = yield* EventBus
      const control = yield* EventBusControl
      return Context.make(EventBus, EventBus.of({ ...service, ...spoil(service) })).pipe(
        Context.add(EventBusControl, control)
      )
    })
  ).pipe(Layer.provide(memoryEventBus()))

/** Takes what the port must refuse. */
const lenient =
  (reason: EventBusError["reason"]): Break =>
  (service) => ({
    publish: (channel, body) =>
      Effect.catch(service.publish(channel, body), (error) =>
        error.reason === reason ? Effect.void : Effect.fail(error)
      )
  })

const breaks: Record<string, Break> = {
  "delivers to every subscriber of the channel": (service) => {
    let subscribers = 0
    return {
      subscribe: (channel) => Effect.map(service.subscribe(channel), (all) => (++subscribers > 1 ? Stream.never : all))
    }
  },
  "delivers to another process, and hears it": (service) => {
    const own = new Set<string>()
    return {
      publish: (channel, body) => Effect.suspend(() => (own.add(body), service.publish(channel, body))),
      subscribe: (channel) =>
        Effect.map(
          service.subscribe(channel),
          Stream.filter((signal) => signal.type === "gap" || own.has(signal.body))
        )
    }
  },
  "keeps the publisher's order and every repetition": (service) => {
    let last: string | undefined
    return {
      publish: (channel, body) =>
        Effect.suspend(() =>
          last === "6" && body === "0"
            ? Effect.sync(() => (last = body))
            : ((last = body), service.publish(channel, body))
        )
    }
  },
  "keeps channels apart": (service) => ({
    subscribe: () => service.subscribe("all"),
    publish: (_, body) => service.publish("all", body)
  }),
  "lets a subscriber leave without disturbing the others": (service) => {
    let left = false
    return {
      publish: (channel, body) => (left ? Effect.void : service.publish(channel, body)),
      subscribe: (channel) =>
        Effect.andThen(
          Effect.addFinalizer(() => Effect.sync(() => (left = true))),
          service.subscribe(channel)
        )
    }
  },
  "carries any text of up to 4,000 bytes unchanged": (service) => ({
    publish: (channel, body) => service.publish(channel, body.trim())
  }),
  "refuses a longer body as TooLarge": lenient("TooLarge"),
  "refuses a bad channel name as InvalidChannel": lenient("InvalidChannel"),
  "keeps each publisher's order in a burst from many": (service) => ({
    publish: (channel, body) =>
      body.endsWith("/7")
        ? Effect.asVoid(Effect.forkDetach(Effect.andThen(Effect.sleep(5), service.publish(channel, body))))
        : service.publish(channel, body)
  }),
  "says gap after a lost connection and goes on": (service) => ({
    subscribe: (channel) =>
      Effect.map(
        service.subscribe(channel),
        Stream.filter((signal) => signal.type !== "gap")
      )
  })
}

describe("EventBus: a broken fake for each rule", () => {
  it("covers every rule", () => {
    expect(Object.keys(breaks).sort()).toEqual(eventBusSuite.rules.map(({ name }) => name).sort())
  })
  for (const [rule, spoil] of Object.entries(breaks))
    it.concurrent(`${rule}`, async () => {
      expect(await eventBusSuite.verdict(rule, broken(spoil))).toBe("broken")
    })
})

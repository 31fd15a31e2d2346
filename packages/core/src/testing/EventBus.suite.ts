/**
 * What every bus must keep. Rules about other processes and lost connections need a layer that also provides `EventBusControl`;
 * without it they are left out, with that reason.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { EventBus, type BusSignal, type EventBusError } from "../ports/EventBus.ts"
import { makeSuite, type Rule } from "./conformance.ts"

type Service = EventBus["Service"]

/** A hand on the wire. */
export class EventBusControl extends Context.Service<
  EventBusControl,
  {
    /** Another member of the same bus, as a second process has it. */
    readonly peer: Service
    /** Cuts every connection that listens, once. */
    readonly cut: Effect.Effect<void>
  }
>()("@mahalla/testing/EventBusControl") {}

const fresh = () => `t_${randomBytes(8).toString("hex")}`

/** Runs the hearing beside what follows; both see the same stream from its beginning. */
const hear = (signals: Stream.Stream<BusSignal>, until: (heard: ReadonlyArray<BusSignal>) => boolean) => {
  const heard: Array<BusSignal> = []
  return signals.pipe(
    Stream.takeUntil((signal) => {
      heard.push(signal)
      return until(heard)
    }),
    Stream.runDrain,
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () =>
        Effect.die(
          new Error(`Heard only ${heard.length} signals in ten seconds: ${JSON.stringify(heard).slice(0, 500)}`)
        )
    }),
    Effect.map(() => heard as ReadonlyArray<BusSignal>),
    Effect.forkScoped({ startImmediately: true })
  )
}

const bodies = (heard: ReadonlyArray<BusSignal>) =>
  heard.flatMap((signal) => (signal.type === "message" ? [signal.body] : []))
const amount = (wanted: number) => (heard: ReadonlyArray<BusSignal>) => bodies(heard).length >= wanted

const refusal = (reason: EventBusError["reason"]) => (effect: Effect.Effect<unknown, EventBusError, never>) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(effect)
    assert.equal(error.reason, reason)
    assert.equal(error.retryable, false)
  })

const lacksControl = Effect.map(Effect.serviceOption(EventBusControl), (control) =>
  Option.isNone(control) ? "the layer provides no EventBusControl" : undefined
)
const control = Effect.flatMap(Effect.serviceOption(EventBusControl), Effect.fromOption)

const rules: ReadonlyArray<Rule<EventBus, Service>> = [
  {
    name: "delivers to every subscriber of the channel",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const first = yield* hear(yield* bus.subscribe(channel), amount(1))
        const second = yield* hear(yield* bus.subscribe(channel), amount(1))
        yield* bus.publish(channel, "hello")
        assert.deepEqual(bodies(yield* Fiber.join(first)), ["hello"])
        assert.deepEqual(bodies(yield* Fiber.join(second)), ["hello"])
      })
  },
  {
    name: "delivers to another process, and hears it",
    unless: () => lacksControl,
    check: (bus) =>
      Effect.gen(function* () {
        const { peer } = yield* control
        const channel = fresh()
        const here = yield* hear(yield* bus.subscribe(channel), amount(2))
        const there = yield* hear(yield* peer.subscribe(channel), amount(2))
        yield* bus.publish(channel, "from here")
        yield* peer.publish(channel, "from there")
        assert.deepEqual(bodies(yield* Fiber.join(here)), ["from here", "from there"])
        assert.deepEqual(bodies(yield* Fiber.join(there)), ["from here", "from there"])
      })
  },
  {
    name: "keeps the publisher's order and every repetition",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const sent = Array.from({ length: 300 }, (_, index) => String(index % 7))
        const hearing = yield* hear(yield* bus.subscribe(channel), amount(sent.length))
        // Begun in order, without waiting for one another: what is coalesced must keep it too.
        yield* Effect.forEach(sent, (body) => bus.publish(channel, body), { concurrency: "unbounded", discard: true })
        assert.deepEqual(bodies(yield* Fiber.join(hearing)), sent)
      })
  },
  {
    name: "keeps channels apart",
    check: (bus) =>
      Effect.gen(function* () {
        const [left, right] = [fresh(), fresh()]
        const hearing = yield* hear(yield* bus.subscribe(left), amount(2))
        const other = yield* hear(yield* bus.subscribe(right), amount(1))
        yield* bus.publish(left, "1")
        yield* bus.publish(right, "not for the left")
        yield* bus.publish(left, "2")
        assert.deepEqual(bodies(yield* Fiber.join(hearing)), ["1", "2"])
        assert.deepEqual(bodies(yield* Fiber.join(other)), ["not for the left"])
      })
  },
  {
    name: "lets a subscriber leave without disturbing the others",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const staying = yield* hear(yield* bus.subscribe(channel), amount(2))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const leaving = yield* hear(yield* bus.subscribe(channel), amount(1))
            yield* bus.publish(channel, "1")
            yield* Fiber.join(leaving)
          })
        )
        yield* bus.publish(channel, "2")
        assert.deepEqual(bodies(yield* Fiber.join(staying)), ["1", "2"])
        const returned = yield* hear(yield* bus.subscribe(channel), amount(1))
        yield* bus.publish(channel, "3")
        assert.deepEqual(bodies(yield* Fiber.join(returned)), ["3"])
      })
  },
  {
    name: "carries any text of up to 4,000 bytes unchanged",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const sent = [
          "",
          " ",
          "'\"\\;:,\n\t$1 %s",
          "Маҳалла 🏘️ محلة",
          "x".repeat(4_000),
          "ў".repeat(2_000),
          '{"a":[1,null]}'
        ]
        const hearing = yield* hear(yield* bus.subscribe(channel), amount(sent.length))
        for (const body of sent) yield* bus.publish(channel, body)
        assert.deepEqual(bodies(yield* Fiber.join(hearing)), sent)
      })
  },
  {
    name: "refuses a longer body as TooLarge",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const hearing = yield* hear(yield* bus.subscribe(channel), amount(1))
        yield* refusal("TooLarge")(bus.publish(channel, "x".repeat(4_001)))
        yield* refusal("TooLarge")(bus.publish(channel, `${"ў".repeat(2_000)}x`))
        yield* bus.publish(channel, "short")
        assert.deepEqual(bodies(yield* Fiber.join(hearing)), ["short"])
      })
  },
  {
    name: "refuses a bad channel name as InvalidChannel",
    check: (bus) =>
      Effect.forEach(["", "A", "a b", "a-b", "a.b", "é", "x".repeat(41), 'a"; drop'], (channel) =>
        Effect.gen(function* () {
          yield* refusal("InvalidChannel")(bus.publish(channel, "x"))
          yield* refusal("InvalidChannel")(Effect.scoped(bus.subscribe(channel)))
        })
      )
  },
  {
    name: "keeps each publisher's order in a burst from many",
    check: (bus) =>
      Effect.gen(function* () {
        const channel = fresh()
        const publishers = Array.from({ length: 10 }, (_, publisher) => publisher)
        const steps = Array.from({ length: 50 }, (_, step) => step)
        const hearing = yield* hear(yield* bus.subscribe(channel), amount(publishers.length * steps.length))
        yield* Effect.forEach(
          publishers,
          (publisher) => Effect.forEach(steps, (step) => bus.publish(channel, `${publisher}/${step}`)),
          { concurrency: "unbounded" }
        )
        const heard = bodies(yield* Fiber.join(hearing))
        for (const publisher of publishers)
          assert.deepEqual(
            heard.filter((body) => body.startsWith(`${publisher}/`)),
            steps.map((step) => `${publisher}/${step}`)
          )
      })
  },
  {
    name: "says gap after a lost connection and goes on",
    unless: () => lacksControl,
    check: (bus) =>
      Effect.gen(function* () {
        const { cut } = yield* control
        const channel = fresh()
        const signals = yield* bus.subscribe(channel)
        const hearing = yield* hear(
          signals,
          (heard) => heard.some(({ type }) => type === "gap") && bodies(heard).includes("after")
        )
        yield* bus.publish(channel, "before")
        yield* cut
        yield* bus
          .publish(channel, "after")
          .pipe(Effect.ignore, Effect.andThen(Effect.sleep("50 millis")), Effect.forever, Effect.forkScoped)
        const heard = yield* Fiber.join(hearing)
        const gap = heard.findIndex(({ type }) => type === "gap")
        assert.ok(bodies(heard.slice(gap)).includes("after"), "what was published after the gap was not heard")
      })
  }
]

/** The rules of the EventBus port. */
export const eventBusSuite = makeSuite("EventBus", EventBus, rules)

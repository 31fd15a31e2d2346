/** Rules of DeviceIngest about messages: when they are acknowledged, in which order, how many at once. */
import assert from "node:assert/strict"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { fakeIngestHost, tenant, tokenOf } from "./DeviceIngest.host.ts"
import { bytes, connected, nameOf, numbersOf, persist, rule, sendOnce, until } from "./DeviceIngest.probes.ts"

/** Long enough that a transport which does not wait for the host would have answered. */
const aMoment = Effect.sleep(150)

export const committingRules = [
  rule(
    "acknowledges only what the host has committed",
    {},
    Effect.fnUntraced(function* ({ device, fake }) {
      const wire = yield* device("meter-1")
      fake.gate.closeUnsafe()
      const sending = yield* Effect.forkChild(wire.send(bytes({ n: 1 })))
      yield* until("the host has the message", () => fake.batches.length > 0)
      yield* aMoment
      assert.equal(sending.pollUnsafe(), undefined, "acknowledged before it was committed")
      fake.gate.openUnsafe()
      assert.equal(yield* Fiber.join(sending), "acknowledged")
      assert.deepEqual(numbersOf(fake, "meter-1"), [1])
    })
  ),
  rule(
    "acknowledges nothing while the host is away, and everything once it is back",
    {},
    Effect.fnUntraced(function* (served) {
      const { fake } = served
      fake.away = () => true
      const numbers = [1, 2, 3]
      const sending = yield* Effect.forkChild(
        Effect.forEach(numbers, (n) => persist(served, `meter-${n}`, bytes({ n })), { concurrency: 3 })
      )
      yield* until("it was handed over again", () => fake.batches.length >= 3)
      yield* aMoment
      assert.equal(sending.pollUnsafe(), undefined, "acknowledged although nothing could be committed")
      fake.away = () => false
      assert.deepEqual(yield* Fiber.join(sending), ["acknowledged", "acknowledged", "acknowledged"])
      for (const n of numbers) assert.deepEqual(numbersOf(fake, `meter-${n}`), [n])
    })
  ),
  rule(
    "keeps the order of each device's messages, also of those that are handed over again",
    { maxBatch: 7 },
    Effect.fnUntraced(function* ({ device, driver, fake }) {
      let batch = 0
      fake.away = () => batch++ % 3 === 1
      fake.slowness = 1
      const numbers = Array.from({ length: 40 }, (_, n) => n)
      const concurrency = driver.lacks.includes("pipelining") ? 1 : ("unbounded" as const)
      const one = Effect.fnUntraced(function* (name: string) {
        const wire = yield* device(name)
        return yield* Effect.forEach(numbers, (n) => wire.send(bytes({ n })), { concurrency })
      })
      const names = Array.from({ length: 8 }, (_, index) => `meter-${index}`)
      const heard = yield* Effect.forEach(names, one, { concurrency: "unbounded" })
      assert.deepEqual(new Set(heard.flat()), new Set(["acknowledged"]))
      for (const name of names) assert.deepEqual(numbersOf(fake, name), numbers)
    })
  ),
  rule(
    "hands over no more than maxBatch messages at once, and many together where many wait",
    { maxBatch: 10 },
    Effect.fnUntraced(function* (served) {
      const { fake } = served
      const wires = yield* connected(served, 120)
      fake.slowness = 20
      const heard = yield* Effect.forEach(wires, sendOnce, { concurrency: "unbounded" })
      assert.deepEqual(new Set(heard), new Set(["acknowledged"]))
      assert.ok(Math.max(...fake.batches) <= 10, `a batch of ${Math.max(...fake.batches)}`)
      assert.ok(fake.batches.length < 60, `${fake.batches.length} batches for 120 messages that came together`)
    })
  ),
  rule(
    "stops reading while the host hangs",
    { maxBatch: 50 },
    Effect.fnUntraced(function* (served) {
      const { device, fake } = served
      const wire = yield* device("meter-1")
      fake.gate.closeUnsafe()
      const most = 64 * 1_024 * 1_024
      const left = yield* wire.flood(bytes({ n: 0, fill: "x".repeat(1_000) }), most)
      assert.ok(left < most / 2, `${left} bytes were taken while nothing could be committed`)
      assert.ok(fake.mostInHand() <= 100, `${fake.mostInHand()} messages in the host's hands`)
      fake.gate.openUnsafe()
      assert.equal(yield* persist(served, "meter-2", bytes({ n: 2 })), "acknowledged")
    })
  ),
  rule(
    "acknowledges what the host calls dead or refused, and goes on",
    {},
    Effect.fnUntraced(function* ({ device, fake }) {
      fake.judge = (message) =>
        nameOf(message) === "meter-1"
          ? { state: "dead", reason: "malformed" }
          : nameOf(message) === "meter-2"
            ? { state: "refused", reason: "not-allowed" }
            : { state: "stored" }
      for (const name of ["meter-1", "meter-2", "meter-3"]) {
        const wire = yield* device(name)
        for (const n of [1, 2])
          assert.equal(yield* Effect.timeout(wire.send(bytes({ n })), "10 seconds"), "acknowledged")
        assert.deepEqual(numbersOf(fake, name), [1, 2])
      }
    })
  ),
  rule(
    "refuses a payload above maxPayload, and harms nobody else",
    { maxPayload: 1_000, needs: ["sizes"] },
    Effect.fnUntraced(function* (served) {
      const { device, fake } = served
      const other = yield* device("meter-2")
      const wire = yield* device("meter-1")
      const heard = yield* wire.send(bytes({ n: 1, fill: "x".repeat(20_000) }))
      assert.notEqual(heard, "acknowledged")
      assert.equal(yield* other.send(bytes({ n: 2 })), "acknowledged")
      assert.equal(yield* persist(served, "meter-1", bytes({ n: 3, fill: "x".repeat(900) })), "acknowledged")
      assert.deepEqual(numbersOf(fake, "meter-1"), [3])
    })
  ),
  rule(
    "takes nothing for the topic of another device or tenant",
    { needs: ["topics"] },
    Effect.fnUntraced(function* (served) {
      const { device, fake } = served
      for (const as of [
        { tenant, device: "meter-2" },
        { tenant: "bukhara", device: "meter-1" }
      ]) {
        const wire = yield* device("meter-1")
        assert.notEqual(yield* wire.send(bytes({ n: 1 }), as), "acknowledged")
      }
      assert.equal(yield* persist(served, "meter-1", bytes({ n: 2 })), "acknowledged")
      assert.deepEqual([numbersOf(fake, "meter-1"), numbersOf(fake, "meter-2")], [[2], []])
    })
  ),
  rule("acknowledges what was committed before it stops", {}, ({ driver }, service) =>
    Effect.gen(function* () {
      const fake = yield* fakeIngestHost()
      const scope = yield* Scope.make()
      const listener = yield* Scope.provide(service.serve(fake.host), scope)
      const wire = yield* driver.connect(listener, tokenOf("meter-1"))
      fake.slowness = 500
      const sending = yield* Effect.forkChild(wire.send(bytes({ n: 1 })))
      yield* until("the host has the message", () => fake.batches.length > 0)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.sleep(100)
      assert.deepEqual(numbersOf(fake, "meter-1"), [1])
      const heard = sending.pollUnsafe()
      assert.ok(
        heard !== undefined && Exit.isSuccess(heard) && heard.value === "acknowledged",
        "stopped without a word"
      )
    })
  )
]

/** Rules of DeviceIngest about devices: who is let in, who is not any more, what they are asked to do. */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { deviceIdOf, fakeIngestHost, tenant, tokenOf } from "./DeviceIngest.host.ts"
import { bytes, connected, nameOf, numbersOf, rule, sendOnce, until } from "./DeviceIngest.probes.ts"

export const connectingRules = [
  rule(
    "lets nobody in with a wrong credential, and says nothing of why",
    { needs: ["credentials"] },
    Effect.fnUntraced(function* ({ driver, fake, listener }) {
      fake.revoke(deviceIdOf("meter-2"))
      // Unknown, and known but blocked. A protocol without a way to say no at the door says it to the first message.
      const told = yield* Effect.forEach(
        [{ kind: "token", token: "guessed" } as const, tokenOf("meter-2")],
        (credential) =>
          driver.connect(listener, credential).pipe(
            Effect.flatMap((wire) => wire.send(bytes({ n: 1 }))),
            Effect.catchTag("NotLetIn", ({ told: words }) => Effect.succeed(`not let in: ${words}`)),
            Effect.scoped
          )
      )
      assert.equal(told[0], told[1])
      assert.ok(!told.includes("acknowledged"))
      assert.deepEqual(fake.committed, [])
    })
  ),
  rule(
    "ends a session within a minute of its credential being revoked",
    { needs: ["credentials"] },
    Effect.fnUntraced(function* ({ driver }, service) {
      const clock = yield* TestClock.make({ warningDelay: "1 hour" })
      const fake = yield* fakeIngestHost()
      const listener = yield* Effect.provideService(service.serve(fake.host), Clock.Clock, clock)
      const wire = yield* driver.connect(listener, tokenOf("meter-1"))
      const send = Effect.fnUntraced(function* (n: number) {
        const sending = yield* Effect.forkChild(wire.send(bytes({ n })))
        // Whatever the transport waits for with the clock, it gets.
        for (let step = 0; step < 100 && sending.pollUnsafe() === undefined; step++) {
          yield* clock.adjust("10 millis")
          yield* Effect.sleep(20)
        }
      })
      yield* send(1)
      assert.deepEqual(numbersOf(fake, "meter-1"), [1])
      fake.revoke(deviceIdOf("meter-1"))
      yield* clock.adjust("60 seconds")
      yield* Effect.sleep(200)
      yield* send(2)
      assert.deepEqual(numbersOf(fake, "meter-1"), [1])
    })
  ),
  rule(
    "tells the host when a session has ended",
    { needs: ["credentials", "connections"] },
    Effect.fnUntraced(function* ({ device, fake }) {
      for (const name of ["meter-1", "meter-2"])
        yield* Effect.scoped(
          Effect.gen(function* () {
            const wire = yield* device(name)
            assert.equal(yield* wire.send(bytes({ n: 1 })), "acknowledged")
            assert.equal(fake.sessions.size, 1)
          })
        ).pipe(Effect.andThen(until("the host has heard of the end", () => fake.sessions.size === 0)))
    })
  ),
  rule(
    "delivers a command and tells its states",
    { needs: ["commands"] },
    Effect.fnUntraced(function* ({ device, driver, fake }) {
      const now = yield* Clock.currentTimeMillis
      const command = (of: string, method: string, expiresAt: number) => ({
        id: randomUUID(),
        tenant,
        device: of,
        deviceId: deviceIdOf(of),
        method,
        params: { valve: 3 },
        expiresAt
      })
      const expired = command("meter-1", "tooLate", now - 1)
      const wanted = command("meter-1", "close", now + 60_000)
      const elsewhere = command("meter-9", "close", now + 60_000)
      // The first two come before the device does.
      for (const one of [expired, elsewhere, wanted]) yield* fake.command(one)
      const wire = yield* device("meter-1")
      assert.deepEqual(yield* wire.command, { method: "close", params: { valve: 3 } })
      const last = driver.lacks.includes("answers") ? "delivered" : "answered"
      const statesOf = (id: string) => fake.states.filter(([of]) => of === id).map(([, { state }]) => state)
      yield* until(`the host hears ${last}`, () => statesOf(wanted.id).includes(last))
      assert.equal(statesOf(wanted.id)[0], "sent")
      assert.deepEqual(statesOf(expired.id), [])
      // Where nobody comes or goes, nobody knows who is not there.
      if (!driver.lacks.includes("connections")) assert.deepEqual(statesOf(elsewhere.id), [])
    })
  ),
  rule(
    "serves a thousand devices at once",
    {},
    Effect.fnUntraced(function* (served) {
      const wires = yield* connected(served, 1_000)
      const heard = yield* Effect.forEach(wires, sendOnce, { concurrency: "unbounded" })
      assert.deepEqual(new Set(heard), new Set(["acknowledged"]))
      assert.equal(new Set(served.fake.committed.map(nameOf)).size, 1_000)
    })
  )
]

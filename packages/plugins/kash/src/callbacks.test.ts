import { randomUUID } from "node:crypto"
import { fakeCallbacks } from "@mahalla/core/testing"
import { Payments } from "@mahalla/core/plugin"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { request } from "./test/drive.ts"
import { kash } from "./index.ts"
import {
  admin,
  callbackDoor,
  callbackSecret,
  effectsOf,
  key,
  opened as around,
  rail,
  start,
  temporary
} from "./test/simulator.ts"
import { callbackHeaders, signature } from "./wire.ts"

const seconds = () => Math.floor(Date.now() / 1_000)

/** A callback as the partner would send it, with what is to be different. */
const callback = (
  body: string,
  change: { readonly at?: number; readonly secret?: string; readonly sent?: string } = {}
) => {
  const timestamp = String(change.at ?? seconds())
  const signed = signature(change.secret ?? callbackSecret, timestamp, Buffer.from(body))
  return {
    body: Buffer.from(change.sent ?? body),
    headers: { [callbackHeaders.timestamp]: timestamp, [callbackHeaders.signature]: signed }
  }
}

/** What came of the hints in the meantime. */
const hearing = Effect.fnUntraced(function* (payments: Payments["Service"]) {
  const heard: Array<string> = []
  yield* Effect.forkScoped(Stream.runForEach(payments.notices!, (id) => Effect.sync(() => heard.push(id))))
  return heard
})

const opened = Effect.fnUntraced(function* () {
  const fake = fakeCallbacks()
  const context = yield* Layer.build(rail("http://127.0.0.1:9", {}, { callbacks: fake.layer }))
  const payments = yield* Effect.provideContext(Payments, context)
  return { call: fake.call, heard: yield* hearing(payments) }
})

describe("callbacks", () => {
  it.live("hint_at_a_payment_once_however_often_they_come", () =>
    Effect.gen(function* () {
      const { call, heard } = yield* opened()
      const id = randomUUID()
      const first = callback(JSON.stringify({ id, state: "done" }))
      assert.deepEqual(yield* call(first), { status: 204 })
      for (let replay = 0; replay < 3; replay++) assert.deepEqual(yield* call(first), { status: 204 })
      assert.deepEqual(yield* call(callback(JSON.stringify({ id, state: "processing" }))), { status: 204 })
      yield* Effect.sleep(20)
      assert.deepEqual(heard, [id, id])
    })
  )

  it.live("that_are_forged_old_altered_or_about_nothing_make_no_hint", () =>
    Effect.gen(function* () {
      const { call, heard } = yield* opened()
      const id = randomUUID()
      const body = JSON.stringify({ id, state: "done" })
      const good = callback(body)
      const refused: ReadonlyArray<readonly [Parameters<typeof call>[0], number]> = [
        [{ body: good.body }, 401],
        [callback(body, { secret: "somebody-elses-secret" }), 401],
        [callback(body, { sent: body.replace(id, randomUUID()) }), 401],
        [callback(body, { at: seconds() - 400 }), 401],
        [callback(body, { at: seconds() + 400 }), 401],
        [{ ...good, headers: { ...good.headers, [callbackHeaders.timestamp]: String(seconds() + 1) } }, 401],
        [{ ...good, headers: { ...good.headers, [callbackHeaders.timestamp]: "now" } }, 401],
        [{ ...good, method: "GET" }, 405],
        [{ ...good, path: "/other" }, 404],
        [callback("<html>"), 400],
        [callback("{}"), 400],
        [callback(JSON.stringify({ id: "payment-1" })), 400]
      ]
      for (const [one, status] of refused) assert.strictEqual((yield* call(one)).status, status)
      yield* Effect.sleep(20)
      assert.deepEqual(heard, [])
    })
  )

  it.live("that_find_no_room_are_to_be_sent_again", () =>
    Effect.gen(function* () {
      const fake = fakeCallbacks()
      yield* Layer.build(rail("http://127.0.0.1:9", {}, { callbacks: fake.layer }))
      const statuses = new Set<number>()
      for (let sent = 0; sent < 4_100; sent++)
        statuses.add((yield* fake.call(callback(JSON.stringify({ id: randomUUID() })))).status)
      assert.deepEqual([...statuses], [204, 503])
    })
  )

  it.live("are_not_listened_to_without_a_secret", () =>
    Effect.gen(function* () {
      const fake = fakeCallbacks()
      const context = yield* Layer.build(around(kash({ url: "http://127.0.0.1:9", key }), { callbacks: fake.layer }))
      assert.strictEqual((yield* Effect.provideContext(Payments, context)).notices, undefined)
      assert.strictEqual((yield* fake.call(callback("{}"))).status, 404)
    })
  )

  it.live("of_the_gateway_that_are_early_doubled_forged_or_out_of_order_change_nothing_that_status_says", () =>
    Effect.gen(function* () {
      const door = yield* Effect.promise(callbackDoor)
      const simulator = yield* Effect.promise(() =>
        start(`${temporary()}/kash.ndjson`, "--callback", door.url, "--callback-secret", callbackSecret)
      )
      const context = yield* Layer.build(rail(simulator.url, {}, { callbacks: door.layer }))
      const payments = yield* Effect.provideContext(Payments, context)
      const heard = yield* hearing(payments)
      // Callbacks that are alike to the second are one; those around the turn of a second are two.
      for (const [fault, least, most] of [
        ["callback-early", 1, 2],
        ["callback-duplicate", 1, 2],
        ["callback-reordered", 2, 2],
        ["callback-forged", 0, 0],
        ["callback-lost", 0, 0],
        // Its clock is off by an hour.
        ["clock-skew", 0, 0]
      ] as const) {
        const asked = request()
        yield* Effect.promise(() => admin(simulator.url, "PUT", "faults", { next: [fault] }))
        const outcome = yield* payments.pay(asked)
        const count = Effect.sync(() => heard.filter((id) => id === asked.id).length)
        yield* Effect.ignore(
          count.pipe(
            Effect.filterOrFail((hints) => hints >= least),
            Effect.retry({ times: 50, schedule: Schedule.spaced(100) })
          )
        )
        yield* Effect.sleep(150)
        const hints = yield* count
        assert.isTrue(least <= hints && hints <= most, `${fault}: ${hints}`)
        assert.deepEqual(yield* payments.status(asked.id), outcome, fault)
        assert.strictEqual((yield* Effect.promise(() => effectsOf(simulator.url)))[asked.id], 1, fault)
      }
    })
  )
})

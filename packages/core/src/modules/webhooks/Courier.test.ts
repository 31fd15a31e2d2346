import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { Webhook } from "standardwebhooks"
import { courier, eventually, hookedCity, receiver, webhookRooms } from "../../test/webhookRooms.ts"

layer(webhookRooms(inject("postgresUrl")), { excludeTestServices: true })("the courier", (it) => {
  it.effect("delivers_an_event_signed_and_thin_and_writes_it_down", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, url } = yield* receiver
      const { id: endpointId, secret } = yield* city.endpoint({ url: url("/ok") })
      yield* courier
      yield* city.report(1)
      const [message] = yield* eventually(city.messages, (all) => all.some(({ state }) => state === "delivered"))
      const [{ body, headers }] = arrivals as [(typeof arrivals)[number]]
      assert.strictEqual(arrivals.length, 1)
      assert.strictEqual(headers["content-type"], "application/cloudevents+json; charset=utf-8")
      assert.strictEqual(headers["webhook-id"], `evt_${message!.id}`)
      const event = new Webhook(secret!).verify(body, headers as Record<string, string>) as Record<string, unknown>
      assert.deepInclude(event, { specversion: "1.0", id: message!.id, type: "pothole.created" })
      assert.match(String(event["source"]), /^https:\/\/city\.example\/t\//)
      const about = (event["data"] as { case: { id: string } }).case
      assert.deepEqual(Object.keys(about).sort(), ["id", "state", "type", "version"])
      assert.strictEqual(event["subject"], `pothole/${about.id}`)
      assert.notInclude(body, "Navoiy")
      assert.isBelow(Buffer.byteLength(body), 2_000)
      const attempts = yield* city.attempts
      assert.deepEqual(attempts, [
        { id: message!.id, endpointId, status: 200, delivered: true, failure: null, excerpt: "taken" }
      ])
      const lane = yield* eventually(city.lane(endpointId), ({ holder }) => holder === null)
      assert.deepInclude(lane, { dueAt: null, failures: 0 })
    })
  )
})

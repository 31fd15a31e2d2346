import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { Webhook } from "standardwebhooks"
import { TenantTx } from "../../kernel/db/Database.ts"
import { as } from "../../test/caseRooms.ts"
import { courier, eventually, hookedCity, receiver, webhookRooms } from "../../test/webhookRooms.ts"
import { rotateSecrets, setStatus } from "./endpoints.ts"
import { recover, recoverJob, recoveryOf, resend, sendTest } from "./log.ts"

/** As when so many seconds have passed for an endpoint. */
const pass = (endpointId: string, seconds: number) =>
  Effect.flatMap(TenantTx, ({ sql }) =>
    Effect.gen(function* () {
      yield* sql`
        update mahalla.webhook_message set next_at = next_at - make_interval(secs => ${seconds}) where endpoint_id = ${endpointId}`
      yield* sql`
        update mahalla.webhook_lane set due_at = due_at - make_interval(secs => ${seconds}), rest_until = rest_until - make_interval(secs => ${seconds}),
          recent_from = recent_from - make_interval(secs => ${seconds}), failing_since = failing_since - make_interval(secs => ${seconds})
        where endpoint_id = ${endpointId}`
    })
  )

const settled = (all: ReadonlyArray<{ readonly state: string }>) =>
  all.length > 0 && all.every(({ state }) => state !== "waiting")

layer(webhookRooms(inject("postgresUrl")), { excludeTestServices: true })("the courier", (it) => {
  it.effect("delivers_an_event_signed_and_thin_and_writes_it_down", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, url } = yield* receiver
      const { id: endpointId, secret } = yield* city.endpoint({ url: url("/ok") })
      yield* courier()
      yield* city.report(1)
      const [message] = yield* eventually(city.messages, settled)
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

  it.effect("tries_again_what_was_not_taken_under_the_same_id_and_keeps_what_was_answered", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, idsAt, url } = yield* receiver
      const ways = ["/status/500", "/status/404", "/redirect/1", "/retry/3600", "/stall", "/flood", "/odd", "/hang"]
      const endpoints = new Map<string, string>()
      for (const way of ways) endpoints.set(way, (yield* city.endpoint({ url: url(way) })).id)
      yield* courier({ seconds: 1 })
      yield* city.report(1)
      const rows = yield* eventually(
        city.attempts,
        (all) => new Set(all.map(({ endpointId }) => endpointId)).size === 8
      )
      const first = (way: string) => rows.find(({ endpointId }) => endpointId === endpoints.get(way))!
      assert.deepInclude(first("/status/500"), { status: 500, delivered: false, excerpt: "this is 500 for <…67>" })
      assert.deepInclude(first("/status/404"), { status: 404, delivered: false })
      assert.match(first("/redirect/1").failure!, /Redirects are not followed/)
      assert.deepInclude(first("/retry/3600"), { status: 429, delivered: false })
      assert.match(first("/stall").failure!, /has not answered in 1 seconds/)
      // As much of a gigabyte as is kept; that it never ends is nobody's matter.
      assert.deepInclude(first("/flood"), { status: 200, delivered: true, excerpt: "x".repeat(1_024) })
      assert.deepInclude(first("/odd"), { status: 500, excerpt: "\uFFFD\uFFFD odd" })
      assert.deepInclude(first("/hang"), { status: null, delivered: false })
      assert.isFalse(arrivals.some(({ way }) => way === "inside"))
      const failing = endpoints.get("/status/500")!
      yield* eventually(city.lane(failing), ({ holder }) => holder === null)
      yield* as(city.admin)(pass(failing, 10))
      yield* eventually(
        Effect.sync(() => idsAt("/status/500")),
        (ids) => ids.length === 2
      )
      assert.strictEqual(new Set(idsAt("/status/500")).size, 1)
      // Who asks for an hour is left alone for an hour.
      const lane = yield* city.lane(endpoints.get("/retry/3600")!)
      assert.isAbove(lane.restUntil!.getTime(), Date.now() + 3_500_000)
      assert.strictEqual(idsAt("/retry/3600").length, 1)
    })
  )

  it.effect("sends_in_order_one_at_a_time_where_it_was_asked_to_and_lets_nothing_overtake_what_failed", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, url } = yield* receiver
      const good = yield* city.endpoint({ url: url("/ok"), ordered: true })
      const bad = yield* city.endpoint({ url: url("/status/500"), ordered: true })
      yield* courier()
      yield* city.report(40)
      const all = yield* eventually(city.messages, (rows) =>
        rows.filter(({ endpointId }) => endpointId === good.id).every(({ state }) => state === "delivered")
      )
      const order = all.filter(({ endpointId }) => endpointId === good.id).map(({ id }) => `evt_${id}`)
      const at = (way: string) => arrivals.filter((one) => one.way === way).map(({ headers }) => headers["webhook-id"])
      assert.deepEqual(at("ok"), order)
      yield* eventually(city.lane(bad.id), ({ holder }) => holder === null)
      yield* as(city.admin)(pass(bad.id, 10))
      yield* eventually(
        Effect.sync(() => at("status")),
        (ids) => ids.length >= 2
      )
      assert.deepEqual([...new Set(at("status"))], [order[0]])
    })
  )

  it.effect("keeps_nobody_waiting_for_those_that_hang", () =>
    Effect.gen(function* () {
      const [ill, city] = [yield* hookedCity, yield* hookedCity]
      const { arrivals, url } = yield* receiver
      for (let turn = 0; turn < 19; turn++) yield* ill.endpoint({ url: url(`/hang/${turn}`) })
      yield* ill.endpoint({ url: url("/ok/same-city") })
      yield* city.endpoint({ url: url("/ok/other-city") })
      yield* courier({ seconds: 60 })
      yield* ill.report(30)
      const began = performance.now()
      yield* city.report(30)
      yield* eventually(
        Effect.sync(() => arrivals.filter(({ way }) => way === "ok").length),
        (amount) => amount === 60
      )
      assert.isBelow(performance.now() - began, 10_000)
      const late = arrivals.filter(({ way }) => way === "hang")
      // One at a time from each that does not answer.
      assert.isBelow(late.length, 19 * 2 + 1)
    })
  )

  it.effect("disables_who_is_gone_at_once_and_who_fails_for_five_days_and_tells", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, url } = yield* receiver
      const gone = yield* city.endpoint({ url: url("/status/410") })
      const failing = yield* city.endpoint({ url: url("/status/500/x"), types: ["pothole.*"] })
      yield* courier()
      yield* city.report(3)
      const status = (id: string) =>
        Effect.map(
          city.platform<{ status: string; because: string | null }>(
            ({ sql }) => sql`select status, disabled_because as because from mahalla.webhook_endpoint where id = ${id}`
          ),
          ([row]) => row!
        )
      yield* eventually(status(gone.id), (row) => row.status === "disabled")
      assert.strictEqual((yield* status(gone.id)).because, "gone")
      const messages = yield* eventually(city.messages, (all) =>
        all.filter(({ endpointId }) => endpointId === gone.id).every(({ state }) => state === "failed")
      )
      assert.isAbove(messages.length, 0)
      // Three failures have started the clock; it is set forward, and the next one ends it.
      yield* eventually(city.lane(failing.id), ({ failures, holder }) => failures >= 3 && holder === null)
      assert.strictEqual((yield* status(failing.id)).status, "active")
      yield* as(city.admin)(pass(failing.id, 5 * 86_400 + 60))
      yield* eventually(status(failing.id), (row) => row.status === "disabled")
      assert.strictEqual((yield* status(failing.id)).because, "failing")
      const told = yield* city.platform<{ payload: Record<string, unknown> }>(
        ({ sql }) => sql`
          select payload from mahalla.event where tenant_id = ${city.tenantId} and type = 'webhook.disabled' order by id`
      )
      assert.deepEqual(
        told.map(({ payload }) => [payload["endpointId"], payload["principalId"], payload["because"]]),
        [
          [gone.id, city.app.id, "gone"],
          [failing.id, city.app.id, "failing"]
        ]
      )
      assert.notInclude(JSON.stringify(told), "/status/")
      const before = arrivals.length
      yield* city.report(2)
      yield* Effect.sleep("400 millis")
      assert.strictEqual(arrivals.length, before)
      assert.isFalse((yield* city.messages).some(({ state }) => state === "waiting"))
    })
  )

  it.effect("keeps_what_comes_while_paused_and_signs_with_both_secrets_while_one_is_replaced", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, url } = yield* receiver
      const made = yield* city.endpoint({ url: url("/ok") })
      yield* courier()
      yield* as(city.admin)(setStatus(made.id, "paused"))
      yield* city.report(2)
      yield* Effect.sleep("400 millis")
      assert.deepEqual([arrivals.length, (yield* city.messages).length], [0, 2])
      const { secretIds } = yield* as(city.admin)(rotateSecrets(made.id, 24))
      assert.strictEqual(secretIds.length, 1)
      yield* as(city.admin)(setStatus(made.id, "active"))
      yield* eventually(city.messages, settled)
      assert.strictEqual(arrivals.length, 2)
      for (const { body, headers } of arrivals) {
        assert.strictEqual(headers["webhook-signature"]!.split(" ").length, 2)
        new Webhook(made.secret!).verify(body, headers as Record<string, string>)
      }
      // Nothing of the old one is left when its time is over.
      yield* as(city.admin)(rotateSecrets(made.id, 0))
      yield* as(city.admin)(sendTest(made.id))
      yield* eventually(
        Effect.sync(() => arrivals.length),
        (amount) => amount === 3
      )
      const { body, headers } = arrivals[2]!
      assert.strictEqual(headers["webhook-signature"]!.split(" ").length, 1)
      assert.throws(() => new Webhook(made.secret!).verify(body, headers as Record<string, string>))
      assert.include(body, '"type":"webhook.test"')
    })
  )

  it.effect("sends_one_again_and_everything_that_failed_since_a_moment", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, idsAt, url } = yield* receiver
      const { id } = yield* city.endpoint({ url: url("/status/410") })
      const began = new Date(Date.now() - 1_000)
      yield* courier()
      yield* city.report(5)
      const failed = yield* eventually(city.messages, settled)
      const refused = yield* Effect.flip(as(city.admin)(resend(id, failed[0]!.id)))
      assert.deepInclude(refused, { _tag: "Refused", code: "webhook-disabled" })
      yield* city.platform(
        ({ sql }) => sql`update mahalla.webhook_endpoint set url = ${url("/ok")} where id = ${id} returning 1`
      )
      yield* as(city.admin)(setStatus(id, "active"))
      yield* as(city.admin)(resend(id, failed[0]!.id))
      yield* eventually(
        Effect.sync(() => idsAt("/ok")),
        (ids) => ids.length === 1
      )
      assert.deepEqual(idsAt("/ok"), [`evt_${failed[0]!.id}`])
      yield* eventually(city.messages, (all) => all.filter(({ state }) => state === "delivered").length === 1)
      const recovery = yield* as(city.admin)(recover(id, began))
      assert.isFalse(recovery.complete)
      yield* recoverJob.run(
        { recoveryId: recovery.id },
        {
          ...{ id: recovery.id, tenantId: city.tenantId },
          ...{ attempt: 1, maxAttempts: 1 }
        }
      )
      const done = yield* eventually(as(city.admin)(recoveryOf(id, recovery.id)), ({ waiting }) => waiting === 0)
      assert.deepInclude(done, { complete: true, delivered: 4, failed: 0 })
      // What had arrived is not sent again.
      assert.strictEqual(arrivals.filter(({ path }) => path === "/ok").length, 5)
      assert.strictEqual(new Set(idsAt("/ok")).size, 5)
    })
  )

  it.effect("connects_to_nothing_inside_that_a_name_has_come_to_mean", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { arrivals, port, url } = yield* receiver
      const { id } = yield* city.endpoint({ url: url("/ok") })
      yield* city.platform(
        ({ sql }) =>
          sql`update mahalla.webhook_endpoint set url = ${`http://moved.example:${port}/ok`} where id = ${id} returning 1`
      )
      yield* courier({ resolve: async () => ["10.0.0.7"] })
      yield* city.report(1)
      const [attempt] = yield* eventually(city.attempts, (all) => all.length > 0)
      assert.deepInclude(attempt, { status: null, delivered: false })
      assert.match(attempt!.failure!, /not public/)
      assert.strictEqual(arrivals.length, 0)
    })
  )
})

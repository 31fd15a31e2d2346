import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assert, layer } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { inject } from "vitest"
import { Messenger } from "../../ports/Messenger.ts"
import { memoryMessenger } from "../../testing/Messenger.memory.ts"
import { MessengerControl } from "../../testing/Messenger.suite.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { sequence } from "../events/sequencer.ts"
import { Keys } from "../keys/Keys.ts"
import { Messengers } from "../ports.ts"
import { makeDelivery } from "./deliver.ts"
import { sealTenant } from "./seal.ts"
import { latestCheckpoint } from "./sql.ts"

const Happened = defineEvent({ id: "test.happened", payload: Schema.Struct({}) })

/** A witness that answers as it is told, 204 when nothing is left to say. */
const witness = Effect.acquireRelease(
  Effect.promise(async () => {
    const answers: Array<number> = []
    const seen: Array<{ readonly type: string; readonly body: string }> = []
    const server = createServer((request, response) => {
      let body = ""
      request.on("data", (chunk) => (body += chunk))
      request.on("end", () => {
        seen.push({ type: String(request.headers["content-type"]), body })
        response.writeHead(answers.shift() ?? 204, { location: "/elsewhere" }).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, answers, seen, server }
  }),
  ({ server }) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
)

const start = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const inside = withTenant(tenantId)
  const seal = inside(appendEvent(Happened, {})).pipe(
    Effect.andThen(withPlatform(sequence())),
    Effect.andThen(sealTenant(tenantId, { checkpointEvery: 0 })),
    Effect.andThen(inside(Effect.flatMap(TenantTx, latestCheckpoint))),
    Effect.map((checkpoint) => checkpoint!.signed)
  )
  const events = inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ payload: { where: string; detail: string } }>`
        select payload from mahalla.event where type = 'audit.checkpoint-refused'`
    )
  )
  return { tenantId, seal, events }
})

const options = { webhooks: [], emails: [], emailEvery: 86_400, outwardNetworks: ["127.0.0.0/8"] }

const onADay = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(TestClock.setTime(Date.UTC(2026, 10, 20, 6)), self).pipe(
    Effect.scoped,
    Effect.provide(TestClock.layer(), { local: true })
  )

const rooms = Layer.mergeAll(
  testKernel({ postgresUrl: inject("postgresUrl") }),
  Keys.layer(Redacted.make("a secret for the tests of delivering checkpoints")),
  Layer.succeed(Messengers, new Map())
)

// One tenant at a time: a delivery hands out everybody's.
layer(rooms, { excludeTestServices: true })("checkpoints by webhook and e-mail", (it) => {
  it.effect("are_posted_as_they_were_signed_each_once_and_the_newest_only", () =>
    onADay(
      Effect.gen(function* () {
        const { seal } = yield* start
        const { seen, url } = yield* witness
        const deliver = makeDelivery({ ...options, webhooks: [url] })
        yield* seal
        const second = yield* seal
        assert.isTrue(yield* deliver)
        assert.deepEqual(
          seen.filter(({ body }) => body === second),
          [{ type: "application/jose", body: second }]
        )
        const before = seen.length
        assert.isFalse(yield* deliver)
        // Another process knows what arrived.
        assert.isFalse(yield* makeDelivery({ ...options, webhooks: [url] }))
        const third = yield* seal
        yield* deliver
        assert.deepEqual(
          seen.slice(before).map(({ body }) => body),
          [third]
        )
      })
    )
  )

  it.effect("are_tried_again_later_each_time_until_somebody_takes_them", () =>
    onADay(
      Effect.gen(function* () {
        const { events, seal } = yield* start
        const { answers, seen, url } = yield* witness
        const deliver = makeDelivery({ ...options, webhooks: [url] })
        yield* deliver
        const before = seen.length
        answers.push(503, 429, 500)
        const signed = yield* seal
        yield* deliver
        for (const [pause, tries] of [
          [4, 1],
          [1, 2],
          [9, 2],
          [1, 3],
          [20, 4],
          [3_600, 4]
        ] as const) {
          yield* TestClock.adjust(pause * 1_000)
          yield* deliver
          assert.strictEqual(seen.length - before, tries)
        }
        assert.isTrue(seen.slice(before).every(({ body }) => body === signed))
        assert.deepEqual(yield* events, [])
      })
    )
  )

  it.effect("that_somebody_refuses_or_that_go_astray_are_told_to_staff_once", () =>
    onADay(
      Effect.gen(function* () {
        const { events, seal } = yield* start
        const { answers, url } = yield* witness
        const deliver = makeDelivery({ ...options, webhooks: [url] })
        yield* deliver
        answers.push(409, 409, 302)
        yield* seal
        for (let n = 0; n < 3; n++) {
          yield* deliver
          yield* TestClock.adjust("1 hour")
        }
        const told = yield* events
        assert.strictEqual(told.length, 1)
        assert.match(told[0]!.payload.detail, /did not get out .* answered 409/)
        assert.match(told[0]!.payload.where, /^127\.0\.0\.1:\d+$/)
      })
    )
  )

  it.effect("that_are_refused_after_a_failure_of_another_kind_are_told_to_staff_too", () =>
    onADay(
      Effect.gen(function* () {
        const { events, seal } = yield* start
        const { answers, url } = yield* witness
        const deliver = makeDelivery({ ...options, webhooks: [url] })
        yield* deliver
        answers.push(503, ...Array.from({ length: 20 }, () => 410))
        yield* seal
        for (let n = 0; n < 12; n++) {
          yield* deliver
          yield* TestClock.adjust("1 hour")
        }
        const told = yield* events
        assert.strictEqual(told.length, 1)
        assert.match(told[0]!.payload.detail, /did not get out .* answered 410/)
      })
    )
  )

  it.effect("are_not_posted_into_the_house_unless_the_operator_names_the_network", () =>
    onADay(
      Effect.gen(function* () {
        const { events, seal } = yield* start
        const { seen, url } = yield* witness
        yield* seal
        yield* makeDelivery({ ...options, outwardNetworks: [], webhooks: [url] })
        assert.deepEqual(seen, [])
        assert.match((yield* events)[0]!.payload.detail, /not public/)
      })
    )
  )

  it.effect("go_by_e_mail_once_a_day_with_the_line_that_the_verifier_reads", () =>
    onADay(
      Effect.gen(function* () {
        const { seal, tenantId } = yield* start
        const context = yield* Layer.build(Layer.fresh(memoryMessenger()))
        const mail = { ...Context.get(context, Messenger), channel: "email" as const }
        const deliver = makeDelivery({ ...options, emails: ["auditor@example.org"] }).pipe(
          Effect.provideService(Messengers, new Map([["mail", mail]]))
        )
        const arrived = Effect.map(mail.outbox!({ tenantId, to: "auditor@example.org", limit: 500 }), (messages) =>
          messages.map(({ subject, text }) => ({ subject, text }))
        )
        const first = yield* seal
        yield* deliver
        assert.strictEqual((yield* arrived).length, 1)
        assert.deepInclude((yield* arrived)[0], { subject: "Checkpoint of Test city: 1 events" })
        assert.include((yield* arrived)[0]!.text.split("\n"), first)
        yield* seal
        yield* TestClock.adjust("23 hours")
        yield* deliver
        assert.strictEqual((yield* arrived).length, 1)
        yield* Context.get(context, MessengerControl).next("unavailable")
        const last = yield* seal
        yield* TestClock.adjust("1 hour")
        yield* deliver
        yield* TestClock.adjust("1 minute")
        yield* deliver
        assert.include((yield* arrived).at(-1)!.text, last)
      })
    )
  )
})

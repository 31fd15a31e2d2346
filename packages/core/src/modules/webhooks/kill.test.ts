import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createCase } from "../../kernel/cases/create.ts"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"
import { TestKernel } from "../../testing/kernel.ts"
import { as } from "../../test/caseRooms.ts"
import { eventually, hookedCity, receiver, webhookRooms } from "../../test/webhookRooms.ts"

const rounds = process.env["MAHALLA_SOAK"] === "1" ? 60 : 4
const eachRound = 40
const seed = Number(process.env["WEBHOOK_SEED"] ?? 20_261_122)

/** Lets couriers that were killed be followed without the wait for their leases, and what failed be tried again at once. */
const hurry = withPlatform(
  Effect.flatMap(PlatformTx, ({ sql }) =>
    Effect.gen(function* () {
      yield* sql`update mahalla.lease set until = now() - interval '1 second' where starts_with(name, 'webhooks ')`
      yield* sql`update mahalla.webhook_message set next_at = now() where state = 'waiting'`
      yield* sql`
        update mahalla.webhook_lane set rest_until = null, failures = 0, due_at = case when due_at is null then null else now() end`
      // The turns of the consumer that died with its process.
      yield* sql`update mahalla.event_cursor set retry_at = null`
    })
  )
)

layer(webhookRooms(inject("postgresUrl")), { excludeTestServices: true })("kill -9 of couriers", (it) => {
  it.effect("loses_no_event_and_every_receiver_hears_of_each_at_least_once", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { app, platform } = yield* TestKernel
      const { idsAt, url } = yield* receiver
      const ways = ["/ok", `/seed/${seed}`, "/ok/ordered"]
      const endpoints: Array<{ readonly id: string }> = []
      for (const way of ways)
        endpoints.push(yield* city.endpoint({ url: url(way), types: ["pothole.*"], ordered: way === "/ok/ordered" }))
      const start = () =>
        fork(fileURLToPath(new URL("../../test/webhookCourier.ts", import.meta.url)), [
          Redacted.value(app),
          Redacted.value(platform)
        ])
      let child = start()
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      let hits = 0
      for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < eachRound; turn++)
          yield* as(city.citizen)(createCase({ type: "pothole", data: { kind: "hole", text: "x" } }))
        const before = idsAt("/ok").length
        yield* eventually(
          Effect.sync(() => idsAt("/ok").length),
          (amount) => amount > before + ((round * 7) % eachRound) / 2,
          60
        )
        child.kill("SIGKILL")
        const open = (yield* city.messages).filter(({ state }) => state === "waiting").length
        if (open > 0) hits++
        yield* hurry
        child = start()
      }
      // A kill that met nothing under way would prove nothing.
      assert.isAbove(hits, 0)
      const amount = rounds * eachRound * ways.length
      const messages = yield* eventually(
        Effect.tap(city.messages, hurry),
        (all) => all.length === amount && all.every(({ state }) => state === "delivered"),
        120
      )
      for (const [at, { id }] of endpoints.entries()) {
        const wanted = messages.filter(({ endpointId }) => endpointId === id).map((one) => `evt_${one.id}`)
        const heard = idsAt(ways[at]!)
        assert.strictEqual(wanted.length, rounds * eachRound)
        assert.deepEqual(
          wanted.filter((one) => !heard.includes(one)),
          []
        )
      }
      // In order means that nothing is heard for the first time after what followed it.
      const first = [...new Set(idsAt("/ok/ordered"))]
      const order = messages.filter(({ endpointId }) => endpointId === endpoints[2]!.id).map(({ id }) => `evt_${id}`)
      assert.deepEqual(first, order)
    }).pipe(Effect.scoped)
  )
})

import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { inTransactionOf, PlatformTx, TenantTx, withPlatform } from "../../kernel/db/Database.ts"
import { Vault } from "../../kernel/personal/Vault.ts"
import { as } from "../../test/caseRooms.ts"
import { courier, eventually, hookedCity, receiver, webhookRooms } from "../../test/webhookRooms.ts"
import { endpointOf } from "./endpoints.ts"
import { webhooksOfPerson } from "./people.ts"
import { messageRetention, sweepEndpoints } from "./retention.ts"
import { sealedWebhookSecrets } from "./sealed.ts"

const asPlatform = <A, E, R>(tenantId: string, self: Effect.Effect<A, E, R>) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => inTransactionOf(tenantId, sql, self)))

const countIn = (tenantId: string) =>
  asPlatform(
    tenantId,
    Effect.flatMap(TenantTx, ({ sql }) =>
      Effect.map(
        sql<{ endpoints: number; messages: number; attempts: number; secrets: number }>`
          select (select count(*) from mahalla.webhook_endpoint where tenant_id = ${tenantId})::int as endpoints,
            (select count(*) from mahalla.webhook_message where tenant_id = ${tenantId})::int as messages,
            (select count(*) from mahalla.webhook_attempt where tenant_id = ${tenantId})::int as attempts,
            (select count(*) from mahalla.webhook_secret where tenant_id = ${tenantId})::int as secrets`,
        ([row]) => row!
      )
    )
  )

layer(webhookRooms(inject("postgresUrl")), { excludeTestServices: true })("webhooks keep", (it) => {
  it.effect("messages_with_their_attempts_for_their_days_and_no_longer", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { url } = yield* receiver
      yield* city.endpoint({ url: url("/ok") })
      yield* courier()
      yield* city.report(3)
      yield* eventually(countIn(city.tenantId), ({ attempts }) => attempts === 3)
      const inside = <A, E, R>(self: Effect.Effect<A, E, R>) => asPlatform(city.tenantId, self)
      const yesterday = new Date(Date.now() - 86_400_000)
      assert.deepEqual(
        [yield* inside(messageRetention.due(yesterday)), yield* inside(messageRetention.drop(yesterday, 100))],
        [0, 0]
      )
      yield* city.platform(
        ({ sql }) =>
          sql`update mahalla.webhook_message set created_at = ${yesterday} where tenant_id = ${city.tenantId} returning 1`
      )
      const events = yield* city.platform<{ id: string }>(
        ({ sql }) => sql`select event_id as id from mahalla.webhook_message where tenant_id = ${city.tenantId}`
      )
      // Ids ascend over a process: another test may have made some that are ahead of their time.
      const times = events.map(({ id }) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16))
      const tomorrow = new Date(Math.max(...times) + 86_400_000)
      assert.strictEqual(yield* inside(messageRetention.due(tomorrow)), 3)
      assert.strictEqual(yield* inside(messageRetention.drop(tomorrow, 2)), 2)
      assert.strictEqual(yield* inside(messageRetention.drop(tomorrow, 2)), 1)
      assert.deepInclude(yield* countIn(city.tenantId), { endpoints: 1, messages: 0, attempts: 0 })
    })
  )

  it.effect("nothing_of_people_and_apps_that_are_gone", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const url = "http://127.0.0.1:9/"
      const own = yield* city.endpoint({ url }, city.admin)
      yield* city.endpoint({ url })
      yield* city.report(2)
      const copy = yield* asPlatform(city.tenantId, webhooksOfPerson.collect(city.admin.id!))
      assert.deepInclude((copy as ReadonlyArray<object>)[0], { id: own.id, url })
      yield* asPlatform(city.tenantId, webhooksOfPerson.erase(city.admin.id!))
      const missing = yield* Effect.flip(as(city.admin)(endpointOf(own.id, "webhook.read")))
      assert.strictEqual((missing as { _tag: string })._tag, "NotFound")
      assert.deepInclude(yield* countIn(city.tenantId), { endpoints: 1, secrets: 1 })
      yield* city.platform(
        ({ sql }) => sql`update mahalla.principal set status = 'erased' where id = ${city.app.id} returning 1`
      )
      yield* sweepEndpoints
      assert.deepEqual(yield* countIn(city.tenantId), { endpoints: 0, messages: 0, attempts: 0, secrets: 0 })
    })
  )

  it.effect("secrets_sealed_and_seal_them_anew_with_a_new_key", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const { secret } = yield* city.endpoint({ url: "http://127.0.0.1:9/", ed25519: true })
      const rows = yield* city.platform<{ sealed: string }>(
        ({ sql }) => sql`select sealed from mahalla.webhook_secret where tenant_id = ${city.tenantId}`
      )
      assert.strictEqual(rows.length, 2)
      assert.isFalse(rows.some(({ sealed }) => sealed.includes(secret!.slice(6))))
      const vault = yield* Vault
      const { left, turn } = yield* withPlatform(
        Effect.gen(function* () {
          const { sql } = yield* PlatformTx
          const reader = { sql, tenantId: city.tenantId, vault, version: 2 }
          return {
            left: yield* sealedWebhookSecrets.left(reader),
            turn: yield* sealedWebhookSecrets.turn(reader, null, 10)
          }
        })
      )
      assert.deepEqual([left, turn.seen], [2, 2])
    })
  )
})

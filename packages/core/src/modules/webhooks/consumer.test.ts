import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { catchUp } from "../../kernel/events/Consumer.ts"
import { AppTokens } from "../../kernel/http/AppTokens.ts"
import { addTerritory } from "../../kernel/tenancy/territories.ts"
import { createPrincipal } from "../../testing/kernel.ts"
import { as } from "../../test/caseRooms.ts"
import { hookedCity, webhookRooms } from "../../test/webhookRooms.ts"
import { webhooksConsumer } from "./consumer.ts"
import { setStatus } from "./endpoints.ts"

const url = "http://127.0.0.1:9/hook"

layer(webhookRooms(inject("postgresUrl")), { excludeTestServices: true })("webhooks hear", (it) => {
  it.effect("what_their_principal_may_hear_of_and_nothing_else", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const other = yield* hookedCity
      const plain = yield* createPrincipal(city.tenantId, { kind: "app" })
      const names = new Map<string, string>()
      for (const [name, whose] of [
        ["inspector's app", city.app],
        ["app without a role", plain],
        ["administrator", city.admin]
      ] as const)
        names.set((yield* city.endpoint({ url }, whose)).id, name)
      yield* other.endpoint({ url }, other.admin)
      yield* city.report(1)
      yield* city.report(1, "matter")
      const heard = (yield* city.messages).map(({ endpointId, type }) => `${names.get(endpointId)}: ${type}`)
      const of = (name: string) => heard.filter((line) => line.startsWith(name)).map((line) => line.split(": ")[1])
      assert.deepEqual(of("inspector's app"), ["pothole.created", "matter.created"])
      // Everybody may know of potholes; what happens besides is for whoever may read the event log.
      assert.deepEqual(of("app without a role"), ["pothole.created"])
      assert.includeMembers(of("administrator") as Array<string>, [
        "webhook.created",
        "pothole.created",
        "matter.created"
      ])
      assert.deepEqual(
        (yield* other.messages).map(({ type }) => type),
        ["webhook.created"]
      )
      const [about] = (yield* city.messages).filter(({ type }) => type === "webhook.created")
      const { data } = JSON.parse(about!.body) as { data: { case: null; ids: Record<string, string> } }
      assert.isNull(data.case)
      assert.isTrue(names.has(data.ids["endpointId"]!))
      assert.deepEqual(Object.keys(data.ids).sort(), ["endpointId", "principalId"])
    })
  )

  it.effect("what_they_asked_for_by_type_kind_of_case_and_territory", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const area = yield* as(city.admin)(addTerritory({ kind: "area", name: { en: "Area" }, parentId: null }))
      const all = {
        exact: { types: ["pothole.created"] },
        prefix: { types: ["matter.*"] },
        none: { types: ["pothole.closed"] },
        kind: { caseTypes: ["matter"] },
        elsewhere: { territoryId: area.id }
      }
      const names = new Map<string, string>()
      for (const [name, given] of Object.entries(all)) names.set((yield* city.endpoint({ url, ...given })).id, name)
      yield* city.report(1)
      yield* city.report(1, "matter")
      assert.deepEqual(
        (yield* city.messages).map(({ endpointId, type }) => `${names.get(endpointId)} ${type}`).sort(),
        ["exact pothole.created", "kind matter.created", "prefix matter.created"]
      )
    })
  )

  it.effect("an_event_once_however_often_it_is_looked_at", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      yield* city.endpoint({ url })
      yield* city.report(3)
      const before = yield* city.messages
      assert.strictEqual(before.length, 3)
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) =>
            sql`delete from mahalla.event_cursor where tenant_id = ${city.tenantId} and consumer = 'webhooks'`
        )
      )
      yield* catchUp(webhooksConsumer)
      assert.deepEqual(yield* city.messages, before)
    })
  )

  it.effect("nothing_when_blocked_or_disabled_and_of_a_citizen_what_that_citizen_let_the_app_see", () =>
    Effect.gen(function* () {
      const city = yield* hookedCity
      const partner = yield* createPrincipal(city.tenantId, { kind: "app" })
      const made = yield* city.endpoint({ url, types: ["matter.*"] }, partner)
      const letting = (consents: ReadonlyArray<string>) =>
        Effect.provideService(AppTokens, {
          looksLikeOne: () => false,
          verify: () => Effect.die("nobody asks"),
          ownerOf: () => Effect.succeed(null),
          consents: (apps, people) =>
            Effect.succeed(
              people.flatMap((principalId) =>
                apps.includes(partner.id!) ? [{ appId: partner.id!, principalId, within: consents }] : []
              )
            )
        })
      yield* city.report(1, "matter")
      assert.strictEqual((yield* city.messages).length, 0)
      yield* city.report(1, "matter").pipe(letting(["payout.read:own"]))
      assert.strictEqual((yield* city.messages).length, 0)
      yield* city.report(1, "matter").pipe(letting(["matter.read:own"]))
      assert.strictEqual((yield* city.messages).length, 1)
      yield* as(city.admin)(setStatus(made.id, "paused"))
      yield* city.report(1, "matter").pipe(letting(["matter.read:own"]))
      assert.strictEqual((yield* city.messages).length, 2)
      const blocked = yield* createPrincipal(city.tenantId, { kind: "app", roles: ["inspector"] })
      yield* city.endpoint({ url }, blocked)
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) => sql`update mahalla.principal set status = 'blocked' where id = ${blocked.id}`
        )
      )
      yield* withTenant(city.tenantId)(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql`update mahalla.webhook_endpoint set status = 'disabled' where id = ${made.id}`
        )
      )
      yield* city.report(1, "matter").pipe(letting(["matter.read:own"]))
      assert.strictEqual((yield* city.messages).length, 2)
    })
  )
})

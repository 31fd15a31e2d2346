/** Who asks together is read together: nobody's answer is another's. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { inject } from "vitest"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { newId } from "../ids.ts"
import { loadPrincipal } from "./load.ts"
import { presetRoles } from "./presets.ts"
import { makeRoleBook, RoleBook } from "./roles.ts"

const book = makeRoleBook({ presets: presetRoles, caseTypes: [], permissions: [], knows: () => true })
const rooms = testKernel({ postgresUrl: inject("postgresUrl") }).pipe(Layer.provideMerge(Layer.succeed(RoleBook, book)))

layer(rooms, { excludeTestServices: true })("a principal", (it) => {
  it.effect("is_found_whatever_nonsense_others_ask_for_at_the_same_moment", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const { id } = yield* createPrincipal(tenantId)
      const asked = [id, "nonsense", null, id!.toUpperCase(), yield* newId, "\u0000", id]
      const found = yield* Effect.forEach(asked, (one) => Effect.result(loadPrincipal(tenantId, one)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        found.map((one) => (one._tag === "Success" ? one.success.id : one.failure._tag)),
        [id, "Unauthorized", null, "Unauthorized", "Unauthorized", "Unauthorized", id]
      )
    })
  )

  it.effect("has_the_roles_of_now_though_an_older_answer_comes_in_later", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const { id } = yield* createPrincipal(tenantId)
      const change = (permissions: ReadonlyArray<string>) =>
        withTenant(tenantId)(
          Effect.gen(function* () {
            const { sql } = yield* TenantTx
            yield* sql`
              insert into mahalla.role (tenant_id, id, title, permissions, version, updated_at)
              values (${tenantId}, 'citizen', 'Citizen', ${permissions}::text[], 1, now())
              on conflict (tenant_id, id) do update set permissions = excluded.permissions`
            yield* sql`
              insert into mahalla.role_set (tenant_id, version) values (${tenantId}, ${yield* newId})
              on conflict (tenant_id) do update set version = excluded.version`
          })
        )
      const permissionsOf = Effect.map(
        loadPrincipal(tenantId, id),
        ({ roles }) => roles?.get("citizen")?.permissions ?? []
      )
      yield* change(["event.read"])
      assert.deepStrictEqual(yield* permissionsOf, ["event.read"])
      const before = book.known(tenantId)
      yield* change([])
      assert.deepStrictEqual(yield* permissionsOf, [])
      // One asks, and is told that nothing has changed since; a request that asked before the change is answered in between.
      const asking = yield* Effect.forkChild(permissionsOf, { startImmediately: true })
      book.learn(tenantId, before.version, [{ id: "citizen", title: "Citizen", permissions: ["event.read"] }])
      assert.deepStrictEqual(yield* Fiber.join(asking), [])
      assert.deepStrictEqual(yield* permissionsOf, [])
    })
  )
})

import pg from "pg"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { TenantTx, withTenant } from "../kernel/db/Database.ts"
import { migrate } from "../kernel/db/migrate.ts"
import { kernelMigrations } from "../kernel/migrations.ts"
import { createPrincipal, createTenant, TestKernel, testKernel } from "./kernel.ts"

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("testKernel", (it) => {
  it.effect("gives_a_migrated_database_that_needs_nothing_more", () =>
    Effect.gen(function* () {
      const { owner } = yield* TestKernel
      const { applied } = yield* migrate({ owner, migrations: kernelMigrations, prepare: () => Effect.void })
      assert.deepStrictEqual(applied, [])
    })
  )

  it.effect("keeps_tenants_apart", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* createTenant(), yield* createTenant({ name: "Another city" })]
      yield* createPrincipal(one.tenantId)
      const person = yield* createPrincipal(two.tenantId, { roles: ["inspector"] })
      const seen = yield* withTenant(two.tenantId)(
        Effect.gen(function* () {
          const { sql } = yield* TenantTx
          return {
            tenants: yield* sql<{ name: string }>`select name from mahalla.tenant`,
            people: yield* sql<{ id: string }>`select id from mahalla.principal`
          }
        })
      )
      assert.deepStrictEqual(seen, { tenants: [{ name: "Another city" }], people: [{ id: person.id! }] })
    })
  )

  it.effect("makes_copies_quickly_and_side_by_side", () =>
    Effect.gen(function* () {
      const copies = yield* Effect.all(
        Array.from({ length: 4 }, () =>
          TestKernel.pipe(Effect.provide(testKernel({ postgresUrl: inject("postgresUrl") }), { local: true }))
        ),
        { concurrency: 4 }
      )
      const names = copies.map((copy) => copy.name)
      assert.strictEqual(new Set(names).size, 4)
      const { admin } = yield* TestKernel
      const left = yield* Effect.promise(async () => {
        const client = new pg.Client({ connectionString: Redacted.value(admin) })
        await client.connect()
        const { rowCount } = await client.query("select from pg_database where datname = any ($1)", [names])
        await client.end()
        return rowCount
      })
      assert.strictEqual(left, 0)
    })
  )
})

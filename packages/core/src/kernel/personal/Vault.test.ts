import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { newId } from "../ids.ts"
import { mastersOf } from "./master.ts"
import { nameOf, type NameRow, principalOfPhone, sealName, sealPhone } from "./people.ts"
import { layerVault, Vault, type VaultError } from "./Vault.ts"

const platform = <A extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql.unsafe<A>(text, values)))

const secretOf = (name: string) => Redacted.make(`${name}: a secret of the tests of the vault`)

const place = (tenantId: string, row = "r") => ({ tenantId, table: "principal", column: "phone", row })

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("the vault", (it) => {
  it.effect("seals_with_a_key_of_the_tenant_that_is_made_once_however_many_begin", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const vault = yield* Vault
      // Processes of their own: none knows what another has read.
      const others = yield* Effect.forEach(Array.from({ length: 6 }), () =>
        Effect.provide(Vault, layerVault(vault.masters), { local: true })
      )
      const sealed = yield* Effect.forEach([vault, ...others], (one) => one.seal(place(tenantId), "+998901234567"), {
        concurrency: "unbounded"
      })
      for (const text of sealed)
        for (const one of [vault, ...others])
          assert.strictEqual(yield* one.open(place(tenantId), text), "+998901234567")
      const keys = yield* platform<{ purpose: string }>(
        "select purpose, version, wrapped from mahalla.tenant_key where tenant_id = $1 order by purpose",
        [tenantId]
      )
      assert.deepStrictEqual(
        keys.map(({ purpose }) => purpose),
        ["data", "index"]
      )
    })
  )

  it.effect("opens_nothing_that_was_copied_to_another_row_column_or_tenant", () =>
    Effect.gen(function* () {
      const [ours, theirs] = [yield* createTenant(), yield* createTenant()]
      const vault = yield* Vault
      const sealed = yield* vault.seal(place(ours.tenantId), "secret")
      const elsewhere = [
        place(ours.tenantId, "other row"),
        { ...place(ours.tenantId), column: "name" },
        { ...place(ours.tenantId), table: "payout" },
        place(theirs.tenantId)
      ]
      for (const one of elsewhere) {
        const refused = yield* Effect.flip(vault.open(one, sealed))
        assert.strictEqual((refused as VaultError).reason, "Tampered")
      }
      // Nor does a row of one tenant's key serve another.
      yield* vault.seal(place(theirs.tenantId), "theirs")
      yield* platform(
        `update mahalla.tenant_key k set wrapped = o.wrapped from mahalla.tenant_key o
         where k.tenant_id = $1 and o.tenant_id = $2 and o.purpose = k.purpose`,
        [theirs.tenantId, ours.tenantId]
      )
      yield* vault.forget(theirs.tenantId)
      const refused = yield* Effect.flip(vault.seal(place(theirs.tenantId), "x"))
      assert.strictEqual((refused as VaultError).reason, "Tampered")
    })
  )

  it.effect("says_that_keys_were_destroyed_and_makes_no_new_ones", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const vault = yield* Vault
      const sealed = yield* vault.seal(place(tenantId), "x")
      yield* platform("update mahalla.tenant_key set wrapped = '' where tenant_id = $1", [tenantId])
      yield* vault.forget(tenantId)
      for (const call of [vault.open(place(tenantId), sealed), vault.seal(place(tenantId), "y")])
        assert.strictEqual(((yield* Effect.flip(call)) as VaultError).reason, "Destroyed")
    })
  )

  it.effect("keeps_a_phone_unique_in_a_tenant_and_finds_it_in_both_forms", () =>
    Effect.gen(function* () {
      const [ours, theirs] = [yield* createTenant(), yield* createTenant()]
      const phone = "+998907654321"
      const put = (tenantId: string) =>
        withTenant(tenantId)(
          Effect.gen(function* () {
            const { sql } = yield* TenantTx
            const id = yield* newId
            const { phone_index, phone_sealed } = yield* sealPhone(id, phone)
            yield* sql`
              insert into mahalla.principal (tenant_id, id, kind, phone_sealed, phone_index)
              values (${tenantId}, ${id}, 'person', ${phone_sealed}, ${phone_index})`
            return id
          })
        )
      const id = yield* put(ours.tenantId)
      assert.strictEqual((yield* Effect.exit(put(ours.tenantId)))._tag, "Failure")
      const elsewhere = yield* put(theirs.tenantId)
      const find = (tenantId: string, of: string) => withTenant(tenantId)(principalOfPhone(of))
      assert.strictEqual((yield* find(ours.tenantId, phone))?.id, id)
      assert.strictEqual((yield* find(theirs.tenantId, phone))?.id, elsewhere)
      assert.isUndefined(yield* find(ours.tenantId, "+998900000000"))
      const indexes = yield* platform<{ phone_index: string }>(
        "select phone_index from mahalla.principal where id in ($1, $2)",
        [id, elsewhere]
      )
      assert.strictEqual(new Set(indexes.map((row) => row.phone_index)).size, 2)
      const old = yield* createPrincipal(ours.tenantId)
      yield* platform("update mahalla.principal set phone = '+998901112233' where id = $1", [old.id])
      assert.strictEqual((yield* find(ours.tenantId, "+998901112233"))?.id, old.id)
    })
  )

  it.effect("shows_no_name_that_was_changed_in_the_database", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const [one, two] = [yield* createPrincipal(tenantId), yield* createPrincipal(tenantId)]
      const name = (id: string) =>
        withTenant(tenantId)(
          Effect.gen(function* () {
            const { sql } = yield* TenantTx
            const rows = yield* sql<NameRow>`select id, name, name_sealed from mahalla.principal where id = ${id}`
            return yield* nameOf(rows[0]!)
          })
        )
      const sealed = yield* withTenant(tenantId)(sealName(one.id!, "Nodira"))
      yield* platform("update mahalla.principal set name_sealed = $1 where id in ($2, $3)", [sealed, one.id, two.id])
      assert.strictEqual(yield* name(one.id!), "Nodira")
      assert.strictEqual((yield* Effect.exit(name(two.id!)))._tag, "Failure")
    })
  )
})

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("a secret", (it) => {
  it.effect("that_does_not_belong_to_the_database_is_refused_with_the_next_step", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const right = yield* Vault
      yield* right.seal(place(tenantId), "x")
      const wrong = mastersOf(secretOf("wrong"))
      const refused = yield* Effect.flip(Layer.build(layerVault(wrong)))
      assert.strictEqual(refused._tag, "MasterKeyError")
      assert.include(refused.message, right.masters.current.id)
      assert.include(refused.message, wrong.current.id)
      assert.include(refused.message, "mahalla key restore")
      const [row] = yield* platform<{ amount: number }>("select count(*)::int as amount from mahalla.master_key")
      assert.strictEqual(row?.amount, 1)
    })
  )
})

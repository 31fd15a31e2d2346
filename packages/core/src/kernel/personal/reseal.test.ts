import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { commitment } from "../events/append.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../db/Database.ts"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { withIdempotency } from "../idempotency/idempotency.ts"
import { newId } from "../ids.ts"
import { kernelParts } from "./kernelParts.ts"
import { destroyTenantKeys } from "./keyState.ts"
import { masterOf } from "./master.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow, principalOfPhone } from "./people.ts"
import { personalOf } from "./personalOfEvents.ts"
import { resealTurn, rotateTenantKey, settled } from "./reseal.ts"
import type { SealedPart } from "./SealedPart.ts"
import { layerVault, Vault, type VaultError } from "./Vault.ts"

const platform = <A extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
  withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => sql.unsafe<A>(text, values)))

const phoneAt = (n: number) => `+99890${String(n).padStart(7, "0")}`

/** A tenant as the version before this one has left it. */
const oldTenant = Effect.fnUntraced(function* (people: number) {
  const { tenantId } = yield* createTenant()
  for (let n = 0; n < people; n++) {
    const [id, eventId] = [yield* newId, yield* newId]
    yield* platform(
      "insert into mahalla.principal (tenant_id, id, kind, phone, name) values ($1, $2, 'person', $3, $4)",
      [tenantId, id, phoneAt(n), `Person ${n}`]
    )
    yield* platform(
      `insert into mahalla.event (tenant_id, id, type, actor_id, payload, commitments, occurred_at)
       values ($1, $2, 'identity.registered', $3::uuid, jsonb_build_object('principalId', $3::uuid), jsonb_build_object('phone', $4::text), now())`,
      [tenantId, eventId, id, commitment("salt", phoneAt(n))]
    )
    yield* platform(
      "insert into mahalla.event_personal (tenant_id, event_id, person_id, field, salt, value) values ($1, $2, $4, 'phone', 'salt', to_jsonb($3::text))",
      [tenantId, eventId, phoneAt(n), id]
    )
    yield* platform(
      `insert into mahalla.idempotency_key (tenant_id, principal_id, route, key, body_hash, status, answer, created_at)
       values ($1, $2, 'principals', 'key', 'RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o', 201, jsonb_build_object('phone', $3::text), now())`,
      [tenantId, id, phoneAt(n)]
    )
  }
  yield* platform("insert into mahalla.reseal (tenant_id, part) select $1, part from unnest($2::text[]) as part", [
    tenantId,
    kernelParts.map(({ id }) => id)
  ])
  return tenantId
})

/** Everybody's values, as the engine reads them now. */
const readAll = (tenantId: string) =>
  withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const rows = yield* sql<NameRow & PhoneRow>`
        select id, name, name_sealed, phone, phone_sealed from mahalla.principal where tenant_id = ${tenantId} order by id`
      return yield* Effect.forEach(rows, (row) =>
        Effect.gen(function* () {
          const phone = (yield* phoneOf(row)) ?? ""
          const personal = yield* personalOf(row.id)
          const stored = yield* withIdempotency(
            { route: "principals", key: "key", body: {}, principalId: row.id },
            Effect.die("asked for a second time")
          )
          return {
            phone,
            name: yield* nameOf(row),
            found: (yield* principalOfPhone(phone))?.id === row.id,
            personal: personal.map(({ salt, value }) => [salt, value]),
            answer: stored.answer.body
          }
        })
      )
    })
  )

const expected = (people: number) =>
  Array.from({ length: people }, (_, n) => ({
    phone: phoneAt(n),
    name: `Person ${n}`,
    found: true,
    personal: [["salt", phoneAt(n)]],
    answer: { phone: phoneAt(n) }
  }))

const clearIn = Effect.fnUntraced(function* (tenantId: string) {
  const rows = yield* platform<{ amount: number }>(
    `select ((select count(*) from mahalla.principal p where tenant_id = $1 and p::text ~ '99890|Person')
      + (select count(*) from mahalla.event_personal p where tenant_id = $1 and (p::text ~ '99890|salt'))
      + (select count(*) from mahalla.idempotency_key k where tenant_id = $1 and k::text ~ '99890'))::int as amount`,
    [tenantId]
  )
  return rows[0]!.amount
})

/** The first of the rows break off their batch, as a killed process would. */
const breaking = (parts: ReadonlyArray<SealedPart>, after: number): ReadonlyArray<SealedPart> => {
  let turns = 0
  return parts.map((part) => ({
    ...part,
    turn: (reader, position, limit) =>
      Effect.suspend(() => {
        // A small batch, so that several are needed.
        const turn = part.turn(reader, position, Math.min(limit, 3))
        return ++turns > after
          ? Effect.andThen(turn, Effect.die("killed"))
          : Effect.map(turn, (done) => (done.seen === 3 ? { ...done, seen: limit } : done))
      })
  }))
}

const versionsOf = (tenantId: string) =>
  Effect.map(
    platform<{ version: number }>(
      "select version from mahalla.tenant_key where tenant_id = $1 and purpose = 'data' order by version",
      [tenantId]
    ),
    (rows) => rows.map((row) => row.version)
  )

const untilDone = Effect.gen(function* () {
  while ((yield* resealTurn(kernelParts)) > 0);
})

const age = (tenantId: string) =>
  platform(`update mahalla.tenant_key set made_at = made_at - interval '${settled + 1} seconds' where tenant_id = $1`, [
    tenantId
  ])

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("the resealer", (it) => {
  it.effect("seals_what_an_older_version_kept_in_clear_also_when_it_is_killed_on_the_way", () =>
    Effect.gen(function* () {
      const people = 10
      const tenantId = yield* oldTenant(people)
      assert.deepStrictEqual(yield* readAll(tenantId), expected(people))
      for (const after of [1, 2, 0]) {
        assert.strictEqual((yield* Effect.exit(resealTurn(breaking(kernelParts, after))))._tag, "Failure")
        // Half of it sealed: whoever reads sees no difference.
        assert.isAbove(yield* clearIn(tenantId), 0)
        assert.deepStrictEqual(yield* readAll(tenantId), expected(people))
      }
      const [before] = yield* platform<{ done: number }>(
        "select sum(done)::int as done from mahalla.reseal where tenant_id = $1",
        [tenantId]
      )
      assert.isAbove(before!.done, 0)
      yield* untilDone
      assert.strictEqual(yield* clearIn(tenantId), 0)
      assert.deepStrictEqual(yield* readAll(tenantId), expected(people))
    })
  )

  it.effect("moves_everything_to_a_new_key_and_takes_the_old_one_away_when_nobody_can_use_it_any_more", () =>
    Effect.gen(function* () {
      const people = 4
      const tenantId = yield* oldTenant(people)
      yield* untilDone
      // A process that will have read the keys before the change.
      const late = yield* Effect.provide(Vault, layerVault((yield* Vault).masters), { local: true })
      yield* late.version(tenantId)
      assert.strictEqual(yield* rotateTenantKey(tenantId, kernelParts), 2)
      assert.strictEqual(yield* rotateTenantKey(tenantId, kernelParts), 2)
      assert.strictEqual((yield* Effect.exit(resealTurn(breaking(kernelParts, 1))))._tag, "Failure")
      assert.deepStrictEqual(yield* readAll(tenantId), expected(people))
      yield* untilDone
      assert.deepStrictEqual(yield* readAll(tenantId), expected(people))
      // Somebody may still seal with what they knew.
      assert.deepStrictEqual(yield* versionsOf(tenantId), [1, 2])
      const [row] = yield* platform<{ id: string }>("select id from mahalla.principal where tenant_id = $1 limit 1", [
        tenantId
      ])
      const straggler = yield* late.seal({ tenantId, table: "principal", column: "name", row: row!.id }, "Person 0")
      yield* platform("update mahalla.principal set name_sealed = $1 where id = $2", [straggler, row!.id])
      yield* age(tenantId)
      yield* resealTurn(kernelParts)
      assert.deepStrictEqual(yield* versionsOf(tenantId), [1, 2])
      yield* untilDone
      yield* resealTurn(kernelParts)
      assert.deepStrictEqual(yield* versionsOf(tenantId), [2])
      assert.deepStrictEqual(
        (yield* readAll(tenantId)).map(({ phone }) => phone),
        expected(people).map(({ phone }) => phone)
      )
      assert.strictEqual(yield* rotateTenantKey(tenantId, kernelParts), 3)
    })
  )

  it.effect("keeps_an_old_key_that_a_module_which_is_not_here_may_need", () =>
    Effect.gen(function* () {
      const tenantId = yield* oldTenant(1)
      yield* platform("insert into mahalla.reseal (tenant_id, part, finished_at) values ($1, 'gone.thing', now())", [
        tenantId
      ])
      yield* rotateTenantKey(tenantId, kernelParts)
      yield* age(tenantId)
      yield* untilDone
      yield* resealTurn(kernelParts)
      assert.deepStrictEqual(yield* versionsOf(tenantId), [1, 2])
    })
  )

  it.effect("wraps_the_keys_for_a_new_secret_while_both_are_given", () =>
    Effect.gen(function* () {
      const tenantId = yield* oldTenant(2)
      yield* untilDone
      const { masters } = yield* Vault
      const next = masterOf(Redacted.make("the next secret of the tests of resealing"))
      const both = layerVault({ current: next, previous: masters.current })
      const change = Effect.gen(function* () {
        // Before and after the change the same values open.
        assert.deepStrictEqual(yield* readAll(tenantId), expected(2))
        const other = yield* createTenant()
        yield* (yield* Vault).version(other.tenantId)
        yield* untilDone
        assert.deepStrictEqual(yield* readAll(tenantId), expected(2))
      })
      yield* Effect.provide(change, both, { local: true })
      const wrappedBy = yield* platform<{ master_id: string }>("select distinct master_id from mahalla.tenant_key")
      assert.deepStrictEqual(wrappedBy, [{ master_id: next.id }])
      const retired = yield* platform<{ id: string }>("select id from mahalla.master_key where retired_at is not null")
      assert.deepStrictEqual(retired, [{ id: masters.current.id }])
      const alone = layerVault({ current: next })
      assert.deepStrictEqual(yield* Effect.provide(readAll(tenantId), alone, { local: true }), expected(2))
    })
  )
})

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })(
  "the resealer's trouble",
  (it) => {
    it.effect("goes_on_beside_a_tenant_in_which_something_does_not_open_or_whose_keys_were_destroyed", () =>
      Effect.gen(function* () {
        const [spoilt, destroyed, good] = [yield* oldTenant(2), yield* oldTenant(2), yield* oldTenant(2)]
        yield* untilDone
        yield* platform(
          "update mahalla.principal set name_sealed = overlay(name_sealed placing case substr(name_sealed, 20, 1) when 'A' then 'B' else 'A' end from 20) where tenant_id = $1",
          [spoilt]
        )
        yield* platform("update mahalla.tenant_key set wrapped = '' where tenant_id = $1", [destroyed])
        yield* (yield* Vault).forget(destroyed)
        // As the migration of a new module begins it for every tenant.
        yield* platform("update mahalla.reseal set position = null, finished_at = null")
        yield* rotateTenantKey(spoilt, kernelParts)
        yield* rotateTenantKey(good, kernelParts)
        yield* age(good)
        yield* untilDone
        yield* resealTurn(kernelParts)
        assert.deepStrictEqual(yield* versionsOf(good), [2])
        assert.deepStrictEqual(yield* readAll(good), expected(2))
        assert.deepStrictEqual(yield* versionsOf(spoilt), [1, 2])
      })
    )

    it.effect("makes_no_new_key_where_another_process_has_destroyed_them", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        const vault = yield* Vault
        yield* vault.version(tenantId)
        const there = layerVault(vault.masters)
        yield* Effect.provide(destroyTenantKeys(tenantId), there, { local: true })
        const refused = yield* Effect.flip(rotateTenantKey(tenantId, kernelParts))
        assert.strictEqual((refused as VaultError).reason, "Destroyed")
        assert.deepStrictEqual(yield* versionsOf(tenantId), [1])
      })
    )
  }
)

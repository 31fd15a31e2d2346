import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { newId, referenceOf } from "../../kernel/ids.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { forgetTenants } from "../../kernel/tenancy/resolve.ts"
import { Payments } from "../../ports/Payments.ts"
import { memoryPayments } from "../../testing/index.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { layerNewDevices, recognise } from "../identity/devices.ts"
import { identity } from "../identity/index.ts"
import { payoutsPerDay } from "./hold.ts"
import { payJob, refusePayout } from "./jobs.ts"
import { unbalanced } from "./ledger.ts"
import { fundBudget, requestReward } from "./rewards.ts"
import { loadPayout } from "./sql.ts"
import { payoutsMigrations } from "./migrations.ts"

const migrations = payoutsMigrations
const rails = Layer.effect(
  PaymentRails,
  Effect.map(Payments, (payments) => new Map([["memory", payments]]))
).pipe(Layer.provide(memoryPayments()))
const { migrations: identityMigrations } = identity()
const rooms = Layer.mergeAll(
  rails,
  layerNewDevices as Layer.Layer<never>,
  Keys.layer(Redacted.make("a secret for the tests of payouts"))
).pipe(
  Layer.provideMerge(
    testKernel({ postgresUrl: inject("postgresUrl"), migrations: [...identityMigrations, ...migrations] })
  )
)

/** A tenant, its citizens with so many rewards each, and their payouts. */
const claimed = Effect.fnUntraced(function* (claims: ReadonlyArray<number>) {
  const { tenantId } = yield* createTenant()
  const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(Effect.provideService(self, Actor, system(tenantId)))
  yield* inside(fundBudget({ amount: 1_000_000n, memo: "Budget" }))
  for (const [place, amount] of claims.entries()) {
    const citizen = yield* createPrincipal(tenantId)
    for (let claim = 0; claim < amount; claim++) {
      const caseId = yield* newId
      yield* withPlatform(
        Effect.gen(function* () {
          const { sql } = yield* PlatformTx
          yield* sql`update mahalla.principal set phone = ${`+99890123456${place}`} where tenant_id = ${tenantId} and id = ${citizen.id}`
          yield* sql`insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing`
          yield* sql`
            insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
            values (${tenantId}, ${caseId}, 'matter', 1, ${referenceOf(caseId)}, 'accepted', 'fixed', '{}', now(), now())`
        })
      )
      yield* inside(requestReward({ caseId, principalId: citizen.id ?? "", amount: 300n, rule: "share-of-fine" }))
    }
  }
  const ids = yield* inside(
    Effect.flatMap(TenantTx, ({ sql }) => sql<{ id: string }>`select id from mahalla.payout order by id`)
  )
  const pay = Effect.forEach(
    ids,
    ({ id }) =>
      Effect.result(
        payJob.run({ payoutId: id }, { id, tenantId, attempt: 1, maxAttempts: 100 }) as Effect.Effect<void, unknown>
      ),
    { concurrency: 8 }
  )
  const states = inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ state: string; n: number }>`
        select state, count(*)::int as n from mahalla.payout group by 1 order by 1`
    )
  )
  const held = inside(Effect.flatMap(TenantTx, ({ sql }) => sql`select from mahalla.event where type = 'payouts.held'`))
  return { pay, states, held, inside }
})

/** A citizen with a phone and a device, who is rewarded and paid when the test says so. */
const paidCitizen = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(Effect.provideService(self, Actor, system(tenantId)))
  const { id } = yield* createPrincipal(tenantId)
  const principalId = id ?? ""
  yield* inside(fundBudget({ amount: 1_000_000n, memo: "Budget" }))
  yield* inside(recognise(principalId, undefined, undefined))
  const movesTo = (phone: string) =>
    withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) =>
          sql`update mahalla.principal set phone = ${phone} where tenant_id = ${tenantId} and id = ${principalId}`
      )
    )
  const comesOnAnotherDevice = inside(recognise(principalId, undefined, undefined))
  const passes = (hours: number) =>
    withPlatform(
      Effect.flatMap(
        PlatformTx,
        ({ sql }) => sql`
          with moved as (update mahalla.sign_in_device set first_used_at = first_used_at - make_interval(hours => ${hours}) where tenant_id = ${tenantId})
          update mahalla.payout set created_at = created_at - make_interval(hours => ${hours}) where tenant_id = ${tenantId}`
      )
    )
  /** A reward, and its job; asked for again it is the job alone. */
  const reward = Effect.gen(function* () {
    const caseId = yield* newId
    yield* withPlatform(
      Effect.gen(function* () {
        const { sql } = yield* PlatformTx
        yield* sql`insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing`
        yield* sql`
          insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
          values (${tenantId}, ${caseId}, 'matter', 1, ${referenceOf(caseId)}, 'accepted', 'fixed', '{}', now(), now())`
      })
    )
    yield* inside(requestReward({ caseId, principalId, amount: 300n, rule: "share-of-fine" }))
    const [made] = yield* inside(
      Effect.flatMap(
        TenantTx,
        ({ sql }) => sql<{ id: string }>`select id from mahalla.payout where case_id = ${caseId}`
      )
    )
    const job = { id: made!.id, tenantId, attempt: 1, maxAttempts: 100 }
    const state = Effect.gen(function* () {
      yield* Effect.result(payJob.run({ payoutId: made!.id }, job) as Effect.Effect<void, unknown>)
      return (yield* inside(loadPayout(made!.id)))!.state
    })
    return { id: made!.id, state }
  })
  const changes = inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql<{ payload: Record<string, unknown>; commitments: Record<string, string> }>`
        select payload, commitments from mahalla.event where type = 'payouts.payee-changed' order by id`
    )
  )
  return { inside, movesTo, comesOnAnotherDevice, passes, reward, changes, principalId, tenantId }
})

layer(rooms, { excludeTestServices: true })("payouts that go elsewhere than before", (it) => {
  it.effect("wait_when_the_person_had_come_on_a_new_device_and_go_when_it_is_new_no_more", () =>
    Effect.gen(function* () {
      const { changes, comesOnAnotherDevice, inside, movesTo, passes, principalId, reward } = yield* paidCitizen
      yield* movesTo("+998901230001")
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      yield* comesOnAnotherDevice
      // The same destination: nothing waits.
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      yield* movesTo("+998901230002")
      const [first, second] = [yield* reward, yield* reward]
      // The second goes where the first goes, and the first has not gone.
      for (const { state } of [first, second, first]) assert.strictEqual(yield* state, "reserved")
      const noted = yield* changes
      assert.deepEqual(
        noted.map(({ payload }) => payload),
        [first, second].map(({ id }) => ({ payoutId: id, principalId, newDevice: true }))
      )
      assert.notInclude(JSON.stringify(noted), "1230002")
      assert.isString(noted[0]!.commitments["payee"])
      yield* passes(71)
      assert.strictEqual(yield* first.state, "reserved")
      yield* passes(2)
      assert.strictEqual(yield* first.state, "succeeded")
      assert.strictEqual(yield* second.state, "succeeded")
      assert.deepEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("cool_off_and_are_written_down_when_the_device_is_the_persons_own", () =>
    Effect.gen(function* () {
      const { changes, comesOnAnotherDevice, movesTo, passes, reward } = yield* paidCitizen
      yield* movesTo("+998901230011")
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      yield* comesOnAnotherDevice
      yield* passes(73)
      yield* movesTo("+998901230012")
      const elsewhere = yield* reward
      assert.strictEqual(yield* elsewhere.state, "reserved")
      yield* passes(25)
      assert.strictEqual(yield* elsewhere.state, "succeeded")
      // Where it has gone once it goes at once.
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      assert.deepEqual(
        (yield* changes).map(({ payload }) => payload["newDevice"]),
        [false]
      )
    })
  )

  it.effect("wait_as_many_hours_as_the_city_says", () =>
    Effect.gen(function* () {
      const { comesOnAnotherDevice, movesTo, passes, reward, tenantId } = yield* paidCitizen
      yield* withPlatform(
        Effect.flatMap(
          PlatformTx,
          ({ sql }) =>
            sql`update mahalla.tenant set settings = settings || '{"newDeviceHours": 2, "payouts": {"coolingOffHours": 0}}' where tenant_id = ${tenantId}`
        )
      )
      yield* forgetTenants
      yield* movesTo("+998901230021")
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      yield* comesOnAnotherDevice
      yield* movesTo("+998901230022")
      const elsewhere = yield* reward
      assert.strictEqual(yield* elsewhere.state, "reserved")
      yield* passes(3)
      assert.strictEqual(yield* elsewhere.state, "succeeded")
    })
  )

  it.effect("are_refused_by_a_person_and_the_money_goes_back", () =>
    Effect.gen(function* () {
      const { comesOnAnotherDevice, inside, movesTo, reward } = yield* paidCitizen
      yield* movesTo("+998901230031")
      assert.strictEqual(yield* (yield* reward).state, "succeeded")
      yield* comesOnAnotherDevice
      yield* movesTo("+998901230032")
      const elsewhere = yield* reward
      assert.strictEqual(yield* elsewhere.state, "reserved")
      yield* inside(
        Effect.flatMap(loadPayout(elsewhere.id, true), (payout) =>
          refusePayout(payout!, "The person says it was not they.")
        )
      )
      assert.strictEqual(yield* elsewhere.state, "failed")
      const [budget] = yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ reserved: bigint }>`select reserved from mahalla.account where kind = 'budget'`
        )
      )
      assert.strictEqual(budget!.reserved, 0n)
      assert.deepEqual(yield* inside(unbalanced), [])
    })
  )
})

layer(rooms, { excludeTestServices: true })("payouts to one person", (it) => {
  it.effect("case_28_mass_claims_of_one_person_are_paid_so_often_a_day_and_the_rest_waits_for_somebody_to_look", () =>
    Effect.gen(function* () {
      const { held, inside, pay, states } = yield* claimed([payoutsPerDay + 7, 3])
      yield* pay
      assert.deepEqual(
        (yield* states).map(({ n, state }) => [state, n]),
        [
          ["reserved", 7],
          ["succeeded", payoutsPerDay + 3]
        ]
      )
      assert.strictEqual((yield* held).length, 7)
      // The job comes again and again, and the events do not.
      yield* pay
      assert.strictEqual((yield* held).length, 7)
      assert.deepEqual(yield* inside(unbalanced), [])
      yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) =>
            sql`update mahalla.payout set changed_at = changed_at - interval '25 hours' where state = 'succeeded'`
        )
      )
      yield* pay
      assert.deepEqual(
        (yield* states).map(({ n, state }) => [state, n]),
        [["succeeded", payoutsPerDay + 10]]
      )
    })
  )
})

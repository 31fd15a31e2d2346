import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { readMigration } from "../../kernel/db/Migration.ts"
import { newId, referenceOf } from "../../kernel/ids.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { Payments } from "../../ports/Payments.ts"
import { memoryPayments } from "../../testing/index.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { payoutsPerDay } from "./hold.ts"
import { payJob } from "./jobs.ts"
import { unbalanced } from "./ledger.ts"
import { fundBudget, requestReward } from "./rewards.ts"

const migrations = ["0001_payouts.sql", "0002_payee.breaking.sql"].map((file) =>
  readMigration("payouts", new URL(`./migrations/${file}`, import.meta.url))
)
const rails = Layer.effect(
  PaymentRails,
  Effect.map(Payments, (payments) => new Map([["memory", payments]]))
).pipe(Layer.provide(memoryPayments()))
const rooms = Layer.provideMerge(rails, testKernel({ postgresUrl: inject("postgresUrl"), migrations }))

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

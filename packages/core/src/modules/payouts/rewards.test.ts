import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { newId, referenceOf } from "../../kernel/ids.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { Payments } from "../../ports/Payments.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { memoryPayments } from "../../testing/index.ts"
import { unbalanced } from "./ledger.ts"
import { nextStates, type PayoutState } from "./model.ts"
import { settlePayout } from "./jobs.ts"
import { fundBudget, requestReward, retryPayout } from "./rewards.ts"
import { loadPayout, movePayout } from "./sql.ts"
import { payoutsMigrations } from "./migrations.ts"

const migrations = payoutsMigrations

const rails = Layer.effect(
  PaymentRails,
  Effect.map(Payments, (payments) => new Map([["memory", payments]]))
).pipe(Layer.provide(memoryPayments()))

interface Row {
  readonly id: string
  readonly state: PayoutState
  readonly pending_id: string | null
}

/** A tenant with a case and a citizen whom it may reward. */
const decided = Effect.fnUntraced(function* (budget: bigint) {
  const { tenantId } = yield* createTenant()
  const citizen = yield* createPrincipal(tenantId)
  const caseId = yield* newId
  yield* withPlatform(
    Effect.gen(function* () {
      const { sql } = yield* PlatformTx
      yield* sql`update mahalla.principal set phone = '+998901234567' where tenant_id = ${tenantId} and id = ${citizen.id}`
      yield* sql`insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing`
      yield* sql`
        insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
        values (${tenantId}, ${caseId}, 'matter', 1, ${referenceOf(caseId)}, 'accepted', 'fixed', '{}', now(), now())`
    })
  )
  const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    withTenant(tenantId)(Effect.provideService(self, Actor, system(tenantId)))
  if (budget > 0n) yield* inside(fundBudget({ amount: budget, memo: "First budget" }))
  const ask = inside(requestReward({ caseId, principalId: citizen.id ?? "", amount: 300n, rule: "share-of-fine" }))
  const stored = inside(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const payouts = yield* sql<Row>`select id, state, pending_id from mahalla.payout`
      const accounts = yield* sql<{ kind: string; balance: bigint; reserved: bigint }>`
        select kind, balance, reserved from mahalla.account where kind in ('budget', 'liability')`
      const of = (kind: string) => accounts.find((account) => account.kind === kind)
      return {
        payouts,
        budget: of("budget")?.balance ?? 0n,
        owed: [of("liability")?.balance, of("liability")?.reserved]
      }
    })
  )
  return { tenantId, inside, ask, stored }
})

const kernel = testKernel({ postgresUrl: inject("postgresUrl"), migrations })

layer(Layer.merge(kernel, rails), { excludeTestServices: true })("rewards", (it) => {
  it.effect("pays_one_reward_for_one_decision_however_often_it_is_asked_for", () =>
    Effect.gen(function* () {
      const { inside, ask, stored } = yield* decided(1_000n)
      yield* Effect.all(
        Array.from({ length: 12 }, () => ask),
        { concurrency: "unbounded" }
      )
      const { payouts, budget, owed } = yield* stored
      assert.deepStrictEqual(
        payouts.map((payout) => payout.state),
        ["reserved"]
      )
      assert.deepStrictEqual([budget, owed], [700n, [300n, 300n]])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("waits_for_the_budget_and_goes_on_when_it_is_funded", () =>
    Effect.gen(function* () {
      const { inside, ask, stored } = yield* decided(0n)
      yield* ask
      assert.strictEqual((yield* stored).payouts[0]?.state, "approved")
      yield* inside(fundBudget({ amount: 299n, memo: "Not enough" }))
      assert.strictEqual((yield* stored).payouts[0]?.state, "approved")
      yield* inside(fundBudget({ amount: 1n, memo: "Now it is" }))
      const { payouts, budget, owed } = yield* stored
      assert.strictEqual(payouts[0]?.state, "reserved")
      assert.deepStrictEqual([budget, owed], [0n, [300n, 300n]])
    })
  )

  it.effect("tries_a_failed_one_again_under_a_new_id_and_once_however_many_ask", () =>
    Effect.gen(function* () {
      const { inside, ask, stored } = yield* decided(1_000n)
      yield* ask
      const [first] = (yield* stored).payouts
      const retry = inside(
        Effect.gen(function* () {
          return yield* retryPayout((yield* loadPayout(first!.id, true))!)
        })
      )
      for (const state of ["reserved", "submitting", "unknown"] as const) {
        if (state !== "reserved")
          yield* inside(
            Effect.gen(function* () {
              yield* movePayout((yield* loadPayout(first!.id, true))!, state)
            })
          )
        assert.strictEqual(((yield* Effect.flip(retry)) as { code?: string }).code, "not-failed", state)
      }
      yield* inside(settlePayout(first!.id, { state: "failed", code: "no-such-phone", message: "No such phone." }))
      // The decision alone pays no second time.
      yield* ask
      const { budget: back, owed: none } = yield* stored
      assert.deepStrictEqual([back, none], [1_000n, [0n, 0n]])
      const answers = yield* Effect.all(
        Array.from({ length: 8 }, () => Effect.exit(retry)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(answers.filter(Exit.isSuccess).length, 1)
      const { payouts, budget, owed } = yield* stored
      assert.deepStrictEqual(payouts.map(({ state }) => state).toSorted(), ["failed", "reserved"])
      assert.deepStrictEqual([budget, owed], [700n, [300n, 300n]])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("moves_a_payout_only_along_its_states_also_by_hand", () =>
    Effect.gen(function* () {
      const { tenantId, inside, ask, stored } = yield* decided(1_000n)
      yield* ask
      const [payout] = (yield* stored).payouts
      const states = Object.keys(nextStates) as ReadonlyArray<PayoutState>
      /** Puts it into a state past the guard, as a restored backup would, and tries to leave it by hand. */
      const attempt = (from: PayoutState, to: PayoutState) =>
        withPlatform(
          Effect.gen(function* () {
            const { sql } = yield* PlatformTx
            yield* sql`
              insert into mahalla.payout
              select (p).* from (select jsonb_populate_record(q, jsonb_build_object('id', gen_random_uuid(), 'rule', ${`from-${from}-to-${to}`}::text, 'state', ${from}::text)) as p
                from mahalla.payout q where tenant_id = ${tenantId} and id = ${payout?.id}) copied`
            yield* sql`
              update mahalla.payout set state = ${to} where tenant_id = ${tenantId} and rule = ${`from-${from}-to-${to}`}`
          })
        )
      for (const from of states)
        for (const to of states) {
          const exit = yield* Effect.exit(attempt(from, to))
          const allowed = from === to || nextStates[from].includes(to)
          assert.strictEqual(Exit.isSuccess(exit), allowed, `${from} → ${to}`)
        }
      const more = yield* Effect.exit(
        inside(
          Effect.flatMap(
            TenantTx,
            ({ sql }) => sql`update mahalla.payout set amount = amount + 1 where id = ${payout?.id}`
          )
        )
      )
      assert.isTrue(Exit.isFailure(more), "the amount of a decided payout was changed")
    })
  )
})

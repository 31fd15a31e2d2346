import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inject } from "vitest"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { newId, referenceOf } from "../../kernel/ids.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import { PaymentRails } from "../../kernel/ports.ts"
import { type Payments, PaymentsError, type PaymentStatus } from "../../ports/Payments.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { payJob, recoverPayouts } from "./jobs.ts"
import { accountOf, post, unbalanced } from "./ledger.ts"
import type { PayoutState } from "./model.ts"
import { fundBudget, requestReward } from "./rewards.ts"
import { payoutsMigrations } from "./migrations.ts"

const migrations = payoutsMigrations

/** What the rail says next; it refuses every form that it is sent. */
let word: PaymentStatus = { state: "not-found", final: false }
let sent = 0
let onPay = () => {}

const refusing: Payments["Service"] = {
  payees: ["phone"],
  currency: "UZS",
  quote: () => Effect.die("not asked"),
  pay: ({ id }) =>
    Effect.suspend(() => {
      sent++
      onPay()
      return new PaymentsError({
        reason: "InvalidRequest",
        operation: "pay",
        subject: id,
        message: "This id stands for another payment.",
        retryable: false
      })
    }),
  status: () => Effect.sync(() => word),
  register: () => Stream.empty
}

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
  yield* inside(requestReward({ caseId, principalId: citizen.id ?? "", amount: 300n, rule: "share-of-fine" }))
  const payout = inside(
    Effect.flatMap(TenantTx, ({ sql }) =>
      Effect.map(sql<{ id: string; state: PayoutState }>`select id, state from mahalla.payout`, (rows) => rows[0]!)
    )
  )
  /** As after a process that ended while it was paying, some time ago. */
  const lost = withPlatform(
    Effect.flatMap(
      PlatformTx,
      ({ sql }) => sql`
        update mahalla.payout set state = 'submitting', changed_at = now() - interval '1 minute' where tenant_id = ${tenantId}`
    )
  )
  const pay = Effect.flatMap(payout, ({ id }) =>
    Effect.exit(
      payJob.run({ payoutId: id }, { id: "job", tenantId, attempt: 1, maxAttempts: 100 }) as Effect.Effect<
        void,
        unknown,
        never
      >
    )
  )
  return { inside, lost, pay, payout }
})

const kernel = testKernel({ postgresUrl: inject("postgresUrl"), migrations })
const rails = Layer.succeed(PaymentRails, new Map([["refusing", refusing]]))

layer(Layer.merge(kernel, rails), { excludeTestServices: true })("recovery of payouts", (it) => {
  it.effect("takes_a_refusal_of_a_second_sending_for_no_word_about_the_first", () =>
    Effect.gen(function* () {
      const { inside, lost, pay, payout } = yield* decided(1_000n)
      yield* lost
      word = { state: "not-found", final: false }
      onPay = () => (word = { state: "succeeded", reference: "R-1" })
      sent = 0
      yield* pay
      assert.deepStrictEqual([sent, (yield* payout).state], [1, "succeeded"])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("leaves_to_a_person_what_the_rail_refuses_and_may_still_get", () =>
    Effect.gen(function* () {
      const { lost, pay, payout } = yield* decided(1_000n)
      yield* lost
      word = { state: "not-found", final: false }
      onPay = () => {}
      yield* pay
      assert.strictEqual((yield* payout).state, "manual")
    })
  )

  it.effect("gives_the_money_back_when_the_rail_refuses_what_it_surely_never_gets", () =>
    Effect.gen(function* () {
      const { inside, lost, pay, payout } = yield* decided(1_000n)
      yield* lost
      word = { state: "not-found", final: false }
      // Its contract says so of what it has refused.
      onPay = () => (word = { state: "not-found", final: true })
      yield* pay
      assert.strictEqual((yield* payout).state, "failed")
      const [account] = yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql<{ balance: bigint; reserved: bigint }>`
            select balance, reserved from mahalla.account where kind = 'budget'`
        )
      )
      assert.deepStrictEqual(account, { balance: 1_000n, reserved: 0n })
    })
  )

  it.effect("lets_a_waiting_payout_go_on_when_money_comes_back", () =>
    Effect.gen(function* () {
      const { inside, payout } = yield* decided(0n)
      assert.strictEqual((yield* payout).state, "approved")
      // Not by funding, which looks for those that wait by itself.
      yield* inside(
        Effect.gen(function* () {
          const transfer = { debit: yield* accountOf("funding", "UZS"), credit: yield* accountOf("budget", "UZS") }
          yield* post({ ...transfer, amount: 300n, currency: "UZS", memo: "A failed payout" })
        })
      )
      yield* recoverPayouts
      assert.strictEqual((yield* payout).state, "reserved")
    })
  )
})

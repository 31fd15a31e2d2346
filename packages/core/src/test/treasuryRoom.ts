/** A city with money and citizens to pay, for tests of payouts. The rail is one in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../kernel/db/Database.ts"
import { newId, referenceOf } from "../kernel/ids.ts"
import { Actor, system } from "../kernel/policy/Principal.ts"
import { PaymentRails } from "../kernel/ports.ts"
import { forgetTenants } from "../kernel/tenancy/resolve.ts"
import { payJob } from "../modules/payouts/jobs.ts"
import { unbalanced } from "../modules/payouts/ledger.ts"
import type { PayoutState } from "../modules/payouts/model.ts"
import { fundBudget, requestReward } from "../modules/payouts/rewards.ts"
import { loadPayout } from "../modules/payouts/sql.ts"
import { Payments } from "../ports/Payments.ts"
import { memoryPayments, PaymentsControl } from "../testing/index.ts"
import { createPrincipal, createTenant } from "../testing/kernel.ts"

/** The rail `memory`, and the hand on its side. */
export const memoryRail = Layer.effect(
  PaymentRails,
  Effect.map(Payments, (payments) => new Map([["memory", payments]]))
).pipe(Layer.provideMerge(memoryPayments()))

export const openTreasury = Effect.fnUntraced(function* (settings: Readonly<Record<string, unknown>> = {}) {
  const { tenantId } = yield* createTenant()
  const platform = <A extends object>(
    ask: (sql: PlatformTx["Service"]["sql"]) => Effect.Effect<ReadonlyArray<A>, unknown>
  ) => withPlatform(Effect.flatMap(PlatformTx, ({ sql }) => ask(sql)))
  yield* platform(
    (sql) => sql`
      update mahalla.tenant set settings = settings || ${JSON.stringify({ payouts: settings })}::text::jsonb where tenant_id = ${tenantId}`
  )
  yield* forgetTenants
  const as =
    (actor: Actor["Service"]) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      withTenant(tenantId)(Effect.provideService(self, Actor, actor))
  const inside = as(system(tenantId))
  const rows = <A extends object>(ask: (sql: TenantTx["Service"]["sql"]) => Effect.Effect<ReadonlyArray<A>, unknown>) =>
    inside(Effect.flatMap(TenantTx, ({ sql }) => ask(sql)))
  yield* inside(fundBudget({ amount: 1_000_000n, memo: "Budget" }))
  let phones = 0
  const citizen = Effect.gen(function* () {
    const person = yield* createPrincipal(tenantId)
    const phone = `+9989012345${String(10 + phones++)}`
    yield* platform(
      (sql) => sql`update mahalla.principal set phone = ${phone} where tenant_id = ${tenantId} and id = ${person.id}`
    )
    return person
  })
  /** A decision that pays somebody; the payout's id. `by`: who decides, else the engine. */
  const reward = Effect.fnUntraced(function* (
    principalId: string,
    amount: bigint,
    by: Actor["Service"] = system(tenantId)
  ) {
    const caseId = yield* newId
    yield* platform(
      (sql) =>
        sql`insert into mahalla.case_type (id, version, definition) values ('matter', 1, '{}') on conflict do nothing`
    )
    yield* platform(
      (sql) => sql`
        insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, created_at, updated_at)
        values (${tenantId}, ${caseId}, 'matter', 1, ${referenceOf(caseId)}, 'accepted', 'fixed', '{}', now(), now())`
    )
    yield* as(by)(requestReward({ caseId, principalId, amount, rule: "share-of-fine" }))
    const [made] = yield* rows((sql) => sql<{ id: string }>`select id from mahalla.payout where case_id = ${caseId}`)
    return made!.id
  })
  /** Its job once; the state afterwards. */
  const pay = Effect.fnUntraced(function* (id: string) {
    const job = { id, tenantId, attempt: 1, maxAttempts: 100 }
    yield* Effect.result(payJob.run({ payoutId: id }, job) as Effect.Effect<void, unknown>)
    return (yield* inside(loadPayout(id)))!.state
  })
  const stateOf = (id: string) => Effect.map(inside(loadPayout(id)), (payout): PayoutState => payout!.state)
  /** Balances by account, and what is wrong with them. */
  const books = Effect.gen(function* () {
    const accounts = yield* rows(
      (sql) => sql<{ account: string; balance: bigint; reserved: bigint }>`
        select rtrim(kind || ' ' || name) as account, balance, reserved from mahalla.account order by 1`
    )
    return {
      balances: Object.fromEntries(accounts.map(({ account, balance }) => [account, Number(balance)])),
      reserved: accounts.reduce((sum, { reserved }) => sum + Number(reserved), 0),
      sum: accounts.reduce((sum, { balance }) => sum + Number(balance), 0),
      unbalanced: yield* inside(unbalanced)
    }
  })
  return { tenantId, as, inside, platform, rows, citizen, reward, pay, stateOf, books, control: yield* PaymentsControl }
})

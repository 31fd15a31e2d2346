/**
 * Random histories of payouts: decisions, approvals, crashes at every step, lost and late answers, returns, registers, in any order. At the end the
 * books are whole, nobody was paid twice, and nothing that was unknown became anything but by the rail's word.
 */
import { assert, layer } from "@effect/vitest"
import * as fc from "fast-check"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inject } from "vitest"
import { memoryRail, openTreasury } from "../../test/treasuryRoom.ts"
import type { PaymentsFault } from "../../testing/index.ts"
import { createPrincipal, testKernel } from "../../testing/kernel.ts"
import { Payments } from "../../ports/Payments.ts"
import { approve } from "./approvals.ts"
import { recoverPayouts } from "./jobs.ts"
import { payoutsMigrations } from "./migrations.ts"
import type { PayoutState } from "./model.ts"
import { reconcileDay } from "./reconcile.ts"
import { fundBudget, proceed, retryPayout } from "./rewards.ts"
import { loadPayout, movePayout } from "./sql.ts"

const rooms = Layer.merge(memoryRail, testKernel({ postgresUrl: inject("postgresUrl"), migrations: payoutsMigrations }))
const rounds = process.env["MAHALLA_SOAK"] === "1" ? 500 : 12

const faults: ReadonlyArray<PaymentsFault> = [
  "lost-before",
  "lost-after",
  "slow",
  "malformed",
  "wrong-id",
  "error-body",
  "duplicate",
  "pending-success",
  "pending-failure",
  "late",
  "declined",
  "rate-limited",
  "unavailable"
]

const which = fc.nat(5)
const step = fc.oneof(
  fc.record({ kind: fc.constant("reward" as const), amount: fc.integer({ min: 1, max: 900 }) }),
  fc.record({ kind: fc.constantFrom("approve" as const, "retry" as const), which }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pay" as const), which }) },
  fc.record({ kind: fc.constant("fault" as const), fault: fc.constantFrom(...faults) }),
  // Ended after our id was committed, before or after the first byte.
  fc.record({ kind: fc.constantFrom("crash-before" as const, "crash-after" as const), which }),
  fc.record({ kind: fc.constant("return" as const), which }),
  fc.record({
    kind: fc.constantFrom(
      "settle" as const,
      "reconcile" as const,
      "recover" as const,
      "month" as const,
      "fund" as const
    )
  })
)

layer(rooms, { excludeTestServices: true })("any history of payouts", (it) => {
  it.effect(
    "I1_I3_I5_I7_I8_I9_leaves_whole_books_and_pays_nobody_twice",
    () =>
      Effect.gen(function* () {
        const context = yield* Effect.context<Effect.Services<ReturnType<typeof openTreasury>> | Payments>()
        const history = (steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer S> ? S : never>) =>
          Effect.gen(function* () {
            const city = yield* openTreasury({ approveAbove: "600", personDay: "2000" })
            const rail = yield* Payments
            const [citizen, checker] = [yield* city.citizen, yield* createPrincipal(city.tenantId)]
            const ids: Array<string> = [yield* city.reward(citizen.id!, 300n)]
            const at = (place: number) => ids[place % ids.length]!
            const locked = (id: string) => Effect.map(loadPayout(id, true), (payout) => payout!)
            const begin = (id: string) =>
              city.inside(
                Effect.gen(function* () {
                  const payout = yield* locked(id)
                  if (payout.state !== "reserved") return undefined
                  yield* movePayout(payout, "submitting")
                  return payout
                })
              )
            const unknowns = Effect.map(
              city.rows(
                (sql) =>
                  sql<{ id: string; state: PayoutState }>`select id, state from mahalla.payout where state = 'unknown'`
              ),
              (rows) => rows.map(({ id }) => id)
            )
            for (const one of steps) {
              switch (one.kind) {
                case "reward":
                  ids.push(yield* city.reward(citizen.id!, BigInt(one.amount)))
                  break
                case "approve":
                  yield* Effect.ignore(
                    city.as(checker)(
                      Effect.flatMap(locked(at(one.which)), (payout) => Effect.flatMap(approve(payout), proceed))
                    )
                  )
                  break
                case "retry": {
                  const made = yield* Effect.option(city.inside(Effect.flatMap(locked(at(one.which)), retryPayout)))
                  if (made._tag === "Some") ids.push(made.value)
                  break
                }
                case "pay":
                  yield* city.pay(at(one.which))
                  break
                case "fault":
                  yield* city.control.next(one.fault)
                  break
                case "crash-before":
                  yield* begin(at(one.which))
                  break
                case "crash-after": {
                  const payout = yield* begin(at(one.which))
                  if (payout === undefined) break
                  const { amount, currency, id, payee, payeeKind } = payout
                  const request = { id, payee: { kind: payeeKind, value: payee }, money: { amount, currency } }
                  yield* Effect.ignore(rail.pay({ ...request, memo: `Reward ${id.slice(-8)}` }))
                  break
                }
                case "return":
                  if ((yield* city.stateOf(at(one.which))) === "succeeded") yield* city.control.giveBack(at(one.which))
                  break
                case "settle":
                  yield* city.control.settle
                  break
                case "reconcile":
                  yield* reconcileDay("memory", rail, DateTime.formatIsoDateUtc(DateTime.makeUnsafe(Date.now())))
                  break
                case "recover":
                  yield* recoverPayouts
                  break
                case "month": {
                  // Time alone settles nothing.
                  const before = yield* unknowns
                  yield* city.rows(
                    (sql) =>
                      sql`update mahalla.payout set changed_at = changed_at - interval '30 days' where state = 'unknown' returning 1`
                  )
                  yield* recoverPayouts
                  assert.deepEqual(yield* unknowns, before)
                  break
                }
                case "fund":
                  yield* city.inside(fundBudget({ amount: 1000n, memo: "More" }))
              }
              const { sum, unbalanced } = yield* city.books
              assert.deepEqual([sum, unbalanced], [0, []], JSON.stringify(one))
            }
            // Whatever is open comes to its end when the rail answers again.
            for (let turn = 0; turn < faults.length + steps.length; turn++) {
              yield* city.control.settle
              yield* city.rows(
                (sql) =>
                  sql`update mahalla.payout set changed_at = changed_at - interval '1 minute' where state = 'unknown' returning 1`
              )
              const open = yield* city.rows(
                (sql) =>
                  sql<{
                    id: string
                  }>`select id from mahalla.payout where state in ('reserved', 'submitting', 'unknown') order by id`
              )
              for (const { id } of open) yield* city.pay(id)
            }
            const { balances, reserved, unbalanced } = yield* city.books
            const states = yield* city.rows(
              (sql) =>
                sql<{ id: string; state: PayoutState; amount: bigint }>`select id, state, amount from mahalla.payout`
            )
            assert.deepEqual(unbalanced, [])
            const of = (...wanted: ReadonlyArray<PayoutState>) => states.filter(({ state }) => wanted.includes(state))
            const total = (rows: typeof states) => rows.reduce((sum, { amount }) => sum + Number(amount), 0)
            // What is still owed is what waits for a limit of the day.
            assert.deepEqual(of("submitting", "unknown"), [])
            assert.strictEqual(reserved, total(of("reserved")))
            assert.strictEqual(balances["liability"] ?? 0, total(of("reserved")))
            for (const { id, state } of states) {
              const effects = yield* city.control.effects(id)
              assert.isAtMost(effects, 1, id)
              assert.strictEqual(effects, state === "succeeded" || state === "returned" ? 1 : 0, `${state} ${id}`)
            }
            assert.strictEqual(balances["clearing memory"] ?? 0, total(of("succeeded")))
          })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), (steps) =>
              Effect.runPromise(Effect.provideContext(history(steps), context) as Effect.Effect<void>)
            ),
            { numRuns: rounds, endOnFailure: true }
          )
        )
      }),
    600_000
  )
})

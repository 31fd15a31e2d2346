/** Four eyes, limits of a day, statements and corrections; on a real database. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { inject } from "vitest"
import { memoryRail, openTreasury } from "../../test/treasuryRoom.ts"
import { createPrincipal, testKernel } from "../../testing/kernel.ts"
import { approve } from "./approvals.ts"
import { refusePayout } from "./jobs.ts"
import { payoutsMigrations } from "./migrations.ts"
import { proceed } from "./rewards.ts"
import { loadPayout } from "./sql.ts"
import { correctLedger, statementOf } from "./statements.ts"

const rooms = Layer.merge(memoryRail, testKernel({ postgresUrl: inject("postgresUrl"), migrations: payoutsMigrations }))
const whole = { from: new Date(0), to: new Date("2100-01-01"), limit: 100 }

layer(rooms, { excludeTestServices: true })("a payout above the limit", (it) => {
  it.effect("I12_is_approved_by_somebody_who_has_not_decided_it_and_does_not_get_it", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury({ approveAbove: "500" })
      const [citizen, maker, checker] = [
        yield* city.citizen,
        yield* createPrincipal(city.tenantId),
        yield* createPrincipal(city.tenantId)
      ]
      const small = yield* city.reward(citizen.id!, 500n, maker)
      assert.strictEqual(yield* city.stateOf(small), "reserved")
      const large = yield* city.reward(citizen.id!, 501n, maker)
      assert.strictEqual(yield* city.stateOf(large), "requested")
      assert.strictEqual(yield* city.pay(large), "requested")
      const approved = (by: typeof maker) =>
        city.as(by)(
          Effect.flatMap(loadPayout(large, true), (payout) => Effect.flatMap(approve(payout!), (now) => proceed(now)))
        )
      for (const own of [maker, citizen])
        assert.strictEqual(((yield* Effect.flip(approved(own))) as { code?: string }).code, "four-eyes")
      yield* approved(checker)
      assert.strictEqual(yield* city.stateOf(large), "reserved")
      assert.strictEqual(((yield* Effect.flip(approved(checker))) as { code?: string }).code, "not-open")
      assert.strictEqual(yield* city.pay(large), "succeeded")
      const [row] = yield* city.rows(
        (sql) => sql<{ by: string }>`select approved_by as by from mahalla.payout where id = ${large}`
      )
      assert.strictEqual(row!.by, checker.id)
      // The second wall.
      const forged = yield* Effect.result(
        city.platform((sql) => sql`update mahalla.payout set approved_by = decided_by where id = ${large} returning 1`)
      )
      assert.isTrue(Result.isFailure(forged))
    })
  )

  it.effect("may_be_refused_before_anybody_has_approved_it", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury({ approveAbove: "500" })
      const citizen = yield* city.citizen
      const large = yield* city.reward(citizen.id!, 900n)
      yield* city.inside(Effect.flatMap(loadPayout(large, true), (payout) => refusePayout(payout!, "Not theirs.")))
      assert.strictEqual(yield* city.stateOf(large), "failed")
      const { balances, reserved } = yield* city.books
      assert.deepEqual([balances["budget"], reserved], [1_000_000, 0])
    })
  )
})

layer(rooms, { excludeTestServices: true })("limits of a day", (it) => {
  it.effect("I13_hold_for_a_person_a_rail_and_the_city_however_many_are_sent_at_once", () =>
    Effect.gen(function* () {
      for (const [settings, most] of [
        [{ personDay: "1000" }, 6],
        [{ day: "1000" }, 3],
        [{ rails: { memory: "1000" } }, 3],
        [{ personDay: "700", day: "1300", rails: { memory: "1000" } }, 3]
      ] as const) {
        const city = yield* openTreasury(settings)
        const people = [yield* city.citizen, yield* city.citizen]
        const ids: Array<string> = []
        for (let count = 0; count < 8; count++) ids.push(yield* city.reward(people[count % 2]!.id!, 300n))
        const states = yield* Effect.forEach(ids, city.pay, { concurrency: 8 })
        const paid = states.filter((state) => state === "succeeded").length
        assert.strictEqual(paid, most, JSON.stringify(settings))
        assert.strictEqual(states.filter((state) => state === "reserved").length, 8 - most)
        assert.deepEqual((yield* city.books).unbalanced, [])
        // A new day.
        yield* city.platform(
          (sql) => sql`update mahalla.payout_spent set day = day - 1 where tenant_id = ${city.tenantId} returning 1`
        )
        const next = yield* Effect.forEach(ids, city.pay, { concurrency: 8 })
        assert.strictEqual(next.filter((state) => state === "succeeded").length, Math.min(8, 2 * most))
      }
    })
  )

  it.effect("are_given_back_what_was_not_paid", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury({ personDay: "300" })
      const citizen = yield* city.citizen
      yield* city.control.next("declined")
      assert.strictEqual(yield* city.pay(yield* city.reward(citizen.id!, 300n)), "failed")
      yield* city.control.next("unavailable")
      const again = yield* city.reward(citizen.id!, 300n)
      assert.strictEqual(yield* city.pay(again), "reserved")
      assert.strictEqual(yield* city.pay(again), "succeeded")
      assert.strictEqual(yield* city.pay(yield* city.reward(citizen.id!, 1n)), "reserved")
    })
  )
})

layer(rooms, { excludeTestServices: true })("a statement", (it) => {
  it.effect("shows_every_entry_with_the_balance_after_it_and_corrections_like_others", () =>
    Effect.gen(function* () {
      const city = yield* openTreasury()
      const citizen = yield* city.citizen
      yield* city.pay(yield* city.reward(citizen.id!, 300n))
      yield* city.inside(
        correctLedger({ debit: { kind: "budget" }, credit: { kind: "funding" }, amount: 5n, memo: "Counted twice" })
      )
      const accounts = yield* city.rows(
        (sql) => sql<{ id: string; kind: string }>`select id, kind from mahalla.account`
      )
      const of = (kind: string, span: object = {}) =>
        city.inside(statementOf(accounts.find((one) => one.kind === kind)!.id, { ...whole, ...span }))
      const budget = yield* of("budget")
      assert.deepEqual(
        budget.items.map(({ amount, balance, other }) => [other, amount, balance]),
        [
          ["funding", 1_000_000n, 1_000_000n],
          ["liability", -300n, 999_700n],
          ["funding", -5n, 999_695n]
        ]
      )
      const owed = yield* of("liability")
      assert.deepEqual(
        owed.items.map(({ amount, kind, reserved }) => [kind, amount, reserved]),
        [
          ["direct", 300n, 0n],
          ["reserve", 0n, 300n],
          ["post", -300n, -300n]
        ]
      )
      const first = yield* of("budget", { limit: 2 })
      const second = yield* of("budget", { limit: 2, cursor: first.items.at(-1)!.id })
      assert.deepEqual([first.more, second.opening, second.items.length, second.more], [true, 999_700n, 1, false])
      const missing = correctLedger({ debit: { kind: "fees" }, credit: { kind: "budget" }, amount: 1n, memo: "x" })
      assert.strictEqual(((yield* Effect.flip(city.inside(missing))) as { code?: string }).code, "no-such-account")
    })
  )
})

import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import pg from "pg"
import * as Redacted from "effect/Redacted"
import { inject } from "vitest"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { createTenant, TestKernel, testKernel } from "../../testing/kernel.ts"
import { accountOf, post, postPending, reserve, unbalanced, voidPending } from "./ledger.ts"
import type { Account } from "./model.ts"
import { payoutsMigrations } from "./migrations.ts"

const migrations = payoutsMigrations
const currency = "UZS"

const accounts = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  const rows =
    yield* sql<Account>`select id, kind, name, currency, overdraft, balance, reserved from mahalla.account order by id`
  return new Map(rows.map((row) => [row.id, row]))
})

/** A tenant whose budget has this much. */
const city = Effect.fnUntraced(function* (amount: bigint) {
  const { tenantId } = yield* createTenant()
  const inside = withTenant(tenantId)
  const ids = yield* inside(
    Effect.gen(function* () {
      const funding = yield* accountOf("funding", currency)
      const budget = yield* accountOf("budget", currency)
      const clearing = yield* accountOf("clearing", currency, "rail")
      if (amount > 0n) yield* post({ debit: funding, credit: budget, amount, currency, memo: "First budget" })
      return { funding, budget, clearing }
    })
  )
  const setAside = (amount: bigint) =>
    inside(reserve({ debit: ids.budget, credit: ids.clearing, amount, currency, memo: "Reward" }))
  const balanceOf = (id: string) => Effect.map(inside(accounts), (all) => [all.get(id)?.balance, all.get(id)?.reserved])
  return { tenantId, inside, ...ids, setAside, balanceOf }
})

/** Runs statements one by one as somebody, each in a transaction of its own, and returns their error codes. */
const codesAs = (url: Redacted.Redacted<string>, tenantId: string, statements: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(url) })
    await client.connect()
    const codes: Array<string> = []
    for (const statement of statements) {
      await client.query("begin")
      await client.query("select set_config('mahalla.tenant', $1, true)", [tenantId])
      const code = await client.query(statement).then(
        () => "done",
        (error: { readonly code: string }) => error.code
      )
      codes.push(code)
      await client.query("rollback")
    }
    await client.end()
    return codes
  })

const denied = "42501"

layer(testKernel({ postgresUrl: inject("postgresUrl"), migrations }), { excludeTestServices: true })("ledger", (it) => {
  it.effect("moves_money_from_one_account_to_another", () =>
    Effect.gen(function* () {
      const { inside, funding, budget, balanceOf } = yield* city(1_000n)
      assert.deepStrictEqual(yield* balanceOf(funding), [-1_000n, 0n])
      assert.deepStrictEqual(yield* balanceOf(budget), [1_000n, 0n])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("opens_an_account_once_for_its_kind_currency_and_name", () =>
    Effect.gen(function* () {
      const { inside, clearing } = yield* city(0n)
      const open = inside(accountOf("clearing", currency, "rail"))
      const ids = yield* Effect.all(
        Array.from({ length: 10 }, () => open),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(ids), new Set([clearing]))
      assert.notStrictEqual(yield* inside(accountOf("clearing", "EUR", "rail")), clearing)
    })
  )

  it.effect("posts_or_releases_what_was_set_aside_once", () =>
    Effect.gen(function* () {
      const { inside, budget, clearing, setAside, balanceOf } = yield* city(1_000n)
      const paid = yield* setAside(300n)
      const dropped = yield* setAside(200n)
      assert.deepStrictEqual(yield* balanceOf(budget), [1_000n, 500n])
      for (let time = 0; time < 2; time++) {
        yield* inside(postPending(paid))
        yield* inside(voidPending(dropped))
      }
      assert.deepStrictEqual(yield* balanceOf(budget), [700n, 0n])
      assert.deepStrictEqual(yield* balanceOf(clearing), [300n, 0n])
      const late = yield* Effect.flip(inside(voidPending(paid)))
      const early = yield* Effect.flip(inside(postPending(dropped)))
      assert.deepStrictEqual(
        [late, early].map((error) => (error._tag === "Refused" ? error.code : error._tag)),
        ["already-resolved", "already-resolved"]
      )
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("resolves_a_reservation_one_way_when_both_are_tried_at_once", () =>
    Effect.gen(function* () {
      const { inside, setAside, budget, clearing, balanceOf } = yield* city(100n)
      const id = yield* setAside(100n)
      const exits = yield* Effect.all(
        Array.from({ length: 12 }, (_, index) =>
          Effect.exit(inside(index % 2 === 0 ? postPending(id) : voidPending(id)))
        ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 6)
      const [left] = yield* balanceOf(budget)
      const [moved] = yield* balanceOf(clearing)
      assert.strictEqual((left ?? 0n) + (moved ?? 0n), 100n)
    })
  )

  it.effect("refuses_what_is_not_there_and_leaves_the_transaction_usable", () =>
    Effect.gen(function* () {
      const { inside, budget, clearing, balanceOf } = yield* city(100n)
      yield* inside(
        Effect.gen(function* () {
          const wanted = { debit: budget, credit: clearing, currency, memo: "Reward" }
          const poor = yield* Effect.flip(reserve({ ...wanted, amount: 101n }))
          assert.strictEqual(poor._tag === "Refused" ? poor.code : "", "insufficient-funds")
          for (const amount of [0n, -5n, 10n ** 16n]) {
            const odd = yield* Effect.flip(post({ ...wanted, amount }))
            assert.strictEqual(odd._tag === "Refused" ? odd.code : "", "amount")
          }
          yield* reserve({ ...wanted, amount: 100n })
        })
      )
      assert.deepStrictEqual(yield* balanceOf(budget), [100n, 100n])
    })
  )

  it.effect("does_a_transfer_with_a_given_id_once", () =>
    Effect.gen(function* () {
      const { inside, budget, clearing, balanceOf } = yield* city(1_000n)
      const wanted = { id: crypto.randomUUID(), debit: budget, credit: clearing, amount: 10n, currency, memo: "Reward" }
      yield* Effect.all(
        Array.from({ length: 10 }, () => inside(post(wanted))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* balanceOf(clearing), [10n, 0n])
      assert.isTrue(Exit.hasDies(yield* Effect.exit(inside(post({ ...wanted, amount: 11n })))))
    })
  )

  it.effect("rolls_back_together_with_the_decision", () =>
    Effect.gen(function* () {
      const { inside, budget, clearing, balanceOf } = yield* city(1_000n)
      const wanted = { debit: budget, credit: clearing, amount: 10n, currency, memo: "Reward" }
      yield* Effect.exit(inside(Effect.andThen(reserve(wanted), Effect.fail("changed my mind"))))
      assert.deepStrictEqual(yield* balanceOf(budget), [1_000n, 0n])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("lets_of_two_hundred_parallel_reservations_only_those_succeed_that_the_budget_suffices_for", () =>
    Effect.gen(function* () {
      const { inside, budget, setAside, balanceOf } = yield* city(1_000n)
      const exits = yield* Effect.all(
        Array.from({ length: 200 }, () => Effect.exit(setAside(17n))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 58)
      assert.deepStrictEqual(yield* balanceOf(budget), [1_000n, 58n * 17n])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("moves_money_both_ways_between_two_accounts_at_once", () =>
    Effect.gen(function* () {
      const { inside, budget, clearing, balanceOf } = yield* city(1_000n)
      yield* inside(post({ debit: budget, credit: clearing, amount: 500n, currency, memo: "Half" }))
      const there = inside(post({ debit: budget, credit: clearing, amount: 3n, currency, memo: "There" }))
      const back = inside(post({ debit: clearing, credit: budget, amount: 3n, currency, memo: "Back" }))
      yield* Effect.all(
        Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? there : back)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* balanceOf(budget), [500n, 0n])
      assert.deepStrictEqual(yield* inside(unbalanced), [])
    })
  )

  it.effect("agrees_with_a_model_over_random_transactions", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Database>()
      const step = fc.record({
        kind: fc.constantFrom("post", "reserve", "postPending", "voidPending", "rollback"),
        from: fc.nat(3),
        to: fc.nat(3),
        amount: fc.bigInt({ min: 1n, max: 400n }),
        pick: fc.nat(20)
      })
      const run = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) =>
        Effect.gen(function* () {
          const { tenantId } = yield* createTenant()
          const inside = withTenant(tenantId)
          const ids = yield* inside(
            Effect.all([
              accountOf("funding", currency),
              accountOf("budget", currency),
              accountOf("clearing", currency, "a"),
              accountOf("fees", currency, "a")
            ])
          )
          const balance = [0n, 0n, 0n, 0n]
          const reserved = [0n, 0n, 0n, 0n]
          const pending: Array<{ id: string; from: number; to: number; amount: bigint; as: string }> = []
          for (const { kind, from, to, amount, pick } of steps) {
            const pair = { debit: ids[from] ?? "", credit: ids[to] ?? "", amount, currency, memo: "Random" }
            if (kind === "postPending" || kind === "voidPending") {
              const one = pending[pick % Math.max(1, pending.length)]
              if (one === undefined) continue
              const exit = yield* Effect.exit(
                inside(kind === "postPending" ? postPending(one.id) : voidPending(one.id))
              )
              assert.strictEqual(Exit.isSuccess(exit), one.as === "" || one.as === kind)
              if (one.as !== "") continue
              one.as = kind
              reserved[one.from]! -= one.amount
              if (kind === "voidPending") continue
              balance[one.from]! -= one.amount
              balance[one.to]! += one.amount
              continue
            }
            if (from === to) continue
            if (kind === "rollback") {
              yield* Effect.exit(inside(Effect.andThen(post(pair), Effect.fail("no"))))
              continue
            }
            const exit = yield* Effect.exit(inside(kind === "post" ? post(pair) : reserve(pair)))
            const suffices = from === 0 || balance[from]! - reserved[from]! >= amount
            assert.strictEqual(Exit.isSuccess(exit), suffices)
            if (!Exit.isSuccess(exit)) continue
            if (kind === "reserve") {
              reserved[from]! += amount
              pending.push({ id: exit.value, from, to, amount, as: "" })
            } else {
              balance[from]! -= amount
              balance[to]! += amount
            }
          }
          const stored = yield* inside(accounts)
          assert.deepStrictEqual(
            ids.map((id) => [stored.get(id)?.balance, stored.get(id)?.reserved]),
            ids.map((_, index) => [balance[index], reserved[index]])
          )
          assert.strictEqual(
            [...stored.values()].reduce((sum, account) => sum + account.balance, 0n),
            0n
          )
          assert.deepStrictEqual(yield* inside(unbalanced), [])
        }).pipe(Effect.runPromiseWith(context))
      )
      yield* Effect.promise(() => fc.assert(run, { numRuns: 40 }))
    })
  )

  it.effect("lets_nobody_change_a_transfer_or_write_a_balance", () =>
    Effect.gen(function* () {
      const { app, platform, owner } = yield* TestKernel
      const { tenantId, setAside, balanceOf, budget } = yield* city(1_000n)
      yield* setAside(10n)
      const changes = [
        "update mahalla.ledger_transfer set amount = 1",
        "delete from mahalla.ledger_transfer",
        "truncate mahalla.ledger_transfer cascade"
      ]
      const balances = [
        "update mahalla.account set balance = balance + 1",
        "update mahalla.account set overdraft = true",
        "update mahalla.account set reserved = 0",
        "delete from mahalla.account"
      ]
      const all = [...changes, ...balances]
      assert.deepStrictEqual(
        yield* codesAs(app, tenantId, all),
        all.map(() => denied)
      )
      assert.deepStrictEqual(
        yield* codesAs(platform, tenantId, all),
        all.map(() => denied)
      )
      assert.deepStrictEqual(
        yield* codesAs(owner, tenantId, changes),
        changes.map(() => denied)
      )
      assert.deepStrictEqual(
        yield* codesAs(app, tenantId, [
          `insert into mahalla.account (tenant_id, id, kind, name, currency, balance)
         values ('${tenantId}', gen_random_uuid(), 'budget', 'mine', 'UZS', 1000)`
        ]),
        [denied]
      )
      assert.deepStrictEqual(yield* balanceOf(budget), [1_000n, 10n])
    })
  )

  it.effect("keeps_its_constraints_against_statements_that_pass_by_the_functions", () =>
    Effect.gen(function* () {
      const { app } = yield* TestKernel
      const { tenantId, inside, budget, clearing, setAside } = yield* city(1_000n)
      const euros = yield* inside(accountOf("clearing", "EUR", "rail"))
      const pending = yield* setAside(10n)
      const insert = (kind: string, credit: string, amount: number, pendingId: string | null, debit = budget) =>
        `insert into mahalla.ledger_transfer (tenant_id, id, kind, debit_id, credit_id, currency, amount, pending_id, memo, created_at)
         values ('${tenantId}', gen_random_uuid(), '${kind}', '${debit}', '${credit}', 'UZS', ${amount}, ${pendingId === null ? "null" : `'${pendingId}'`}, '', now())`
      assert.deepStrictEqual(
        yield* codesAs(app, tenantId, [
          insert("direct", clearing, 990, null),
          insert("direct", clearing, 991, null),
          insert("reserve", clearing, 991, null),
          insert("post", clearing, 10, pending),
          insert("post", clearing, 11, pending),
          insert("post", clearing, 10, null),
          insert("direct", clearing, 10, pending),
          insert("direct", clearing, -5, null),
          insert("direct", euros, 5, null),
          insert("direct", budget, 5, null),
          `${insert("post", clearing, 10, pending)}; ${insert("void", clearing, 10, pending)}`
        ]),
        ["done", "23514", "23514", "done", "23503", "23514", "23514", "23514", "23503", "23514", "23505"]
      )
    })
  )

  it.effect("shows_a_tenant_its_own_accounts_and_moves_only_its_own_money", () =>
    Effect.gen(function* () {
      const one = yield* city(1_000n)
      const other = yield* city(1_000n)
      assert.isFalse((yield* other.inside(accounts)).has(one.budget))
      const stolen = { debit: one.budget, credit: other.budget, amount: 5n, currency, memo: "Mine now" }
      assert.isTrue(Exit.hasDies(yield* Effect.exit(other.inside(post(stolen)))))
      const pending = yield* one.setAside(10n)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(other.inside(postPending(pending)))))
      assert.deepStrictEqual(yield* one.balanceOf(one.budget), [1_000n, 10n])
    })
  )

  it.effect("notices_a_balance_that_was_written_past_the_ledger", () =>
    Effect.gen(function* () {
      const { owner } = yield* TestKernel
      const { inside, budget } = yield* city(1_000n)
      yield* Effect.promise(async () => {
        const client = new pg.Client({ connectionString: Redacted.value(owner) })
        await client.connect()
        await client.query("update mahalla.account set balance = balance + 7 where id = $1", [budget])
        await client.end()
      })
      const [found, ...more] = yield* inside(unbalanced)
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual([found?.accountId, found?.balance, found?.derivedBalance], [budget, 1_007n, 1_000n])
    })
  )
})

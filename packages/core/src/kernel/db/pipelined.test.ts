import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { assert, layer } from "@effect/vitest"
import { SqlError } from "effect/sql/SqlError"
import { inject } from "vitest"
import { pooled } from "../../../../../scripts/services/pooler.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { afterCommit, Database, TenantTx, withTenant } from "./Database.ts"
import { sent } from "./pipelined.ts"

/** Sends a row; the same code twice is refused by a unique constraint. */
const row = (code: string) =>
  Effect.flatMap(TenantTx, ({ sql, tenantId }) =>
    sent(sql`
      insert into mahalla.idempotency_key (tenant_id, principal_id, route, key, body_hash, status, answer, created_at)
      values (${tenantId}, ${tenantId}, 'test', ${code}, '', 200, 'null', now())`)
  )
const codes = Effect.flatMap(TenantTx, ({ sql }) =>
  Effect.map(sql<{ key: string }>`select key from mahalla.idempotency_key order by key`, (rows) =>
    rows.map(({ key }) => key)
  )
)
const reasonOf = <A>(exit: Exit.Exit<A, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return error instanceof SqlError ? error.reason._tag : String(error)
}
/** The error that a statement sent twice ends with when it is waited for. */
const refused = "UniqueViolation"
const running = (text: string) =>
  Effect.flatMap(Database, ({ app }) =>
    Effect.map(
      app<{ n: number }>`
        select count(*)::int as n from pg_stat_activity
        where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and query like ${`%${text}%`}`,
      ([found]) => found!.n
    )
  )

const kernels = [
  ["", {}],
  [" behind PgBouncer", { through: pooled }]
] as const
for (const [where, more] of kernels) {
  layer(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 8, ...more }), { excludeTestServices: true })(
    `statements that nobody waits for${where}`,
    (it) => {
      it.effect("are_there_for_what_comes_after_them_and_after_the_commit", () =>
        Effect.gen(function* () {
          const { tenantId } = yield* createTenant()
          const seen = yield* withTenant(tenantId)(Effect.andThen(row("a"), codes))
          assert.deepStrictEqual(seen, ["a"])
          yield* withTenant(tenantId)(Effect.andThen(row("b"), row("c")))
          assert.deepStrictEqual(yield* withTenant(tenantId)(codes), ["a", "b", "c"])
        })
      )

      it.effect("fail_the_commit_with_their_own_error", () =>
        Effect.gen(function* () {
          const { tenantId } = yield* createTenant()
          let told = false
          const exit = yield* Effect.exit(
            withTenant(tenantId)(
              Effect.gen(function* () {
                yield* row("a")
                yield* row("a")
                yield* row("b")
                yield* afterCommit(Effect.sync(() => void (told = true)))
              })
            )
          )
          assert.strictEqual(reasonOf(exit), refused)
          assert.isFalse(told)
          assert.deepStrictEqual(yield* withTenant(tenantId)(codes), [])
        })
      )

      it.effect("fail_the_next_question_with_their_own_error", () =>
        Effect.gen(function* () {
          const { tenantId } = yield* createTenant()
          const exit = yield* Effect.exit(
            withTenant(tenantId)(
              Effect.gen(function* () {
                yield* row("a")
                yield* row("a")
                const exits = [yield* Effect.exit(codes), yield* Effect.exit(codes)]
                assert.deepStrictEqual(exits.map(reasonOf), [refused, refused])
              })
            )
          )
          // Whoever goes on after such an error still commits nothing.
          assert.strictEqual(reasonOf(exit), refused)
          assert.deepStrictEqual(yield* withTenant(tenantId)(codes), [])
        })
      )

      it.effect("are_gone_when_the_transaction_fails", () =>
        Effect.gen(function* () {
          const { tenantId } = yield* createTenant()
          const exit = yield* Effect.exit(
            withTenant(tenantId)(Effect.andThen(row("a"), Effect.fail("changed my mind")))
          )
          assert.strictEqual(reasonOf(exit), "changed my mind")
          assert.deepStrictEqual(yield* withTenant(tenantId)(codes), [])
        })
      )

      it.effect("stay_in_their_own_transaction_when_many_run_at_once", () =>
        Effect.gen(function* () {
          const tenants = yield* Effect.forEach(Array.from({ length: 6 }), () => createTenant())
          const work = tenants.flatMap(({ tenantId }, n) =>
            Array.from({ length: 20 }, (_, k) =>
              withTenant(tenantId)(
                Effect.gen(function* () {
                  yield* row(`${n}-${String(k).padStart(2, "0")}`)
                  const mine = yield* codes
                  assert.isTrue(mine.every((code) => code.startsWith(`${n}-`)))
                  if (k % 5 === 0) yield* Effect.fail("no")
                  if (k % 5 === 1) yield* row(`${n}-${String(k).padStart(2, "0")}`)
                })
              ).pipe(Effect.exit)
            )
          )
          const exits = yield* Effect.all(work, { concurrency: "unbounded" })
          for (const [index, exit] of exits.entries())
            assert.strictEqual(reasonOf(exit), ["no", refused, "success", "success", "success"][index % 5])
          for (const [n, { tenantId }] of tenants.entries()) {
            const kept = Array.from({ length: 20 }, (_, k) => k).filter((k) => k % 5 > 1)
            assert.deepStrictEqual(
              yield* withTenant(tenantId)(codes),
              kept.map((k) => `${n}-${String(k).padStart(2, "0")}`)
            )
          }
        })
      )
    }
  )
}

layer(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 4 }), { excludeTestServices: true })(
  "a session",
  (it) => {
    it.effect("is_stopped_in_the_middle_of_a_long_question_and_the_pool_goes_on", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        for (let round = 0; round < 6; round++) {
          const long = Effect.flatMap(TenantTx, ({ sql }) => sql`select pg_sleep(20), 'a long question'`)
          const fiber = yield* Effect.forkChild(withTenant(tenantId)(Effect.andThen(row(`r${round}`), long)))
          while ((yield* running("a long question")) === 0) yield* Effect.sleep("10 millis")
          const [took] = yield* Effect.timed(Fiber.interrupt(fiber))
          assert.isBelow(Duration.toMillis(took), 5_000)
          assert.strictEqual(yield* running("a long question"), 0)
        }
        assert.deepStrictEqual(yield* withTenant(tenantId)(codes), [])
      })
    )

    it.effect("that_is_ended_by_the_server_is_replaced_and_wrote_nothing", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        for (let round = 0; round < 6; round++) {
          const exit = yield* Effect.exit(
            withTenant(tenantId)(
              Effect.gen(function* () {
                const { sql } = yield* TenantTx
                yield* row(`r${round}`)
                yield* sent(sql`select pg_terminate_backend(pg_backend_pid())`)
                yield* row(`s${round}`)
              })
            )
          )
          assert.notStrictEqual(reasonOf(exit), "success")
        }
        assert.deepStrictEqual(yield* withTenant(tenantId)(codes), [])
        assert.isString((yield* createPrincipal(tenantId)).id)
      })
    )

    it.effect("that_forgot_its_prepared_statements_prepares_them_again", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        for (let round = 0; round < 8; round++) {
          yield* withTenant(tenantId)(Effect.flatMap(TenantTx, ({ sql }) => sql`deallocate all`)).pipe(Effect.ignore)
          yield* withTenant(tenantId)(row(`r${round}`)).pipe(Effect.retry({ times: 20 }))
        }
        assert.lengthOf(yield* Effect.retry(withTenant(tenantId)(codes), { times: 20 }), 8)
      })
    )
  }
)

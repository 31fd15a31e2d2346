import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { enqueue, JobSignal } from "./enqueue.ts"

interface JobRow {
  readonly topic: string
  readonly body: unknown
  readonly unique_key: string | null
  readonly priority: number
  readonly max_attempts: number
  readonly delayed: boolean
}

const stored = Effect.gen(function* () {
  const { sql } = yield* TenantTx
  return yield* sql<JobRow>`
    select topic, body, unique_key, priority, max_attempts, run_at > now() as delayed from mahalla.job order by id`
})

layer(testKernel({ postgresUrl: inject("postgresUrl") }), { excludeTestServices: true })("enqueue", (it) => {
  it.effect("writes_all_jobs_with_their_defaults", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const ids = yield* withTenant(tenantId)(
        enqueue([
          { topic: "a.one", body: { caseId: "x" } },
          { topic: "a.two", body: null, uniqueKey: "k", priority: 5, runAt: 4_000_000_000_000, maxAttempts: 3 },
          { topic: "a.three", body: [1, "zwei", { drei: "ё" }] }
        ])
      )
      assert.lengthOf(ids, 3)
      assert.deepStrictEqual(yield* withTenant(tenantId)(stored), [
        { topic: "a.one", body: { caseId: "x" }, unique_key: null, priority: 0, max_attempts: 12, delayed: false },
        { topic: "a.two", body: null, unique_key: "k", priority: 5, max_attempts: 3, delayed: true },
        {
          topic: "a.three",
          body: [1, "zwei", { drei: "ё" }],
          unique_key: null,
          priority: 0,
          max_attempts: 12,
          delayed: false
        }
      ])
    })
  )

  it.effect("drops_a_second_waiting_job_of_the_same_key", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const job = (uniqueKey: string, topic = "a.one") => ({ topic, body: {}, uniqueKey })
      yield* withTenant(tenantId)(enqueue([job("k"), job("k"), job("l"), job("k", "a.two")]))
      yield* withTenant(tenantId)(enqueue([job("k")]))
      const other = yield* createTenant()
      yield* withTenant(other.tenantId)(enqueue([job("k")]))
      assert.lengthOf(yield* withTenant(tenantId)(stored), 3)
      assert.lengthOf(yield* withTenant(other.tenantId)(stored), 1)
    })
  )

  it.effect("wakes_once_after_the_commit_and_never_after_a_rollback", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      let woken = 0
      const signal = { wake: Effect.sync(() => void woken++) }
      const work = (end: Effect.Effect<void, string>) =>
        withTenant(tenantId)(
          Effect.gen(function* () {
            yield* enqueue([{ topic: "a.one", body: {}, uniqueKey: "same" }])
            assert.strictEqual(woken, 0)
            yield* end
          })
        ).pipe(Effect.provideService(JobSignal, signal))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(work(Effect.fail("no")))))
      assert.deepStrictEqual([woken, (yield* withTenant(tenantId)(stored)).length], [0, 0])
      yield* work(Effect.void)
      assert.deepStrictEqual([woken, (yield* withTenant(tenantId)(stored)).length], [1, 1])
    })
  )

  it.effect("refuses_a_body_that_no_transport_would_carry", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* createTenant()
      const exit = yield* Effect.exit(withTenant(tenantId)(enqueue([{ topic: "a.one", body: "x".repeat(70_000) }])))
      assert.isTrue(Exit.hasDies(exit))
    })
  )
})

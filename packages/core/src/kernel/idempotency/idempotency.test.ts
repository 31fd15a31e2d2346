import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { TenantTx, withTenant } from "../db/Database.ts"
import { enqueue } from "../jobs/enqueue.ts"
import { type IdempotentAnswer, type IdempotentRequest, withIdempotency, withIdempotencyShared } from "./idempotency.ts"
import { kernelRetention } from "../personal/kernelRetention.ts"
import { RetentionRules, sweepTenant } from "../personal/Retention.ts"
import { SharedTransactions } from "./shared.ts"

// The effect of these tests: a job that is there or not, and the job's id as the answer.
const effect = Effect.map(enqueue([{ topic: "effect", body: {} }]), ([id]) => ({ status: 201, body: { id } }))

const count = (tenantId: string) =>
  withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const [row] = yield* sql<{ effects: number; keys: number }>`
        select (select count(*) from mahalla.job)::int as effects, (select count(*) from mahalla.idempotency_key)::int as keys`
      return row!
    })
  )

/** Both ways keep the same promises. */
const ways = {
  withIdempotency: <A, E, R>(
    tenantId: string,
    request: IdempotentRequest,
    effect: Effect.Effect<IdempotentAnswer<A>, E, R>
  ) => withTenant(tenantId)(withIdempotency(request, effect)),
  withIdempotencyShared
} as const

const cityBy = Effect.fnUntraced(function* (way: keyof typeof ways) {
  const tenant = yield* createTenant()
  const { tenantId } = tenant
  const principalId = (yield* createPrincipal(tenantId)).id
  const request: IdempotentRequest = { route: "cases/report", key: "k-1", body: { a: 1, b: [1, 2] }, principalId }
  const call = (given: Partial<IdempotentRequest> = {}) => ways[way](tenantId, { ...request, ...given }, effect)
  return { tenant, tenantId, request, call, counted: count(tenantId) }
})

const kernel = SharedTransactions.layer.pipe(
  Layer.provideMerge(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 30 }))
)

for (const way of ["withIdempotency", "withIdempotencyShared"] as const) {
  const city = cityBy(way)
  layer(kernel, { excludeTestServices: true })(way, (it) => {
    it.effect("gives_the_first_answer_to_the_same_key_and_body", () =>
      Effect.gen(function* () {
        const { call, counted } = yield* city
        const first = yield* call()
        const again = yield* call({ body: { b: [1, 2], a: 1 } })
        assert.deepStrictEqual([first.replayed, again.replayed], [false, true])
        assert.deepStrictEqual(again.answer, first.answer)
        assert.deepStrictEqual(yield* counted, { effects: 1, keys: 1 })
      })
    )

    const bodies: ReadonlyArray<readonly [string, unknown, unknown]> = [
      ["another value", { a: 1 }, { a: 2 }],
      ["another order in a list", { a: [1, 2] }, { a: [2, 1] }],
      ["a field more", { a: 1 }, { a: 1, b: null }],
      ["a number for a text", { a: 1 }, { a: "1" }],
      ["a body for none", undefined, {}]
    ]
    for (const [name, one, other] of bodies) {
      it.effect(`refuses_${name.replaceAll(" ", "_")}`, () =>
        Effect.gen(function* () {
          const { call, counted } = yield* city
          yield* call({ body: one })
          const refused = yield* Effect.flip(call({ body: other }))
          assert.strictEqual(refused._tag, "IdempotencyConflict")
          assert.deepStrictEqual(yield* counted, { effects: 1, keys: 1 })
        })
      )
    }

    it.effect("a_burst_of_fifty_has_one_effect", () =>
      Effect.gen(function* () {
        for (let round = 0; round < 4; round++) {
          const { call, counted } = yield* city
          const exits = yield* Effect.all(
            Array.from({ length: 50 }, () => Effect.exit(call())),
            { concurrency: "unbounded" }
          )
          const answers = exits.flatMap((exit) => (Exit.isSuccess(exit) ? [exit.value] : []))
          assert.lengthOf(
            answers.filter((answer) => !answer.replayed),
            1
          )
          assert.lengthOf(new Set(answers.map(({ answer }) => answer.body.id)), 1)
          const refused = yield* Effect.forEach(
            exits.filter((exit) => Exit.isFailure(exit)),
            (exit) => Effect.flip(exit)
          )
          for (const failure of refused) assert.strictEqual((failure as { _tag: string })._tag, "IdempotencyInProgress")
          assert.deepStrictEqual(yield* counted, { effects: 1, keys: 1 })
        }
      })
    )

    it.effect("keeps_nothing_of_a_request_that_failed", () =>
      Effect.gen(function* () {
        const { call, counted, request, tenantId } = yield* city
        const failing = ways[way](tenantId, request, Effect.andThen(effect, Effect.fail("refused")))
        assert.strictEqual(yield* Effect.flip(failing), "refused")
        assert.deepStrictEqual(yield* counted, { effects: 0, keys: 0 })
        assert.isFalse((yield* call({ body: "another, for nothing happened yet" })).replayed)
      })
    )

    it.effect("scopes_keys_by_tenant_principal_and_route", () =>
      Effect.gen(function* () {
        const { call, counted, request, tenantId } = yield* city
        const neighbour = (yield* createPrincipal(tenantId)).id
        const other = yield* city
        const calls = [
          yield* call(),
          yield* call({ principalId: neighbour }),
          yield* call({ principalId: null }),
          yield* call({ route: "cases/other" }),
          yield* call({ key: "K-1" }),
          yield* other.call({ principalId: request.principalId })
        ]
        for (const { replayed } of calls) assert.isFalse(replayed)
        assert.deepStrictEqual(yield* counted, { effects: 5, keys: 5 })
        assert.deepStrictEqual(yield* other.counted, { effects: 1, keys: 1 })
      })
    )

    it.effect("takes_visible_ascii_of_1_to_255_characters", () =>
      Effect.gen(function* () {
        const { call, counted } = yield* city
        for (const key of ["", " ", "a b", "ключ", "a\n", "\u007f", "x".repeat(256)]) {
          const refused = yield* Effect.flip(call({ key }))
          assert.strictEqual(refused._tag, "InvalidInput", JSON.stringify(key))
        }
        assert.deepStrictEqual(yield* counted, { effects: 0, keys: 0 })
        for (const key of ["!", "~", "x".repeat(255), '"quoted\\"', "019aa5c0-0000-7000-8000-000000000000"])
          yield* call({ key })
        assert.deepStrictEqual(yield* counted, { effects: 5, keys: 5 })
      })
    )

    it.effect("keeps_answers_of_any_json", () =>
      Effect.gen(function* () {
        const { request, tenantId } = yield* city
        for (const [place, body] of [null, 7, "текст", [1, { a: null }], { z: 1, a: 2 }].entries()) {
          const run = ways[way](
            tenantId,
            { ...request, key: `k${place}` },
            Effect.succeed({ status: 200 + place, body })
          )
          yield* run
          assert.deepStrictEqual(yield* run, { answer: { status: 200 + place, body }, replayed: true })
        }
      })
    )

    it.effect("forgets_keys_after_two_days", () =>
      Effect.gen(function* () {
        const { call, counted, tenant } = yield* city
        const sweep = Effect.provideService(sweepTenant(tenant), RetentionRules, kernelRetention)
        yield* TestClock.setTime(Date.UTC(2026, 0, 1))
        yield* call()
        yield* TestClock.adjust("47 hours")
        yield* call({ key: "later" })
        yield* sweep
        assert.strictEqual((yield* counted).keys, 2)
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(yield* sweep, { idempotencyAnswers: 1 })
        assert.isTrue((yield* call({ key: "later" })).replayed)
        assert.isFalse((yield* call()).replayed)
      }).pipe(Effect.provide(TestClock.layer(), { local: true }))
    )
  })
}

layer(kernel, { excludeTestServices: true })("withIdempotency in a transaction of its own", (it) => {
  it.effect("says_that_the_first_is_still_running_without_waiting_for_it", () =>
    Effect.gen(function* () {
      const { call, counted, request, tenantId } = yield* cityBy("withIdempotency")
      const begun = yield* Deferred.make<void>()
      const end = yield* Deferred.make<void>()
      const slow = Effect.andThen(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(end)), effect)
      const first = yield* Effect.forkChild(withTenant(tenantId)(withIdempotency(request, slow)))
      yield* Deferred.await(begun)
      const refused = yield* Effect.flip(call())
      assert.strictEqual(refused._tag, "IdempotencyInProgress")
      assert.strictEqual((yield* Effect.flip(call({ body: "other" })))._tag, "IdempotencyInProgress")
      yield* Deferred.succeed(end, undefined)
      const { answer } = yield* Fiber.join(first)
      assert.deepStrictEqual(yield* call(), { answer, replayed: true })
      assert.deepStrictEqual(yield* counted, { effects: 1, keys: 1 })
    })
  )
})

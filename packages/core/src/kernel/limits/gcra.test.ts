import * as Effect from "effect/Effect"
import { assert, layer } from "@effect/vitest"
import { inject } from "vitest"
import { createTenant, testKernel } from "../../testing/kernel.ts"
import { takeFrom, TooManyRequests } from "./gcra.ts"

const limit = (key: string, amount: number, window: number) => ({ key, amount, window, message: "Too many." })

layer(testKernel({ postgresUrl: inject("postgresUrl"), maxConnections: 24 }), { excludeTestServices: true })(
  "limits",
  (it) => {
    it.effect("admit_exactly_so_many_of_400_at_once", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        // None becomes free while this runs.
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 400 }),
          () => Effect.result(takeFrom(tenantId, limit("all", 25, 86_400))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(outcomes.filter((one) => one._tag === "Success").length, 25)
        for (const one of outcomes) if (one._tag === "Failure") assert.instanceOf(one.failure, TooManyRequests)
      })
    )

    it.effect("count_each_key_and_each_tenant_by_itself", () =>
      Effect.gen(function* () {
        const [one, two] = [yield* createTenant(), yield* createTenant()]
        yield* takeFrom(one.tenantId, limit("a", 1, 3_600))
        yield* takeFrom(one.tenantId, limit("b", 1, 3_600))
        yield* takeFrom(two.tenantId, limit("a", 1, 3_600))
        const again = yield* Effect.flip(takeFrom(one.tenantId, limit("a", 1, 3_600)))
        assert.deepInclude(again, { _tag: "TooManyRequests", message: "Too many." })
      })
    )

    it.effect("say_when_the_next_one_is_admitted_and_keep_their_word", () =>
      Effect.gen(function* () {
        const { tenantId } = yield* createTenant()
        const three = limit("soon", 3, 3)
        for (let taken = 0; taken < 3; taken++) yield* takeFrom(tenantId, three)
        const refused = yield* Effect.flip(takeFrom(tenantId, three))
        assert.strictEqual((refused as TooManyRequests).retryAfter, 1)
        yield* Effect.sleep(1_020)
        yield* takeFrom(tenantId, three)
        assert.strictEqual((yield* Effect.flip(takeFrom(tenantId, three)))._tag, "TooManyRequests")
        const long = limit("long", 1, 600)
        yield* takeFrom(tenantId, long)
        const wait = ((yield* Effect.flip(takeFrom(tenantId, long))) as TooManyRequests).retryAfter
        assert.isTrue(wait > 595 && wait <= 600, `${wait} s`)
      })
    )
  }
)

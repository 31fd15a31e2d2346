import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { assert, describe, it } from "@effect/vitest"
import * as TestClock from "effect/testing/TestClock"
import { layerMemoryLimiter } from "../../plugin/memoryLimiter.ts"
import { Limiter, LimiterError } from "../../ports/Limiter.ts"
import { problemOf } from "../http/problems.ts"
import { takeByAddress } from "./address.ts"
import { type Limit, policyOf, takeFrom, type TooManyRequests } from "./gcra.ts"
import { rateLimitHeaders, type SeenLimit, SeenLimits } from "./headers.ts"

const tenantId = "01a1fb96-0a6f-7324-b14e-40eab5e1b19c"
const limit = (key: string, amount: number, window: number, more: Partial<Limit> = {}): Limit => ({
  key,
  amount,
  window,
  message: "Too many.",
  ...more
})

/** A store that is away, or never answers. */
const away = (take: Effect.Effect<never, LimiterError>) => Layer.succeed(Limiter, Limiter.of({ take: () => take }))
const gone = away(
  Effect.fail(
    new LimiterError({ reason: "Unavailable", operation: "take", subject: "x", message: "Away.", retryable: true })
  )
)

describe("limits", () => {
  it.effect("say_when_the_next_one_is_admitted_and_keep_their_word", () =>
    Effect.gen(function* () {
      const three = limit("soon:ip:1", 3, 60)
      for (let taken = 0; taken < 3; taken++) yield* takeFrom(tenantId, three)
      const refused = yield* Effect.flip(takeFrom(tenantId, three))
      assert.deepInclude(refused, { _tag: "TooManyRequests", message: "Too many.", retryAfter: 20 })
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(((yield* Effect.flip(takeFrom(tenantId, three))) as TooManyRequests).retryAfter, 1)
      yield* TestClock.adjust("1 second")
      yield* takeFrom(tenantId, three)
      assert.strictEqual((yield* Effect.flip(takeFrom(tenantId, three)))._tag, "TooManyRequests")
    }).pipe(Effect.provide(layerMemoryLimiter))
  )

  it.effect("are_told_in_the_headers_of_the_draft_except_where_they_are_not_the_callers_own", () =>
    Effect.gen(function* () {
      const seen: Array<SeenLimit> = []
      const take = (one: Limit) =>
        Effect.ignore(takeFrom(tenantId, one)).pipe(Effect.provideService(SeenLimits, (entry) => void seen.push(entry)))
      yield* take(limit("code:ip:2001:db8::/64", 20, 600))
      yield* take(limit("code:country:UZ", 5, 600, { quiet: true }))
      yield* take(limit("code:device:d", 1, 600))
      assert.deepEqual(rateLimitHeaders(seen), {
        "ratelimit-policy": '"code-ip";q=20;w=600, "code-device";q=1;w=600',
        ratelimit: '"code-ip";r=19;t=30, "code-device";r=0;t=600'
      })
      assert.deepEqual(rateLimitHeaders([]), {})
      assert.strictEqual(policyOf("code:ip:2001:db8::/64"), "code-ip")
    }).pipe(Effect.provide(layerMemoryLimiter))
  )

  it.effect("by_address_hold_a_site_that_has_as_many_as_it_likes", () =>
    Effect.gen(function* () {
      const many = (addressAt: (n: number) => string) =>
        Effect.map(
          Effect.forEach(Array.from({ length: 20 }), (_, n) =>
            Effect.exit(
              takeByAddress(tenantId, addressAt(n), { what: "try", amount: 2, window: 600, message: "Too many." })
            )
          ),
          (exits) => exits.filter(Exit.isSuccess).length
        )
      assert.strictEqual(yield* many(() => "2001:db8:1:2::9"), 2)
      assert.strictEqual(yield* many((n) => `2001:db8:2:${n}::1`), 6)
      assert.strictEqual(yield* many((n) => `2001:db8:${n + 3}::1`), 20)
      assert.strictEqual(yield* many((n) => `198.51.100.${n}`), 20)
    }).pipe(Effect.provide(layerMemoryLimiter))
  )

  it.effect("refuse_while_their_store_is_away_and_let_reads_through", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(takeFrom(tenantId, limit("code:ip:1", 3, 60)))
      assert.strictEqual(refused._tag, "LimiterError")
      const answer = problemOf(refused)
      assert.deepEqual([answer?.status, answer?.headers?.["retry-after"]], [503, "5"])
      yield* takeFrom(tenantId, limit("search:ip:1", 3, 60, { whenDown: "admit" }))
    }).pipe(Effect.provide(gone))
  )

  it.effect("wait_two_seconds_for_a_store_that_says_nothing", () =>
    Effect.gen(function* () {
      const asked = yield* Effect.forkChild(takeFrom(tenantId, limit("code:ip:1", 3, 60)))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(Fiber.join(asked))
      assert.strictEqual((error as LimiterError).reason, "Unavailable")
    }).pipe(Effect.provide(away(Effect.never)))
  )

  it.effect("that_are_none_are_refused_even_where_others_are_let_through", () =>
    Effect.gen(function* () {
      const wrong = yield* Effect.flip(takeFrom(tenantId, limit("two words:ip:1", 3, 60, { whenDown: "admit" })))
      assert.strictEqual((wrong as LimiterError).reason, "InvalidRequest")
    }).pipe(Effect.provide(layerMemoryLimiter))
  )
})

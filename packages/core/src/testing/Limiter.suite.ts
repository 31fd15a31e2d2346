/**
 * What every limiter must keep. Time is the request's own, so no rule waits. The rule about other processes needs a layer that also provides
 * `LimiterControl`; without it it is left out, with that reason.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Limiter, type LimitAnswer, type LimitRequest } from "../ports/Limiter.ts"
import { makeSuite, type Rule } from "./conformance.ts"

type Service = Limiter["Service"]

/** Another member on the same store, as a second process has it. */
export class LimiterControl extends Context.Service<LimiterControl, { readonly peer: Service }>()(
  "@mahalla/testing/LimiterControl"
) {}

const begin = 1_800_000_000_000
const fresh = (change: Partial<LimitRequest> = {}): LimitRequest => ({
  tenantId: randomUUID(),
  key: `test:${randomUUID()}`,
  amount: 3,
  window: 60,
  now: begin,
  ...change
})

const rule = (name: string, check: (service: Service) => Effect.Effect<void, unknown>): Rule<Limiter, Service> => ({
  name,
  check
})

/** Takes so often, one after the other; how many were admitted and the last answer. */
const takeTimes = Effect.fnUntraced(function* (service: Service, request: LimitRequest, times: number) {
  let admitted = 0
  let last: LimitAnswer | undefined
  for (let time = 0; time < times; time++) {
    last = yield* service.take(request)
    if (last.admitted) admitted++
  }
  return { admitted, last: last! }
})

const atOnce = (services: ReadonlyArray<Service>, request: LimitRequest, times: number) =>
  Effect.map(
    Effect.forEach(
      Array.from({ length: times }, (_, index) => services[index % services.length]!),
      (service) => service.take(request),
      { concurrency: "unbounded" }
    ),
    (answers) => answers.filter(({ admitted }) => admitted).length
  )

export const limiterSuite = makeSuite<Limiter, Service>("Limiter", Limiter, [
  rule(
    "admits exactly so many of 400 at once",
    Effect.fnUntraced(function* (limiter) {
      assert.equal(yield* atOnce([limiter], fresh({ amount: 25, window: 86_400 }), 400), 25)
    })
  ),
  {
    name: "admits exactly so many of 400 at once in two processes",
    unless: () =>
      Effect.map(Effect.serviceOption(LimiterControl), (control) =>
        Option.isNone(control) ? "the layer provides no LimiterControl" : undefined
      ),
    check: Effect.fnUntraced(function* (limiter) {
      const { peer } = yield* Effect.flatMap(Effect.serviceOption(LimiterControl), Effect.fromOption)
      assert.equal(yield* atOnce([limiter, peer], fresh({ amount: 25, window: 86_400 }), 400), 25)
    })
  },
  rule(
    "admits exactly so many where they do not divide the window",
    Effect.fnUntraced(function* (limiter) {
      for (const [amount, window] of [
        [7, 60],
        [13, 86_400],
        [97, 1],
        [700, 1]
      ] as const)
        assert.equal((yield* takeTimes(limiter, fresh({ amount, window }), amount + 3)).admitted, amount)
    })
  ),
  rule(
    "admits one more when one's time has passed, and not a moment before",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, request, 3)
      assert.equal((yield* limiter.take({ ...request, now: begin + 19_999 })).admitted, false)
      assert.equal((yield* limiter.take({ ...request, now: begin + 20_000 })).admitted, true)
      assert.equal((yield* limiter.take({ ...request, now: begin + 20_000 })).admitted, false)
    })
  ),
  rule(
    "saves nothing up beyond the whole amount",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, request, 3)
      const later = { ...request, now: begin + 3_600_000 }
      assert.equal((yield* takeTimes(limiter, later, 10)).admitted, 3)
    })
  ),
  rule(
    "takes nothing when it refuses",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, request, 50)
      assert.equal((yield* takeTimes(limiter, { ...request, now: begin + 60_000 }, 10)).admitted, 3)
    })
  ),
  rule(
    "says how many are left and when there are more",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      const first = yield* limiter.take(request)
      assert.deepEqual(first, { admitted: true, limit: 3, remaining: 2, next: 20_000, reset: 20_000 })
      const later = yield* limiter.take({ ...request, now: begin + 5_000 })
      assert.deepEqual(later, { admitted: true, limit: 3, remaining: 1, next: 15_000, reset: 35_000 })
    })
  ),
  rule(
    "says when the next one is admitted, and keeps its word",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh({ amount: 7, window: 600 })
      yield* takeTimes(limiter, request, 7)
      const now = begin + 12_345
      const refused = yield* limiter.take({ ...request, now })
      assert.deepEqual([refused.admitted, refused.limit, refused.remaining], [false, 7, 0])
      assert.ok(refused.next > 0 && refused.reset >= refused.next)
      assert.equal((yield* limiter.take({ ...request, now: now + refused.next - 1 })).admitted, false)
      assert.equal((yield* limiter.take({ ...request, now: now + refused.next })).admitted, true)
    })
  ),
  rule(
    "counts each key by itself",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, request, 3)
      assert.equal((yield* limiter.take({ ...request, key: `${request.key}:other` })).remaining, 2)
      assert.equal((yield* limiter.take({ ...request, key: request.key.toUpperCase() })).remaining, 2)
    })
  ),
  rule(
    "counts each tenant by itself",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, request, 3)
      assert.equal((yield* limiter.take({ ...request, tenantId: randomUUID() })).remaining, 2)
      assert.equal((yield* limiter.take(request)).admitted, false)
    })
  ),
  rule(
    "gives nobody more by a clock that is behind",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      assert.equal((yield* takeTimes(limiter, request, 2)).admitted, 2)
      const behind = { ...request, now: begin - 30_000 }
      assert.ok((yield* takeTimes(limiter, behind, 5)).admitted <= 1)
      assert.ok((yield* takeTimes(limiter, request, 5)).admitted <= 1)
    })
  ),
  rule(
    "begins anew after a clock that was wrong by a day",
    Effect.fnUntraced(function* (limiter) {
      const request = fresh()
      yield* takeTimes(limiter, { ...request, now: begin + 86_400_000 }, 5)
      assert.equal((yield* takeTimes(limiter, request, 5)).admitted, 3)
      // And from then on it is counted as ever.
      assert.equal((yield* limiter.take({ ...request, now: begin + 20_000 })).admitted, true)
      assert.equal((yield* limiter.take({ ...request, now: begin + 20_000 })).admitted, false)
    })
  ),
  rule(
    "refuses what is no limit",
    Effect.fnUntraced(function* (limiter) {
      for (const wrong of [
        { amount: 0 },
        { amount: 1.5 },
        { amount: 60_000_001 },
        { window: 0 },
        { window: 0.5 },
        { window: 2_678_401 },
        { key: "" },
        { key: "two words" },
        { key: "k".repeat(201) },
        { key: "phone\u0000" },
        { tenantId: "samarkand" },
        { now: Number.NaN }
      ]) {
        const error = yield* Effect.flip(limiter.take(fresh(wrong)))
        assert.equal(error.reason, "InvalidRequest")
        assert.equal(error.retryable, false)
      }
    })
  )
])

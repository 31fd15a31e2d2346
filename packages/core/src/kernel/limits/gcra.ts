/**
 * Taking from a budget through the Limiter port (GCRA). What was taken is told in `RateLimit`, whether the request goes on or not.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { type LimitAnswer, Limiter, LimiterError } from "../../ports/Limiter.ts"
import { SeenLimits } from "./headers.ts"

export class TooManyRequests extends Data.TaggedError("TooManyRequests")<{
  readonly message: string
  /** Seconds until the next one is admitted. */
  readonly retryAfter: number
}> {}

export interface Limit {
  /** What is limited, by what, and for whom: `code:ip:203.0.113.7`. Never a secret; phone numbers only as a keyed hash. */
  readonly key: string
  /** So many at once, and then one every `window / amount`. */
  readonly amount: number
  /** Seconds. */
  readonly window: number
  /** What the person reads when it is too many. */
  readonly message: string
  /** What happens while the limiter's store is away. Default `refuse`: 503. Give `admit` where the limit only saves work, as on reads. */
  readonly whenDown?: "refuse" | "admit"
  /** Budgets that are not the caller's own are not told in `RateLimit`: what is left of them is nobody's business. Default false. */
  readonly quiet?: boolean
}

/** The budget's name in `RateLimit`: `code:ip:203.0.113.7` is of the policy `code-ip`. */
export const policyOf = (key: string): string => key.split(":", 2).join("-")

const refusals = Metric.counter("mahalla_limit_refusals_total", {
  description: "Requests that a limit refused, by policy",
  incremental: true
})
const failures = Metric.counter("mahalla_limit_failures_total", {
  description: "Times that the limiter's store did not answer, by policy",
  incremental: true
})
const count = (metric: typeof refusals, policy: string) => Metric.update(Metric.withAttributes(metric, { policy }), 1)

const late = (policy: string) =>
  new LimiterError({
    reason: "Unavailable",
    operation: "take",
    subject: policy,
    message: "Limits cannot be counted at the moment. Try again in a moment.",
    retryable: true
  })

/** Takes one and says how the budget stands. Fails only where the store is away and the limit is one that then refuses. */
export const askLimit = Effect.fnUntraced(function* (tenantId: string, limit: Limit) {
  const limiter = yield* Limiter
  const now = yield* Clock.currentTimeMillis
  const policy = policyOf(limit.key)
  const { amount, key, window } = limit
  return yield* limiter.take({ tenantId, key, amount, window, now }).pipe(
    Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => Effect.fail(late(policy)) }),
    Effect.catchIf(
      (error) => error.reason !== "InvalidRequest",
      (error) =>
        Effect.gen(function* () {
          yield* count(failures, policy)
          if (limit.whenDown !== "admit") {
            yield* Effect.logError(`The limit ${policy} could not be counted, so the request was refused`, error)
            return yield* late(policy)
          }
          yield* Effect.logWarning(`The limit ${policy} could not be counted, and the request was let through`, error)
          return { admitted: true, limit: amount, remaining: amount, next: 0, reset: 0 } satisfies LimitAnswer
        })
    )
  )
})

/** Takes one from the budget, in no transaction, so that a request that fails later has still counted. */
export const takeFrom = Effect.fnUntraced(function* (tenantId: string, limit: Limit) {
  const answer = yield* askLimit(tenantId, limit)
  const policy = policyOf(limit.key)
  if (limit.quiet !== true) {
    const tell = yield* SeenLimits
    tell({ policy, amount: limit.amount, window: limit.window, remaining: answer.remaining, next: answer.next })
  }
  if (answer.admitted) return
  yield* count(refusals, policy)
  return yield* new TooManyRequests({
    message: limit.message,
    retryAfter: Math.max(1, Math.ceil(answer.next / 1000))
  })
})

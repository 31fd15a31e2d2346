/** Figures of deliveries, and how far behind they are. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { PlatformTx, withPlatform } from "../../kernel/db/Database.ts"

const attempts = Metric.counter("mahalla_webhook_attempts_total", {
  description: "Attempts to deliver a webhook, by outcome",
  incremental: true
})
const byOutcome = {
  delivered: Metric.withAttributes(attempts, { outcome: "delivered" }),
  failed: Metric.withAttributes(attempts, { outcome: "failed" })
}
const durations = Metric.histogram("mahalla_webhook_attempt_seconds", {
  description: "Seconds until an attempt was answered or given up",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15]
})

/** Counts an attempt. */
export const countAttempt = (delivered: boolean, milliseconds: number): Effect.Effect<void> =>
  Effect.andThen(
    Metric.update(delivered ? byOutcome.delivered : byOutcome.failed, 1),
    Metric.update(durations, milliseconds / 1_000)
  )

const lag = Metric.gauge("mahalla_webhook_lag_seconds", {
  description: "How long the endpoint that waits longest has been due, of those whose last attempt did not fail"
})
const failing = Metric.gauge("mahalla_webhook_failing_endpoints", {
  description: "Endpoints whose last attempt failed"
})

/** Measures; every process that works knows the same of the city. */
export const measure = Effect.gen(function* () {
  const { sql } = yield* PlatformTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* sql<{ lag: number; failing: number }>`
    select greatest(0, coalesce(extract(epoch from ${now}::timestamptz - min(due_at) filter (where failures = 0)), 0))::float8 as lag,
      (count(*) filter (where failures > 0))::int as failing
    from mahalla.webhook_lane`
  yield* Metric.update(lag, row?.lag ?? 0)
  yield* Metric.update(failing, row?.failing ?? 0)
}).pipe(withPlatform)

/**
 * Rate limits, exact across replicas: the generic cell rate algorithm in one statement on one row per key.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { TenantTx, withTenant } from "../db/Database.ts"

export class TooManyRequests extends Data.TaggedError("TooManyRequests")<{
  readonly message: string
  /** Seconds until the next one is admitted. */
  readonly retryAfter: number
}> {}

export interface Limit {
  /** What is limited and for whom, as `code:ip:203.0.113.7`. Never a secret; phone numbers only as a keyed hash. */
  readonly key: string
  /** So many at once, and then one every `window / amount`. */
  readonly amount: number
  /** Seconds. */
  readonly window: number
  /** What the person reads when it is too many. */
  readonly message: string
}

/** Takes one from the limit in a transaction of its own, so that a request that fails later has still counted. */
export const takeFrom = Effect.fnUntraced(function* (tenantId: string, limit: Limit) {
  const now = yield* Clock.currentTimeMillis
  const step = (limit.window * 1000) / limit.amount
  const burst = limit.window * 1000
  const wait = yield* withTenant(tenantId)(
    Effect.gen(function* () {
      const { sql } = yield* TenantTx
      const admitted = yield* sql`
        insert into mahalla.rate_limit as held (tenant_id, key, arrival) values (${tenantId}, ${limit.key}, ${now + step})
        on conflict (tenant_id, key) do update set arrival = greatest(held.arrival, ${now}) + ${step}
          where greatest(held.arrival, ${now}) + ${step} - ${burst} <= ${now}
        returning arrival`
      if (admitted.length > 0) return 0
      const rows = yield* sql<{
        arrival: number
      }>`select arrival from mahalla.rate_limit where tenant_id = ${tenantId} and key = ${limit.key}`
      return Math.max(1, Math.ceil(((rows[0]?.arrival ?? now) + step - burst - now) / 1000))
    })
  )
  if (wait > 0) return yield* new TooManyRequests({ message: limit.message, retryAfter: wait })
})

/**
 * The Limiter on a table of the city's own database, exact across replicas: one upsert decides, and a second look is needed only to tell
 * who was refused when to come back. The table is not logged; after a crash everybody begins anew.
 */
import { checkLimitRequest, HostDatabase, limitAnswer, Limiter, LimiterError, limitSteps } from "@mahalla/core/plugin"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { LimiterConfig } from "./config.ts"

/** `arrival` is the epoch microsecond at which the budget is whole again. The primary key serves it. */
const take = `
  insert into mahalla.rate_limit as held (tenant_id, key, arrival) values ($1::uuid, $2::text, $3::float8 + $4::float8)
  on conflict (tenant_id, key) do update set arrival = greatest(held.arrival, $3::float8) + $4::float8
    where greatest(held.arrival, $3::float8) + $4::float8 - $5::float8 <= $3::float8
  returning arrival`

const look = "select arrival from mahalla.rate_limit where tenant_id = $1::uuid and key = $2::text"

const failure = (key: string) => (cause: SqlError) => {
  const denied = cause.reason._tag === "AuthenticationError" || cause.reason._tag === "AuthorizationError"
  return new LimiterError({
    reason: denied ? "Unauthorized" : "Unavailable",
    operation: "take",
    // The kind of limit; whom it is about stays here.
    subject: key.split(":")[0] ?? "",
    message: `The table of limits did not answer: ${cause.reason.cause instanceof Error ? cause.reason.cause.message : cause.message}. Check that PostgreSQL runs and that the schema is migrated.`,
    retryable: !denied,
    cause
  })
}

export const layerLimiter = (config: LimiterConfig = {}): Layer.Layer<Limiter, SqlError, HostDatabase> =>
  Layer.effect(
    Limiter,
    Effect.gen(function* () {
      const database = yield* HostDatabase
      const pool = yield* PgPool.make({
        url: database.platform,
        maxConnections: config.maxConnections ?? 2,
        applicationName: "mahalla-limiter",
        prepare: !database.pooled
      })
      return Limiter.of({
        take: Effect.fn("Limiter.take")(function* (request) {
          const refusal = checkLimitRequest(request)
          if (refusal !== undefined) return yield* refusal
          const { burst, step } = limitSteps(request)
          const { key, now, tenantId } = request
          const query = (text: string, values: ReadonlyArray<unknown>) =>
            pool.use((connection) => connection.query(text, values)).pipe(Effect.mapError(failure(key)))
          const [taken] = (yield* query(take, [tenantId, key, now * 1000, step, burst])).rows
          if (taken !== undefined) return limitAnswer(request, Number(taken["arrival"]), true)
          const [held] = (yield* query(look, [tenantId, key])).rows
          return limitAnswer(request, Number(held?.["arrival"] ?? now * 1000 + burst), false)
        })
      })
    })
  )

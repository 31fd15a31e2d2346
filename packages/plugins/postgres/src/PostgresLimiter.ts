/**
 * The Limiter on a table of the city's own database, exact across replicas: one upsert decides, and a second look is needed only to tell
 * who was refused when to come back. The table is not logged; after a crash everybody begins anew.
 */
import {
  checkLimitRequest,
  clockSlack,
  HostDatabase,
  limitAnswer,
  Limiter,
  LimiterError,
  type LimitRequest,
  limitSteps
} from "@mahalla/core/plugin"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { LimiterConfig } from "./config.ts"

/**
 * `arrival` is the epoch microsecond at which the budget is whole again; one that no clock but a wrong one could have brought there is none.
 * The primary key serves it.
 */
const take = `
  insert into mahalla.rate_limit as held (tenant_id, key, arrival) values ($1::uuid, $2::text, $3::float8 + $4::float8)
  on conflict (tenant_id, key) do update
    set arrival = case when held.arrival - $5::float8 - $6::float8 > $3::float8 then $3::float8 else greatest(held.arrival, $3::float8) end + $4::float8
    where greatest(held.arrival, $3::float8) + $4::float8 - $5::float8 <= $3::float8 or held.arrival - $5::float8 - $6::float8 > $3::float8
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
        prepare: !database.pooled,
        // Decisions are single statements: those that come at once travel together. Nobody waits for one that was given up.
        multiplex: true,
        multiplexConcurrency: 32
      })
      const query = (key: string, text: string, values: ReadonlyArray<unknown>) =>
        Effect.mapError(
          pool.use((connection) => connection.query(text, values)),
          failure(key)
        )
      const refused = (request: LimitRequest, burst: number) =>
        Effect.map(query(request.key, look, [request.tenantId, request.key]), ({ rows }) =>
          limitAnswer(request, Number(rows[0]?.["arrival"] ?? request.now * 1000 + burst), false)
        )
      return Limiter.of({
        // Asked by every limited request: no generator, and no span beside the request's own.
        take: (request) => {
          const refusal = checkLimitRequest(request)
          if (refusal !== undefined) return Effect.fail(refusal)
          const { burst, step } = limitSteps(request)
          const { key, now, tenantId } = request
          return Effect.flatMap(query(key, take, [tenantId, key, now * 1000, step, burst, clockSlack]), ({ rows }) =>
            rows[0] === undefined
              ? refused(request, burst)
              : Effect.succeed(limitAnswer(request, Number(rows[0]["arrival"]), true))
          )
        }
      })
    })
  )

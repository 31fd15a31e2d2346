/**
 * The two connections to the city's database, and the only doors through them: `withTenant` opens a transaction that sees one
 * tenant, `withPlatform` one that serves the listed cross-tenant work. SQL elsewhere asks for `TenantTx` or `PlatformTx`, so a
 * statement outside such a transaction does not compile.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import { type Later, makeLater } from "./later.ts"
import { makePipelined, sent } from "./pipelined.ts"

export class Database extends Context.Service<Database, { readonly app: SqlClient; readonly platform: SqlClient }>()(
  "@mahalla/kernel/Database"
) {}

/** A transaction inside one tenant, as the role `app`. `later` takes writes that nobody reads before the commit. */
export class TenantTx extends Context.Service<
  TenantTx,
  { readonly tenantId: string; readonly sql: SqlClient; readonly later: Later }
>()("@mahalla/kernel/TenantTx") {}

/** A transaction across tenants, as the role `platform`. */
export class PlatformTx extends Context.Service<PlatformTx, { readonly sql: SqlClient }>()(
  "@mahalla/kernel/PlatformTx"
) {}

export interface DatabaseOptions {
  readonly app: Redacted.Redacted<string>
  readonly platform: Redacted.Redacted<string>
  /** Split between the two: a quarter, at least two, for `platform`. */
  readonly maxConnections: number
  /** True behind a pooler in transaction mode. */
  readonly pooled: boolean
}

const connect = (url: Redacted.Redacted<string>, maxConnections: number, pooled: boolean, applicationName: string) =>
  makePipelined(
    {
      url,
      maxConnections,
      minConnections: 1,
      applicationName,
      // Statements of the engine are short; what runs longer is stopped by the server and reported.
      ...(pooled ? {} : { startupParameters: { statement_timeout: "30s", idle_in_transaction_session_timeout: "60s" } })
    },
    pooled
  )

export const layerDatabase = (options: DatabaseOptions): Layer.Layer<Database, SqlError> =>
  Layer.effect(
    Database,
    Effect.gen(function* () {
      const platformShare = Math.max(2, Math.floor(options.maxConnections / 4))
      return {
        app: yield* connect(
          options.app,
          Math.max(2, options.maxConnections - platformShare),
          options.pooled,
          "mahalla-app"
        ),
        platform: yield* connect(options.platform, platformShare, options.pooled, "mahalla-platform")
      }
    })
  ).pipe(Layer.provide(Reactivity.layer))

const isContention = (error: unknown): boolean =>
  error instanceof SqlError && (error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError")

const soon = { while: isContention, schedule: Schedule.jittered(Schedule.exponential("10 millis")), times: 3 }

/**
 * A deadlock rolled everything back, so the whole transaction may run again, four times; nothing else is repeated here. Transactions
 * that meet none pay nothing for it.
 */
const againOnContention = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchIf(self, isContention, () => Effect.delay(Effect.retry(self, soon), "10 millis"))

/** An effect as the tenant's, in a transaction that is open already; what it writes later is written when it has ended. */
export const inTransactionOf = <A, E, R>(
  tenantId: string,
  sql: SqlClient,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, Exclude<R, TenantTx>> =>
  Effect.suspend(() => {
    // Made anew when the transaction is tried again.
    const later = makeLater(sql)
    return Effect.tap(Effect.provideService(self, TenantTx, { tenantId, sql, later }), later.flush)
  })

/**
 * Runs an effect in one transaction inside one tenant. A nested call for the same tenant joins the transaction; for another tenant
 * it is a defect.
 */
export const withTenant =
  (tenantId: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, Exclude<R, TenantTx> | Database> =>
    Effect.contextWith((context: Context.Context<Database>) => {
      const open = Context.getOption(context as Context.Context<never>, TenantTx)
      if (open._tag === "Some") {
        return open.value.tenantId === tenantId
          ? (self as Effect.Effect<A, E, Exclude<R, TenantTx>>)
          : Effect.die(new Error(`A transaction of tenant ${open.value.tenantId} cannot reach into tenant ${tenantId}`))
      }
      const { app } = Context.get(context, Database)
      return app
        .withTransaction(
          Effect.andThen(
            sent(app`SELECT set_config('mahalla.tenant', ${tenantId}, true)`),
            inTransactionOf(tenantId, app, self)
          )
        )
        .pipe(againOnContention)
    })

/** Runs an effect in one transaction across tenants. For the sequencer, sweepers, claims and tenant look-up only. */
export const withPlatform = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, Exclude<R, PlatformTx> | Database> =>
  Effect.flatMap(Database, ({ platform }) =>
    platform.withTransaction(Effect.provideService(self, PlatformTx, { sql: platform })).pipe(againOnContention)
  )

/** Runs once the surrounding tenant transaction has committed; never when it rolls back. Keep it short. */
export const afterCommit = <R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R | TenantTx> =>
  Effect.flatMap(TenantTx, ({ sql }) => sql.afterCommit(effect))

/**
 * The owner's few own statements: version, size, backup marks. The engine makes its clients itself.
 */
import { StorageError } from "@mahalla/core/plugin"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { StorageHealth } from "@mahalla/core/plugin"
import { storageError } from "./errors.ts"

export interface Address {
  readonly url: Redacted.Redacted<string>
  /** `host:port/database`, for messages. */
  readonly subject: string
}

/** Reads an address without ever repeating it. */
export const address = (url: Redacted.Redacted<string>, key: string): Effect.Effect<Address, StorageError> =>
  Effect.suspend(() => {
    const text = Redacted.value(url)
    const parsed = /^postgres(ql)?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined
    return parsed === undefined
      ? Effect.fail(
          new StorageError({
            reason: "Unavailable",
            operation: "open",
            subject: key,
            message: `${key} is no address of a PostgreSQL. Write it as postgres://user:password@host:5432/database; percent-encode special characters in the password.`,
            retryable: false
          })
        )
      : Effect.succeed({ url, subject: `${parsed.host}${parsed.pathname}` })
  })

/** The same server without the pooler that stands before it. */
export const withoutPooler = (
  from: Address,
  direct: { readonly host: string; readonly port: number } | undefined
): Address => {
  if (direct === undefined) return from
  const url = new URL(Redacted.value(from.url))
  url.hostname = direct.host
  url.port = String(direct.port)
  return { url: Redacted.make(url.toString()), subject: `${url.host}${url.pathname}` }
}

export interface Session {
  readonly query: (
    text: string,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<PgConnection.Row>, StorageError>
}

/** A connection of its own for as long as the scope is open. */
export const connect = (to: Address, operation: string): Effect.Effect<Session, StorageError, Scope.Scope> =>
  PgConnection.make({
    url: to.url,
    applicationName: "mahalla-storage",
    connectTimeout: "5 seconds",
    prepare: false
  }).pipe(
    Effect.map((connection) => ({
      query: (text: string, values: ReadonlyArray<unknown> = []) =>
        connection.query(text, values).pipe(
          Effect.map(({ rows }) => rows),
          Effect.mapError(storageError(operation, to.subject))
        )
    })),
    Effect.mapError(storageError(operation, to.subject))
  )

const oldest = 150_000

/** Refuses what is no PostgreSQL, or one before 15. */
export const checkVersion = (to: Address): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const { query } = yield* connect(to, "open")
    const [row] = yield* query(
      "select current_setting('server_version_num', true) as number, current_setting('server_version', true) as version, version() as name"
    )
    if (Number(row?.["number"]) >= oldest && String(row?.["name"]).startsWith("PostgreSQL")) return
    return yield* new StorageError({
      reason: "WrongVersion",
      operation: "open",
      subject: to.subject,
      message: `${to.subject} is ${String(row?.["name"])}; PostgreSQL 15 or newer is needed. Upgrade the server, or name another one.`,
      retryable: false
    })
  }).pipe(Effect.scoped)

export const health = (to: Address): Effect.Effect<StorageHealth, StorageError> =>
  Effect.gen(function* () {
    const { query } = yield* connect(to, "health")
    const [row] = yield* query(
      "select split_part(current_setting('server_version'), ' ', 1) as version, pg_database_size(current_database())::float8 as size"
    )
    const before = yield* Clock.currentTimeNanos
    yield* query("select 1")
    const latency = Number((yield* Clock.currentTimeNanos) - before) / 1e6
    return { version: String(row?.["version"]), size: Number(row?.["size"]), latency }
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () =>
        Effect.fail(
          new StorageError({
            reason: "Unavailable",
            operation: "health",
            subject: to.subject,
            message: `PostgreSQL at ${to.subject} has not answered in ten seconds. Look at its load and its locks.`,
            retryable: true
          })
        )
    })
  )

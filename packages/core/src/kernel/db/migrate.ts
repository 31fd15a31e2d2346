/**
 * Brings a database to this version's schema. Any number of servers may start at once: one migrates, the others wait and find it done.
 */
import type pg from "pg"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Migration } from "./Migration.ts"

export class MigrationError extends Data.TaggedError("MigrationError")<{
  readonly reason:
    | "Unavailable"
    /** The database was changed by a newer version in a way that this one cannot work with. */
    | "SchemaTooNew"
    /** A migration that was applied has another text now. */
    | "Changed"
    | "Failed"
  readonly message: string
  readonly cause?: unknown
}> {}

export interface MigrationState {
  readonly pending: ReadonlyArray<Migration>
  /** Applied by a newer version and marked compatible. */
  readonly unknown: ReadonlyArray<string>
}

interface AppliedRow {
  readonly module: string
  readonly id: number
  readonly name: string
  readonly breaking: boolean
  readonly checksum: string
}

/** Compares what the code has with what the database has. */
export const compareMigrations = (
  known: ReadonlyArray<Migration>,
  applied: ReadonlyArray<AppliedRow>
): Effect.Effect<MigrationState, MigrationError> => {
  const key = (entry: { readonly module: string; readonly id: number }) =>
    `${entry.module}/${String(entry.id).padStart(4, "0")}`
  const done = new Map(applied.map((row) => [key(row), row]))
  const ours = new Map(known.map((entry) => [key(entry), entry]))
  const strangers = applied.filter((row) => !ours.has(key(row)))
  const breaking = strangers.filter((row) => row.breaking)
  if (breaking.length > 0) {
    return Effect.fail(
      new MigrationError({
        reason: "SchemaTooNew",
        message:
          `The database was changed by a newer Mahalla (${breaking.map(key).join(", ")}); this version would damage it. ` +
          "Start the newer version, or restore the backup made before the upgrade."
      })
    )
  }
  const changed = known.find((entry) => (done.get(key(entry))?.checksum ?? entry.checksum) !== entry.checksum)
  if (changed !== undefined) {
    return Effect.fail(
      new MigrationError({
        reason: "Changed",
        message: `Migration ${key(changed)}_${changed.name} was applied with another text. Put the old text back and add a new migration instead.`
      })
    )
  }
  return Effect.succeed({ pending: known.filter((entry) => !done.has(key(entry))), unknown: strangers.map(key) })
}

const selectApplied =
  "select module, id, name, breaking, checksum from mahalla.migration order by applied_at, module, id"

const run = <A>(client: pg.Client, text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: () => client.query(text, [...values]).then((result) => result.rows as ReadonlyArray<A>),
    catch: (cause) =>
      new MigrationError({
        reason: "Failed",
        message: `The database refused a step of the migration: ${String(cause)}`,
        cause
      })
  })

const connected = (url: Redacted.Redacted<string>) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        // Most starts have nothing to migrate, and do without it.
        const { default: driver } = await import("pg")
        const client = new driver.Client({ connectionString: Redacted.value(url), application_name: "mahalla-migrate" })
        client.on("error", () => {})
        await client.connect()
        return client
      },
      catch: (cause) =>
        new MigrationError({
          reason: "Unavailable",
          message: `The database cannot be reached for migration: ${cause instanceof Error ? cause.message : String(cause)}. Check that it runs and that DATABASE_URL is right.`,
          cause
        })
    }),
    (client) => Effect.promise(() => client.end().catch(() => undefined))
  )

/** Holds the migration lock of this database while it works; the lock goes when the connection goes. */
const locked = (client: pg.Client) => run(client, "select pg_advisory_lock(hashtextextended('mahalla.migration', 0))")

/** Asks the database something as its owner, outside any migration. */
export const askAsOwner = <E>(
  owner: Redacted.Redacted<string>,
  ask: (
    query: <A>(text: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<A>, MigrationError>
  ) => Effect.Effect<void, MigrationError | E>
) => Effect.scoped(Effect.flatMap(connected(owner), (client) => ask((text, values) => run(client, text, values))))

export interface MigrateOptions<E = never> {
  readonly owner: Redacted.Redacted<string>
  readonly migrations: ReadonlyArray<Migration>
  /** Runs under the lock before the first migration: makes the roles. */
  readonly prepare: (
    query: <A>(text: string, values?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<A>, MigrationError>
  ) => Effect.Effect<void, MigrationError | E>
  readonly onApplied?: (migration: Migration, index: number, total: number) => Effect.Effect<void>
}

/** Applies what is missing, each migration in a transaction of its own. Returns what it applied. */
export const migrate = Effect.fn("migrate")(function* <E = never>(options: MigrateOptions<E>) {
  const client = yield* connected(options.owner)
  yield* locked(client)
  yield* options.prepare((text, values) => run(client, text, values))
  yield* run(
    client,
    `create schema if not exists mahalla;
     create table if not exists mahalla.migration (
       module text not null, id integer not null, name text not null, breaking boolean not null,
       checksum text not null, applied_at timestamptz not null default now(), primary key (module, id));
     grant usage on schema mahalla to mahalla_app, mahalla_platform;
     grant select on mahalla.migration to mahalla_app, mahalla_platform`
  )
  const { pending, unknown } = yield* compareMigrations(
    options.migrations,
    yield* run<AppliedRow>(client, selectApplied)
  )
  for (const [index, entry] of pending.entries()) {
    const label = `${entry.module}/${String(entry.id).padStart(4, "0")}_${entry.name}`
    yield* run(client, "begin").pipe(
      Effect.andThen(run(client, entry.sql)),
      Effect.andThen(
        run(
          client,
          "insert into mahalla.migration (module, id, name, breaking, checksum) values ($1, $2, $3, $4, $5)",
          [entry.module, entry.id, entry.name, entry.breaking, entry.checksum]
        )
      ),
      Effect.andThen(run(client, "commit")),
      Effect.mapError(
        (error) =>
          new MigrationError({
            reason: "Failed",
            message: `Migration ${label} failed and was rolled back: ${String(error.cause)}`,
            cause: error.cause
          })
      ),
      Effect.tapError(() => Effect.ignore(run(client, "rollback")))
    )
    yield* options.onApplied?.(entry, index + 1, pending.length) ?? Effect.void
  }
  return { applied: pending, unknown }
}, Effect.scoped)

/** One migrated database for a test file. */
import { hostDatabase } from "@mahalla/core/testing"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, inject } from "vitest"

const scope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

export const database = await Effect.runPromise(Scope.provide(hostDatabase(inject("postgresUrl")), scope))

/** Runs one statement as the superuser. */
export const asAdmin = (statement: string, values: ReadonlyArray<unknown> = []) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ url: database.admin }), (connection) => connection.query(statement, values))
  ).pipe(
    Effect.map(({ rows }) => rows),
    Effect.orDie
  )

/** Kills every connection of that name to the test's database. */
export const terminate = (applicationName: string) =>
  Effect.asVoid(
    asAdmin(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1",
      [applicationName]
    )
  )

/**
 * A SQL client whose transactions send statements without waiting for the answers they do not need. What a small transaction costs is
 * its round trips: its beginning and its tenant travel with its first question, its last writes with the commit. PostgreSQL answers
 * in order, so a statement that failed fails the commit, and the caller hears of the first failure.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import * as Stream from "effect/Stream"

const Unawaited = Context.Reference<boolean>("@mahalla/kernel/Unawaited", { defaultValue: () => false })

/**
 * Sends a statement of a transaction and goes on. Its rows are nobody's; when it fails, the next statement that is waited for, or the
 * commit, fails with its error. For writes of which the rest of the transaction asks nothing.
 */
export const sent = (statement: Statement<object>): Effect.Effect<void, SqlError> =>
  Effect.asVoid(Effect.provideService(statement, Unawaited, true))

const begin = "BEGIN"
const patience = "100 millis"
type Transform = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** One lease of a session: it belongs to one transaction, or to one statement. */
class PipelinedConnection implements Connection {
  private readonly session: PgConnection.PgConnection
  private readonly stop: Effect.Effect<void>
  private readonly unawaited: Array<Fiber.Fiber<unknown, SqlError>> = []
  constructor(session: PgConnection.PgConnection, stop: Effect.Effect<void>) {
    this.session = session
    this.stop = stop
  }

  private run(sql: string, params: ReadonlyArray<unknown>, prepare: boolean) {
    return this.orFirst(Effect.onInterrupt(this.session.query(sql, params, prepare), () => this.stop))
  }

  /** A failed statement before this one is the reason for this one's failure. */
  private orFirst<A>(self: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return Effect.catch(self, (error) => Effect.flatMap(this.failed, (first) => Effect.fail(first ?? error)))
  }

  private get failed(): Effect.Effect<SqlError | undefined> {
    return Effect.map(Fiber.awaitAll(this.unawaited), (exits) =>
      exits
        .flatMap((exit) => (Exit.isFailure(exit) ? [Cause.squash(exit.cause)] : []))
        .find((error): error is SqlError => error instanceof SqlError)
    )
  }

  private rows(sql: string, params: ReadonlyArray<unknown>, transform: Transform, prepare: boolean) {
    return Effect.withFiber<ReadonlyArray<PgConnection.Row>, SqlError>((fiber) => {
      if (sql === begin || fiber.getRef(Unawaited))
        return Effect.map(
          Effect.forkDetach(this.session.query(sql, params, prepare), { startImmediately: true }),
          (running) => {
            this.unawaited.push(running)
            return []
          }
        )
      const rows = Effect.map(this.run(sql, params, prepare), (result) => result.rows)
      return transform === undefined ? rows : Effect.map(rows, transform)
    })
  }

  execute(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.rows(sql, params, transform, true)
  }
  executeUnprepared(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.rows(sql, params, transform, false)
  }
  executeRaw(sql: string, params: ReadonlyArray<unknown>) {
    return this.run(sql, params, true)
  }
  executeValues(sql: string, params: ReadonlyArray<unknown>) {
    return this.orFirst(this.session.queryValues(sql, params))
  }
  executeValuesUnprepared(sql: string, params: ReadonlyArray<unknown>) {
    return this.orFirst(this.session.queryValues(sql, params, false))
  }
  executeStream(): Stream.Stream<never, SqlError> {
    return Stream.die(new Error("A cursor would hold up the statements behind it; ask page by page."))
  }

  get commit(): Effect.Effect<void, SqlError> {
    return Effect.flatMap(this.run("COMMIT", [], false), ({ command }) =>
      // PostgreSQL answers so where a statement has failed.
      command === "ROLLBACK" ? Effect.flatMap(this.failed, (first) => Effect.fail(first ?? rolledBack())) : Effect.void
    )
  }
}

const rolledBack = () =>
  new SqlError({
    reason: new UnknownError({
      cause: new Error("COMMIT rolled back an aborted transaction"),
      message: "COMMIT rolled back an aborted transaction",
      operation: "commit"
    })
  })

/**
 * Waits until PostgreSQL has answered all that was sent, and has it stop what takes longer than `patience`. A session that was told to
 * stop is not used again: the word may arrive when it is at something else.
 */
const stopOf = (pool: PgPool.PgPool, session: PgConnection.PgConnection, pooled: boolean): Effect.Effect<void> => {
  const answered = Effect.ignore(session.query("SELECT", [], false))
  if (pooled) return answered
  const tell = Effect.scoped(
    Effect.flatMap(PgConnection.make(pool.config), (other) =>
      other.query("SELECT pg_cancel_backend($1)", [session.processId], false)
    )
  )
  return Effect.race(
    answered,
    Effect.delay(Effect.andThen(pool.invalidate(session), Effect.andThen(Effect.ignore(tell), answered)), patience)
  )
}

/** A pool whose sessions are never shared; what is sent on one of them without waiting travels together. */
export const makePipelined = Effect.fn("makePipelined")(function* (
  options: Omit<PgPool.Config, "multiplex" | "multiplexConcurrency" | "prepare">,
  /** True behind a pooler: nothing stays prepared, and its process ids are not PostgreSQL's. */
  pooled: boolean
): Effect.fn.Return<SqlClient.SqlClient, SqlError, Scope.Scope | Reactivity.Reactivity> {
  const pool = yield* PgPool.make({ ...options, prepare: !pooled, multiplex: true, multiplexConcurrency: 1 })
  const lease = (session: PgConnection.PgConnection) => new PipelinedConnection(session, stopOf(pool, session, pooled))
  const acquirer = Effect.map(pool.get, lease)
  return yield* SqlClient.make({
    acquirer,
    transactionAcquirer: acquirer,
    borrower: (use) => pool.use((session) => use(lease(session))),
    compiler: PgClient.makeCompiler(),
    driver: "postgresql",
    // Not kept prepared, as are COMMIT and ROLLBACK: a beginning that had to be sent again would come behind what follows it.
    beginTransaction: begin,
    commit: (connection) => (connection as PipelinedConnection).commit,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    spanAttributes: [["db.system.name", "postgresql"]]
  })
})

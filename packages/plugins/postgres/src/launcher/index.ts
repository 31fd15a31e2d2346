/**
 * A PostgreSQL 18 that starts by itself: the programs come from npm, the data stays in one folder, clients reach it on 127.0.0.1.
 *
 * Several processes may name the same folder at once: one starts the server, the others use it, and the last one to leave stops it.
 * A process that is killed leaves the server running; the next one takes it over. While any of them lives, a server that dies is
 * started again on the same port.
 */
import { mkdir, realpath } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { StorageError } from "@mahalla/core/plugin"
import { chooseAccount } from "./account.ts"
import { findBinaries } from "./binaries.ts"
import { beside, databaseName, ensureCluster, ownerRole, writeSecrets } from "./cluster.ts"
import { attempt } from "./failure.ts"
import { enlist, locked } from "./lock.ts"
import { lives } from "./processes.ts"
import { replaceCluster, type Running } from "./replace.ts"
import { findServer, type ServerOptions, startServer, stopServer } from "./server.ts"

export interface LaunchOptions {
  /** Made when absent. Beside it stand `<name>.json` (passwords, 0600), `<name>.log`, `<name>.lock`, `<name>.users/`. */
  readonly dataFolder: string
  /** Tried first; another one is taken when it is busy. Default: that of the last start, else the first free from 15432. */
  readonly port?: number
  /** Default 100. Ignored when a living server is taken over. */
  readonly maxConnections?: number
  /** False turns fsync off, for tests: what is committed survives a killed server, but no power failure. Default true. */
  readonly durable?: boolean
}

export interface LaunchedPostgres {
  /** The superuser, on the database `postgres`. */
  readonly admin: Redacted.Redacted<string>
  /** The role that owns the database `mahalla`: may create roles, is no superuser. */
  readonly owner: Redacted.Redacted<string>
  readonly port: number
  readonly dataFolder: string
  /** Process id of the server that runs now. */
  readonly pid: Effect.Effect<number>
  /** False: a living server was taken over. */
  readonly started: boolean
  /**
   * Puts other data in place of this one: `fill` makes the folder, the server starts on it at the same port with the same passwords. When
   * that fails the old data comes back. Refused while another process uses the server.
   */
  readonly replace: (fill: (folder: string) => Effect.Effect<void, StorageError>) => Effect.Effect<void, StorageError>
}

const home = (dataFolder: string): Effect.Effect<string, StorageError> =>
  attempt(dirname(resolve(dataFolder)), async () => {
    const parent = dirname(resolve(dataFolder))
    await mkdir(parent, { recursive: true })
    return join(await realpath(parent), basename(resolve(dataFolder)))
  })

/**
 * Starts PostgreSQL on a data folder, or takes over the one that lives there, for as long as the scope is open.
 *
 * Fails with `StorageError`: `DataFolder` (another major version, no PostgreSQL data, not reachable), `Full`, `Unsupported` (no
 * programs for this platform), `Unavailable`.
 */
export const launchPostgres = (options: LaunchOptions): Effect.Effect<LaunchedPostgres, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const dataFolder = yield* home(options.dataFolder)
    const durable = options.durable ?? true
    const alone = <A, E, R>(body: Effect.Effect<A, E, R>) => locked(beside(dataFolder, "lock"), body)
    const begin = Effect.gen(function* () {
      const binaries = yield* findBinaries(dirname(dataFolder))
      const account = yield* chooseAccount(binaries, dataFolder)
      const secrets = yield* ensureCluster(account, dataFolder, durable)
      const server: ServerOptions = { account, dataFolder, durable, maxConnections: options.maxConnections ?? 100 }
      const living = yield* findServer(dataFolder)
      const wanted = options.port ?? secrets.port
      const current = living ?? (yield* startServer(server, wanted === undefined ? {} : { wanted }))
      if (current.port !== secrets.port) yield* writeSecrets(dataFolder, { ...secrets, port: current.port })
      const member = yield* enlist(beside(dataFolder, "users"))
      return { secrets, server, current, member, started: living === undefined }
    })
    const state = yield* Effect.acquireRelease(
      Effect.map(alone(begin), (begun) => ({ ...begun })),
      ({ member, server }) =>
        Effect.gen(function* () {
          yield* member.leave
          if (!(yield* member.only)) return
          const living = yield* findServer(dataFolder)
          if (living !== undefined) yield* stopServer(server, living)
        }).pipe(
          alone,
          Effect.catch((error) => Effect.logWarning(error.message))
        )
    )
    yield* Effect.forkScoped(supervise(state, dataFolder, alone))
    const url = (user: string, password: string, database: string) =>
      Redacted.make(`postgres://${user}:${password}@127.0.0.1:${state.current.port}/${database}?sslmode=disable`)
    return {
      admin: url("postgres", state.secrets.admin, "postgres"),
      owner: url(ownerRole, state.secrets.owner, databaseName),
      port: state.current.port,
      dataFolder,
      pid: Effect.sync(() => state.current.identity.pid),
      started: state.started,
      replace: (fill) => alone(replaceCluster(state, fill))
    }
  })

/** Starts the server again, on the port that clients know, whenever it is gone. */
const supervise = (
  state: Running,
  dataFolder: string,
  alone: <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StorageError, R>
): Effect.Effect<never> =>
  Effect.gen(function* () {
    yield* Effect.sleep(200)
    if (yield* attempt(dataFolder, () => lives(state.current.identity))) return
    const fixed = state.current.port
    const again = Effect.gen(function* () {
      const living = yield* findServer(dataFolder)
      if (living !== undefined) return living
      yield* Effect.logWarning(`The embedded PostgreSQL has ended; it is started again on port ${fixed}`)
      return yield* startServer(state.server, { fixed })
    })
    // Whole: an interruption between start and note would lose the new server.
    state.current = yield* Effect.uninterruptible(alone(again))
  }).pipe(
    Effect.catch((error) => Effect.andThen(Effect.logError(error.message), Effect.sleep(1_000))),
    Effect.forever
  )

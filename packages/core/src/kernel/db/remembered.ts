/**
 * Small tables that every request looks at, remembered for a short while: one memory per database, so that two cities in one process
 * share nothing. Read over the platform connection outside any transaction, so what is remembered was committed.
 */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Database } from "./Database.ts"

export interface Remembered<Key, A> {
  readonly get: (key: Key) => Effect.Effect<A, SqlError, Database>
  /** For this process; others forget when the time has passed. Call it after the commit that changed the table. */
  readonly forget: (key: Key) => Effect.Effect<void, never, Database>
}

export const remembered = <Key, A>(options: {
  readonly read: (sql: SqlClient, key: Key) => Effect.Effect<A, SqlError>
  readonly keys: number
  readonly seconds: number
}): Remembered<Key, A> => {
  const memories = new WeakMap<SqlClient, Cache.Cache<Key, A, SqlError>>()
  const memory = Effect.map(Database, ({ platform }) => {
    const known = memories.get(platform)
    if (known !== undefined) return known
    const made = Effect.runSync(
      Cache.makeWith<Key, A, SqlError>(
        (key) =>
          // Several callers may wait for one reading: it must not live in the transaction of the first of them.
          Effect.updateContext(options.read(platform, key), (context: Context.Context<never>) =>
            Context.omit(platform.transactionService)(context)
          ),
        {
          capacity: options.keys,
          timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.seconds(options.seconds) : Duration.zero)
        }
      )
    )
    memories.set(platform, made)
    return made
  })
  return {
    get: (key) => Effect.flatMap(memory, (cache) => Cache.get(cache, key)),
    forget: (key) => Effect.flatMap(memory, (cache) => Cache.invalidate(cache, key))
  }
}

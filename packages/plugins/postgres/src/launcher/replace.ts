/**
 * Puts other data in place of a server's, with the old data at hand until the new one runs.
 */
import { randomBytes } from "node:crypto"
import { rename, rm } from "node:fs/promises"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import { giveTo } from "./account.ts"
import { beside, type Secrets, setAside, setPasswords } from "./cluster.ts"
import { attempt, failure } from "./failure.ts"
import type { Membership } from "./lock.ts"
import { findServer, type Server, type ServerOptions, startServer, stopServer } from "./server.ts"

/** A launched server, as its supervisor keeps it. */
export interface Running {
  readonly server: ServerOptions
  readonly secrets: Secrets
  readonly member: Membership
  current: Server
}

/** Only under the folder's lock. */
export const replaceCluster = (
  state: Running,
  fill: (folder: string) => Effect.Effect<void, StorageError>
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const { account, dataFolder, durable } = state.server
    if (!(yield* state.member.only))
      return yield* failure(
        "DataFolder",
        dataFolder,
        "Another process works on this database. Stop the city, then restore."
      )
    const fixed = state.current.port
    const fresh = beside(dataFolder, `init-${randomBytes(6).toString("hex")}`)
    const old = setAside(dataFolder)
    yield* Effect.gen(function* () {
      yield* fill(fresh)
      yield* giveTo(account, fresh)
      yield* setPasswords(account, fresh, durable, state.secrets)
    }).pipe(Effect.onError(() => Effect.ignore(attempt(fresh, () => rm(fresh, { recursive: true, force: true })))))
    const stop = Effect.flatMap(findServer(dataFolder), (living) =>
      living === undefined ? Effect.void : stopServer(state.server, living)
    )
    yield* stop
    yield* attempt(dataFolder, async () => {
      await rm(old, { recursive: true, force: true })
      await rename(dataFolder, old)
      await rename(fresh, dataFolder)
    })
    state.current = yield* startServer(state.server, { fixed }).pipe(
      Effect.tapError(() =>
        Effect.gen(function* () {
          yield* attempt(dataFolder, async () => {
            await rename(dataFolder, fresh)
            await rename(old, dataFolder)
            await rm(fresh, { recursive: true, force: true })
          })
          state.current = yield* startServer(state.server, { fixed })
        })
      )
    )
    yield* attempt(old, () => rm(old, { recursive: true, force: true }))
  }).pipe(Effect.uninterruptible)

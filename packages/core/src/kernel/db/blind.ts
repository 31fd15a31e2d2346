/**
 * What a transaction would write, when it asks PostgreSQL nothing. Such transactions of several requests can be written as one.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { TenantTx } from "./Database.ts"
import { addTo, type Later, type Waiting } from "./later.ts"

/** All that a transaction leaves behind. */
export interface Written<A> {
  readonly value: A
  readonly waiting: Waiting
  readonly wakes: ReadonlySet<Effect.Effect<void>>
  readonly afterCommit: ReadonlyArray<Effect.Effect<void>>
}

const asks = () => {
  throw new Error("This transaction asks PostgreSQL")
}

/** A client that can only be told what comes after the commit. */
const muteClient = (afterCommit: Array<Effect.Effect<void>>): SqlClient => {
  const told = <R>(effect: Effect.Effect<void, never, R>) =>
    Effect.contextWith((context: Context.Context<R>) =>
      Effect.sync(
        () =>
          void afterCommit.push(
            Effect.setContext(effect, Context.omit(TenantTx)(context as Context.Context<never>) as typeof context)
          )
      )
    )
  return new Proxy(asks as unknown as SqlClient, {
    get: (_, name) => (name === "afterCommit" ? told : asks())
  })
}

/**
 * Runs the body of a tenant's transaction without PostgreSQL. Undefined when it asks something or fails, so that it needs a transaction of
 * its own; nothing of it has happened then.
 */
export const writtenBlind = <A, E, R>(
  tenantId: string,
  self: Effect.Effect<A, E, R>
): Effect.Effect<Written<A> | undefined, never, Exclude<R, TenantTx>> =>
  Effect.suspend(() => {
    const waiting: Waiting = new Map()
    const wakes = new Set<Effect.Effect<void>>()
    const afterCommit: Array<Effect.Effect<void>> = []
    const later: Later = {
      add: (write, row) => addTo(waiting, write, row),
      soon: (write, row) => Effect.sync(() => addTo(waiting, write, row)),
      wake: (effect) => void wakes.add(effect),
      flush: Effect.void
    }
    return Effect.provideService(self, TenantTx, { tenantId, sql: muteClient(afterCommit), later }).pipe(
      Effect.map((value) => ({ value, waiting, wakes, afterCommit })),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.succeed(undefined)
      )
    )
  })

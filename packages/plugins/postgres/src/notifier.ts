/**
 * NOTIFY for many in one round trip. While one is under way the next ones gather, so that a burst costs a few transactions: each
 * NOTIFY takes a lock that all committing notifiers of the server share.
 */
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"

interface Waiting {
  readonly channel: string
  readonly body: string
  readonly sent: Deferred.Deferred<void, SqlError>
}

export interface Notifier {
  /** Done when the server has it. */
  readonly notify: (channel: string, body: string) => Effect.Effect<void, SqlError>
}

/** Channels on the server carry this in front. */
export const channelName = (channel: string): string => `mahalla_${channel}`

/** PostgreSQL drops equal notifications of one transaction, so each carries its place in it. */
const encode = (body: string, place: number): string => `${place.toString(36)}:${body}`

export const decode = (payload: string): string => payload.slice(payload.indexOf(":") + 1)

/** Notifications of one statement at most. */
const batch = 500

export const makeNotifier = (options: {
  readonly url: Redacted.Redacted<string>
  readonly pooled: boolean
}): Effect.Effect<Notifier, SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const pool = yield* PgPool.make({
      url: options.url,
      maxConnections: 1,
      applicationName: "mahalla-notify",
      prepare: !options.pooled
    })
    const waiting = yield* Queue.unbounded<Waiting>()
    yield* Effect.gen(function* () {
      const next = yield* Queue.takeBetween(waiting, 1, batch)
      const exit = yield* Effect.exit(
        pool.use((connection) =>
          connection.query(
            "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) with ordinality as waiting (channel, payload, place) order by place",
            [next.map(({ channel }) => channelName(channel)), next.map(({ body }, place) => encode(body, place))]
          )
        )
      )
      for (const { sent } of next) yield* Deferred.done(sent, Exit.asVoid(exit))
    }).pipe(Effect.forever, Effect.forkScoped)
    return {
      notify: (channel, body) =>
        Effect.flatMap(Deferred.make<void, SqlError>(), (sent) =>
          Effect.andThen(Queue.offer(waiting, { channel, body, sent }), Deferred.await(sent))
        )
    }
  })

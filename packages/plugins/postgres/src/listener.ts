/**
 * LISTEN on a connection of its own, for any number of channels and hearers. A lost connection ends no stream: it is opened again,
 * and every hearer is told of the gap once the new one listens.
 */
import type { BusSignal } from "@mahalla/core/plugin"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"

interface Hearer {
  readonly channel: string
  readonly signals: Queue.Queue<BusSignal>
  /** Done when LISTEN stands. */
  readonly stands: Deferred.Deferred<void>
}

export interface Listener {
  /** Waits until the subscription stands; see `EventBus.subscribe`. */
  readonly subscribe: (channel: string) => Effect.Effect<Stream.Stream<BusSignal>, never, Scope.Scope>
}

/** A hearer that is further behind than this hears a `gap` instead. */
const backlog = 10_000

const tell = (hearer: Hearer, signal: BusSignal): void => {
  if (Queue.offerUnsafe(hearer.signals, signal)) return
  Effect.runSync(Queue.clear(hearer.signals))
  Queue.offerUnsafe(hearer.signals, { type: "gap" })
}

/** `decode` turns a notification's payload into the message. The connection lives as long as the scope. */
export const makeListener = (
  url: Redacted.Redacted<string>,
  decode: (payload: string) => string
): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.gen(function* () {
    const hearers = new Set<Hearer>()
    const changes = yield* Queue.sliding<void>(1)

    const pump = (channel: string, notifications: Queue.Dequeue<PgConnection.Notification, SqlError>) =>
      Queue.takeAll(notifications).pipe(
        Effect.map((batch) => {
          for (const { payload } of batch)
            for (const hearer of hearers)
              if (hearer.channel === channel) tell(hearer, { type: "message", body: decode(payload) })
        }),
        Effect.forever
      )

    /** Fails when the connection is lost. */
    const connection = Effect.gen(function* () {
      const open = yield* PgConnection.make({ url, applicationName: "mahalla-listen", keepAlive: "15 seconds" })
      const session = yield* open.pin
      const lost = yield* Deferred.make<never, SqlError>()
      const listening = new Map<string, Scope.Closeable>()
      const reconcile = Effect.gen(function* () {
        const wanted = new Set([...hearers].map((hearer) => hearer.channel))
        for (const [channel, scope] of listening) {
          if (wanted.has(channel)) continue
          listening.delete(channel)
          yield* Scope.close(scope, Exit.void)
        }
        for (const channel of wanted) {
          if (!listening.has(channel)) {
            const scope = yield* Scope.fork(yield* Effect.scope)
            listening.set(channel, scope)
            const notifications = yield* Scope.provide(session.listen(channel), scope)
            yield* pump(channel, notifications).pipe(
              Effect.catch((error) => Deferred.fail(lost, error)),
              Effect.forkIn(scope)
            )
            for (const hearer of hearers)
              if (hearer.channel === channel && Deferred.isDoneUnsafe(hearer.stands)) tell(hearer, { type: "gap" })
          }
          for (const hearer of hearers)
            if (hearer.channel === channel) yield* Deferred.succeed(hearer.stands, undefined)
        }
      })
      yield* reconcile
      // A connection that a firewall has dropped says nothing: ask now and then.
      const turn = Queue.take(changes).pipe(
        Effect.timeoutOption("15 seconds"),
        Effect.flatMap((change) =>
          Option.isSome(change) ? reconcile : Effect.timeout(session.query("select 1"), "10 seconds")
        )
      )
      return yield* Effect.raceFirst(Deferred.await(lost), Effect.forever(turn))
    }).pipe(Effect.scoped)

    yield* connection.pipe(
      Effect.catch((error) => Effect.logDebug("LISTEN has lost its connection; it is opened again", error)),
      Effect.andThen(Effect.sleep("100 millis")),
      Effect.forever,
      Effect.forkScoped
    )

    return {
      subscribe: (channel) =>
        Effect.gen(function* () {
          const hearer: Hearer = {
            channel,
            signals: yield* Queue.dropping<BusSignal>(backlog),
            stands: yield* Deferred.make<void>()
          }
          yield* Effect.acquireRelease(
            Effect.sync(() => hearers.add(hearer)),
            () =>
              Effect.sync(() => hearers.delete(hearer)).pipe(
                Effect.andThen(Queue.shutdown(hearer.signals)),
                Effect.andThen(Queue.offer(changes, undefined))
              )
          )
          yield* Queue.offer(changes, undefined)
          yield* Deferred.await(hearer.stands)
          return Stream.fromQueue(hearer.signals)
        })
    }
  })

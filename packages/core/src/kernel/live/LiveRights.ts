/**
 * Whether somebody who watches still may. Asked again every half minute, which is when an expired token or an ended session counts, and at once when
 * anything about roles, delegations or people has changed in their city: the change is an event, and each process that somebody watches in hears it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import type * as Scope from "effect/Scope"
import { type Database, withTenant } from "../db/Database.ts"
import { headPosition } from "../events/read.ts"
import type { Principal } from "../policy/Principal.ts"
import { Signals } from "../Signals.ts"
import { EventFeed, lookAgain } from "./EventFeed.ts"

/** Milliseconds that an answer about rights is good for. */
const goodFor = 30_000

const isAboutRights = (type: string) => type.startsWith("role.") || type.startsWith("principal.")

interface Watched {
  watchers: number
  /** Counts the changes. */
  turn: number
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  readonly ready: Deferred.Deferred<void>
}

export interface LiveReader {
  /** As they are now; fails like the question that was given. */
  readonly current: Effect.Effect<Principal, unknown>
}

export class LiveRights extends Context.Service<
  LiveRights,
  {
    /** Begins to watch; `who` was found out just now, `ask` is how to find it out again. */
    readonly reader: (
      who: Principal,
      ask: Effect.Effect<Principal, unknown>
    ) => Effect.Effect<LiveReader, never, Scope.Scope>
  }
>()("@mahalla/kernel/LiveRights") {
  static readonly layer = Layer.effect(
    LiveRights,
    Effect.gen(function* () {
      const services = yield* Effect.context<Database>()
      const scope = yield* Effect.scope
      const signals = yield* Signals
      const feed = yield* EventFeed
      const tenants = new Map<string, Watched>()

      const follow = (tenantId: string, watched: Watched, ready: Deferred.Deferred<void>) =>
        Effect.gen(function* () {
          const grown = yield* PubSub.subscribe(signals.order)
          let position = yield* withTenant(tenantId)(headPosition)
          /** Of what it was woken for and has not looked for twice. */
          let told = position
          yield* Deferred.succeed(ready, undefined)
          while (true) {
            const rows = yield* feed.after(tenantId, position)
            if (rows.some(({ type }) => isAboutRights(type))) watched.turn++
            const last = rows.at(-1)
            if (last !== undefined) position = last.position
            else if (told > position) {
              told = position
              yield* Effect.sleep(lookAgain)
            } else {
              const woken = yield* Effect.timeoutOption(
                Effect.repeat(PubSub.take(grown), { until: (signal) => signal.tenantId === tenantId }),
                "15 seconds"
              )
              if (woken._tag === "Some") told = woken.value.position
            }
          }
        }).pipe(
          Effect.scoped,
          // What changes while nobody hears it is found by asking.
          Effect.tapCause((cause) =>
            Effect.andThen(
              Effect.sync(() => watched.turn++),
              Effect.logDebug("Changes of rights are not heard at the moment", cause)
            )
          ),
          Effect.ensuring(Deferred.succeed(ready, undefined)),
          Effect.retry(Schedule.spaced("1 second")),
          Effect.provideContext(services)
        )

      const watch = (tenantId: string) =>
        Effect.acquireRelease(
          Effect.gen(function* () {
            const known = tenants.get(tenantId)
            if (known !== undefined) {
              known.watchers++
              yield* Deferred.await(known.ready)
              return known
            }
            const ready = yield* Deferred.make<void>()
            const watched: Watched = { watchers: 1, turn: 0, fiber: undefined, ready }
            tenants.set(tenantId, watched)
            watched.fiber = yield* Effect.forkIn(follow(tenantId, watched, ready), scope)
            yield* Deferred.await(ready)
            return watched
          }),
          (watched) => {
            if (--watched.watchers > 0) return Effect.void
            tenants.delete(tenantId)
            return watched.fiber === undefined ? Effect.void : Fiber.interrupt(watched.fiber)
          }
        )

      return LiveRights.of({
        reader: Effect.fnUntraced(function* (who, ask) {
          const watched = yield* watch(who.tenantId)
          let answer = { who, at: yield* Clock.currentTimeMillis, turn: watched.turn }
          // Several subscriptions of one reader ask once.
          const inTurn = yield* Semaphore.make(1)
          const isGood = (now: number) => answer.turn === watched.turn && now - answer.at < goodFor
          const renewed = Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            const { turn } = watched
            if (!isGood(now)) answer = { who: yield* ask, at: now, turn }
            return answer.who
          }).pipe(inTurn.withPermits(1))
          const current = Effect.flatMap(Clock.currentTimeMillis, (now) =>
            isGood(now) ? Effect.succeed(answer.who) : renewed
          )
          return { current }
        })
      })
    })
  )
}

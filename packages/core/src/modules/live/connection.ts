/** One connection: who it is, its subscriptions, and when it ends. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type { Database } from "../../kernel/db/Database.ts"
import { problemOf, problem } from "../../kernel/http/problems.ts"
import { type EventFeed, eventView } from "../../kernel/live/EventFeed.ts"
import { eventReader } from "../../kernel/live/EventReader.ts"
import { type LiveReader, LiveRights } from "../../kernel/live/LiveRights.ts"
import type { Seats } from "../../kernel/live/Seats.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import type { Policy } from "../../kernel/policy/Policy.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import type { Signals } from "../../kernel/Signals.ts"
import { LiveReadings, readingReader } from "../telemetry/index.ts"
import { idIn, NoReadings, problemMessage, readMessage, type Subscription, taken, tooMany } from "./messages.ts"
import { codes, type Socket } from "./Socket.ts"

export type LiveServices = Database | EventFeed | LiveRights | Policy | Signals

const mostSubscriptions = 32
/** How long a connection may say nothing of who it is, and how long it may want nothing. */
const toSayWho = "5 seconds"
const idleSeconds = 60
const lookSeconds = 2

export interface Visit {
  readonly facts: MountFacts
  /** Who the handshake's headers say it is; null where they say nothing. */
  readonly known: Principal | null
  /** Who it is by the handshake's headers, or by an access token in their place. */
  readonly ask: (token: string | undefined) => Effect.Effect<Principal, unknown>
  readonly seats: Seats
  /** For those who have not said yet who they are. */
  readonly waiting: Seats
}

/** Of no city and no name: those who have not said anything are counted by their address. */
export const nobody = { id: null, tenantId: "" }

const shown = (id: string, fields: string) => `{"id":${JSON.stringify(id)},${fields}}`

/** Begins; what it gives back is one step, to be done again and again. */
const readings = Effect.fnUntraced(function* (
  socket: Socket,
  tenantId: string,
  subscription: Extract<Subscription, { to: "readings" }>,
  reader: LiveReader
) {
  const { next, place } = yield* readingReader(tenantId, subscription, reader)
  const { id } = subscription
  const frame = (number: number, json: string) => socket.send(shown(id, `"batch":${number},"readings":[${json}]`))
  // From here on it hears of everything: where it begins, without anything yet.
  yield* frame(place(), "")
  return Effect.flatMap(next, (step) => {
    if (step.kind === "batch") return frame(step.batch.number, step.json)
    if (step.kind === "quiet") return frame(step.number, "")
    const { after, since, to } = step
    return socket.send(shown(id, `"gap":${JSON.stringify({ after, to, since })}`))
  })
})

const events = Effect.fnUntraced(function* (
  socket: Socket,
  tenantId: string,
  subscription: Extract<Subscription, { to: "events" }>,
  reader: LiveReader
) {
  const { after, id } = subscription
  const place = after === undefined ? undefined : BigInt(after)
  const { next, place: now } = yield* eventReader(tenantId, subscription, place, reader)
  yield* socket.send(shown(id, `"position":"${now()}"`))
  return Effect.flatMap(next, ({ events: found, position }) =>
    found.length === 0
      ? socket.send(shown(id, `"position":"${position}"`))
      : Effect.forEach(
          found,
          (row) => socket.send(shown(id, `"position":"${row.position}","event":${JSON.stringify(eventView(row))}`)),
          { discard: true }
        )
  )
})

/** Serves a connection until it is over. */
export const serveConnection = Effect.fnUntraced(function* (
  socket: Socket,
  { ask, facts, known, seats, waiting }: Visit
) {
  const rights = yield* LiveRights
  const say = (error: unknown, id?: string) =>
    socket.send(
      problemMessage(
        problemOf(error) ?? problem(500, "internal", `Tell the operator this number: ${facts.id}.`),
        facts.id,
        id
      )
    )

  /** Ends for a failure to find out who somebody is: where it is ours, they come back rather than sign in anew. */
  const leave = (error: unknown, reason: string) =>
    (problemOf(error)?.status ?? 500) < 500
      ? socket.close(codes.policy, reason)
      : socket.close(codes.tryLater, "This is not possible at the moment. Come back after a while.")

  let token: string | undefined

  /** What the first message must say; undefined where it says nothing of that kind, or not soon enough. */
  const first = Effect.gen(function* () {
    const text = yield* Effect.timeoutOption(socket.take, toSayWho)
    const said = text._tag === "None" ? text : yield* Effect.option(readMessage(text.value))
    return said._tag === "Some" && said.value.kind === "token" ? said.value : undefined
  })

  /** Who it is, from the first message; undefined where the connection is over. */
  const introduced = Effect.gen(function* () {
    yield* waiting.take(nobody, facts.ip)
    const said = yield* first
    if (said === undefined) {
      yield* socket.close(codes.policy, "Say who you are within 5 seconds: {token}, or {token: null}.")
      return undefined
    }
    token = said.token ?? undefined
    const found = yield* Effect.result(ask(token))
    if (found._tag === "Failure") {
      yield* say(found.failure)
      yield* leave(found.failure, "The access token is not valid here.")
      return undefined
    }
    const refusal = seats.refusal(found.success, facts.ip)
    if (refusal !== undefined) {
      yield* socket.send(problemMessage(refusal, facts.id))
      yield* socket.close(codes.tryLater, "Too many live connections.")
      return undefined
    }
    yield* socket.send(JSON.stringify({ principal: found.success.id }))
    return found.success
  })

  const principal = known ?? (yield* Effect.scoped(introduced))
  if (principal === undefined) return
  yield* seats.take(principal, facts.ip)
  const { tenantId } = principal
  const reader = yield* rights.reader(
    principal,
    Effect.suspend(() => ask(token))
  )
  const running = yield* FiberMap.make<string>()

  const begin = (subscription: Subscription) =>
    Effect.gen(function* () {
      if (subscription.to === "events") return yield* events(socket, tenantId, subscription, reader)
      const live = yield* Effect.serviceOption(LiveReadings)
      if (live._tag === "None") return yield* new NoReadings({ message: "This city has no telemetry." })
      return yield* Effect.provideService(readings(socket, tenantId, subscription, reader), LiveReadings, live.value)
    })

  const run = (subscription: Subscription) => {
    let begun = false
    return Effect.gen(function* () {
      const step = yield* begin(subscription)
      begun = true
      yield* Effect.forever(step)
    }).pipe(
      Effect.scoped,
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        const error = Cause.squash(cause)
        const noted =
          (problemOf(error)?.status ?? 500) < 500
            ? Effect.void
            : Effect.logWarning("A live subscription broke off", cause)
        const left = begun ? leave(error, "You may not watch this any more.") : Effect.void
        return noted.pipe(Effect.andThen(say(error, subscription.id)), Effect.andThen(left))
      })
    )
  }

  /** Another token of the same person, before the one they came with ends. */
  const renew = Effect.fnUntraced(function* (given: string | null) {
    const found = yield* Effect.result(ask(given ?? undefined))
    const notYours = "This is no access token of whom you were."
    if (found._tag === "Failure") {
      yield* say(found.failure)
      return yield* leave(found.failure, notYours)
    }
    if (found.success.id !== principal.id) return yield* socket.close(codes.policy, notYours)
    token = given ?? undefined
  })

  const answer = Effect.fnUntraced(function* (text: string) {
    const said = yield* Effect.result(readMessage(text))
    if (said._tag === "Failure") return yield* say(said.failure, idIn(text))
    if (said.success.kind === "token") return yield* renew(said.success.token)
    if (said.success.kind === "unsubscribe") return yield* FiberMap.remove(running, said.success.id)
    const { subscription } = said.success
    const { id } = subscription
    if (yield* FiberMap.has(running, id)) return yield* socket.send(problemMessage(taken(id), facts.id, id))
    if ((yield* FiberMap.size(running)) >= mostSubscriptions)
      return yield* socket.send(problemMessage(tooMany, facts.id, id))
    yield* FiberMap.run(running, id, run(subscription))
  })

  /** Rights end a connection also while nothing comes; so does wanting nothing. */
  const watch = Effect.gen(function* () {
    let idle = 0
    while (true) {
      yield* Effect.sleep(Duration.seconds(lookSeconds))
      const still = yield* Effect.result(reader.current)
      if (still._tag === "Failure") {
        yield* say(still.failure)
        return yield* leave(still.failure, "You may not watch any more.")
      }
      idle = (yield* FiberMap.size(running)) === 0 ? idle + lookSeconds : 0
      if (idle >= idleSeconds) return yield* socket.close(1000, "Nothing is subscribed.")
    }
  })
  yield* Effect.forkScoped(watch)
  yield* Effect.forever(Effect.flatMap(socket.take, answer))
})

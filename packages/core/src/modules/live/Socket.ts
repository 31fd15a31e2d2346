/** A WebSocket as effects: messages in, a bounded way out, and an end that is told. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import type { WebSocket } from "ws"

/** Close codes (RFC 6455, section 7.4, and IANA's registry). */
export const codes = { goingAway: 1001, binary: 1003, policy: 1008, tryLater: 1013 } as const

/** Messages that wait to be read. */
const mostWaiting = 64
/** How long a client may leave what it was sent unread. */
const patience = "30 seconds"
const pingEvery = "20 seconds"
/** Who only reads slowly cannot answer either, and has longer than that until it is closed. */
const mostUnanswered = 2

export interface Socket {
  /** The next message. */
  readonly take: Effect.Effect<string>
  /**
   * Done when the client's side has it, or the connection is over; one frame at a time is on its way, and nobody gives up one that is. Who does not
   * read is closed with 1013.
   */
  readonly send: (text: string) => Effect.Effect<void>
  readonly close: (code: number, reason: string) => Effect.Effect<void>
  /** Done when the connection is over. */
  readonly closed: Effect.Effect<void>
  /** Asks again and again whether the client is there; who does not answer is dropped. Never ends. */
  readonly beat: Effect.Effect<never>
}

export const makeSocket = Effect.fnUntraced(function* (ws: WebSocket) {
  const inbox = yield* Queue.dropping<string>(mostWaiting)
  const closed = yield* Deferred.make<void>()
  const turn = yield* Semaphore.make(1)
  let unanswered = 0
  const end = (code: number, reason: string) => {
    if (ws.readyState === ws.OPEN) ws.close(code, reason)
  }
  ws.on("message", (data, isBinary) => {
    if (isBinary) end(codes.binary, "Messages are JSON.")
    else if (!Queue.offerUnsafe(inbox, data.toString())) end(codes.policy, "Too many messages at once.")
  })
  ws.on("pong", () => (unanswered = 0))
  // What is wrong is told by the close that follows.
  ws.on("error", () => {})
  ws.on("close", () => Effect.runFork(Deferred.succeed(closed, undefined)))
  if (ws.readyState === ws.CLOSED) yield* Deferred.succeed(closed, undefined)

  const write = (text: string) =>
    Effect.callback<void>((resume) => {
      if (ws.readyState === ws.OPEN) ws.send(text, () => resume(Effect.void))
      else resume(Effect.never)
    })
  const close = (code: number, reason: string) => Effect.sync(() => end(code, reason))
  const send = (text: string) =>
    turn.withPermits(1)(
      Effect.raceFirst(write(text), Deferred.await(closed)).pipe(
        Effect.timeoutOption(patience),
        Effect.flatMap((sent) =>
          sent._tag === "Some" ? Effect.void : close(codes.tryLater, "You do not read what you are sent.")
        ),
        // Whoever is interrupted gives the turn away only when the frame has left; else frames pile up behind it.
        Effect.uninterruptible
      )
    )
  const beat = Effect.suspend(() => {
    if (unanswered === mostUnanswered) ws.terminate()
    unanswered++
    if (ws.readyState === ws.OPEN) ws.ping()
    return Effect.sleep(pingEvery)
  }).pipe(Effect.forever)
  const take = Effect.catchCause(Queue.take(inbox), (cause) => Effect.die(Cause.squash(cause)))
  return { take, send, close, closed: Deferred.await(closed), beat } satisfies Socket
})

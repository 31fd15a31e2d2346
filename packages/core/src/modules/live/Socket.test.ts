/** What a client that reads nothing can make the server keep, over a real connection. */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { WebSocket, WebSocketServer } from "ws"
import { makeSocket } from "./Socket.ts"

/** A client that reads nothing, and both ends of the server's side. */
const paused = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const opened = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false })
      await once(opened, "listening")
      return opened
    }),
    (opened) =>
      Effect.sync(() => {
        for (const ws of opened.clients) ws.terminate()
        opened.close()
      })
  )
  const connected = once(server, "connection") as Promise<[WebSocket]>
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  client.on("error", () => undefined)
  const [ws] = yield* Effect.promise(() => connected)
  yield* Effect.promise(() => once(client, "open"))
  client.pause()
  return { client, ws, socket: yield* makeSocket(ws) }
})

const frame = "x".repeat(65_536)

it.live("what_is_sent_for_somebody_who_went_away_is_still_waited_for_before_more_is_sent", () =>
  Effect.gen(function* () {
    const { socket, ws } = yield* paused
    // As for thousands of subscriptions that end before they have said anything.
    for (let pair = 0; pair < 3_000; pair++) {
      const subscription = yield* Effect.forkChild(socket.send(frame))
      yield* Effect.yieldNow
      yield* Effect.forkChild(Fiber.interrupt(subscription))
      if (pair % 100 === 0) yield* Effect.sleep(2)
    }
    assert.isBelow(ws.bufferedAmount, 2 * frame.length)
    ws.terminate()
    yield* socket.closed
  }).pipe(Effect.scoped)
)

it.live("who_answers_no_ping_is_dropped_however_much_they_say", () =>
  Effect.gen(function* () {
    const { client, socket, ws } = yield* paused
    const clock = yield* TestClock.make({ warningDelay: "1 hour" })
    yield* Effect.forkChild(Effect.provideService(socket.beat, Clock.Clock, clock))
    for (let turn = 0; turn < 2; turn++) {
      client.send("{}")
      yield* socket.take
      yield* clock.adjust("20 seconds")
      yield* Effect.sleep(20)
    }
    assert.strictEqual(ws.readyState, ws.CLOSED)
  }).pipe(Effect.scoped)
)

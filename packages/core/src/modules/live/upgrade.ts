/** From a request at `/v1/live` to a WebSocket (RFC 6455) that is served, and the end of all of them when the city closes. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { type WebSocket, WebSocketServer } from "ws"
import { Authentication } from "../../kernel/http/Authentication.ts"
import { RequestFacts } from "../../kernel/http/Door.ts"
import { type ProblemAnswer, problem, problemOf } from "../../kernel/http/problems.ts"
import { makeSeats } from "../../kernel/live/Seats.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import { type LiveServices, nobody, serveConnection } from "./connection.ts"
import { codes, makeSocket, type Socket } from "./Socket.ts"

export const takes = (path: string): boolean => path === "/v1/live"

/** Bytes of a message from a client: room for a subscription with all that it may name. */
const maxMessage = 65_536
/** How long those who are told that the city closes have to say goodbye. */
const farewell = "2 seconds"

const upgradeRequired = problem(
  426,
  "upgrade-required",
  "This address is a WebSocket's; open it with one.",
  {},
  { upgrade: "websocket", connection: "upgrade" }
)

/** For requests that want no upgrade. */
export const openMount = Effect.succeed(
  async (_request: IncomingMessage, response: ServerResponse, facts: MountFacts): Promise<void> => {
    const { body, headers, status } = upgradeRequired
    response
      .writeHead(status, { "content-type": "application/problem+json", ...headers })
      .end(JSON.stringify({ ...body, requestId: facts.id }))
  }
)

/** The handshake as the doors know requests, without what concerns the connection alone. */
const requestOf = ({ headers }: IncomingMessage, facts: MountFacts, token: string | undefined) => {
  const given = Object.entries(headers).flatMap(([name, value]): ReadonlyArray<[string, string]> =>
    typeof value !== "string" || /^(connection|upgrade|sec-websocket-.*|content-length)$/.test(name)
      ? []
      : [[name, value]]
  )
  const all = new Headers(given)
  if (token !== undefined) all.set("authorization", `Bearer ${token}`)
  return HttpServerRequest.fromWeb(new Request(new URL(facts.url, "http://local"), { headers: all }))
}

export const openUpgrade = Effect.gen(function* () {
  const context = yield* Effect.context<LiveServices>()
  const authentication = yield* Authentication
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessage
  })
  const [seats, waiting] = [makeSeats(), makeSeats(500, 100)]
  const open = new Set<WebSocket>()
  let closing = false

  const allGone = Effect.callback<void>((resume) => {
    const look = () => (open.size === 0 ? resume(Effect.void) : undefined)
    for (const ws of open) ws.once("close", look)
    look()
  })
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      closing = true
      for (const ws of open) ws.close(codes.goingAway, "The server closes. Come back in a moment.")
      yield* Effect.timeoutOption(allGone, farewell)
      for (const ws of open) ws.terminate()
    })
  )

  const serve = (ws: WebSocket, socket: Socket, request: IncomingMessage, facts: MountFacts, known: Principal | null) =>
    Effect.gen(function* () {
      const ask = (token: string | undefined) =>
        authentication.actorOf(requestOf(request, facts, token), facts).pipe(
          Effect.map(({ actor }) => actor),
          Effect.provideService(RequestFacts, facts)
        )
      const served = Effect.scoped(serveConnection(socket, { ask, facts, known, seats, waiting }))
      yield* Effect.raceFirst(
        // Until the goodbye has come back.
        Effect.andThen(served, Effect.andThen(Effect.raceFirst(socket.beat, socket.closed), Effect.void)),
        Effect.raceFirst(socket.closed, socket.beat)
      )
    }).pipe(
      Effect.catchCause((cause) => Effect.logError("A live connection broke off", cause)),
      Effect.ensuring(Effect.sync(() => ws.terminate()))
    )

  return async (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    facts: MountFacts
  ): Promise<ProblemAnswer | undefined> => {
    if (closing) return problem(503, "busy", "The server closes. Try again in a moment.", {}, { "retry-after": "1" })
    const asked = await Effect.runPromise(
      Effect.result(
        authentication
          .actorOf(requestOf(request, facts, undefined), facts)
          .pipe(Effect.provideService(RequestFacts, facts), Effect.provideContext(context))
      )
    )
    if (asked._tag === "Failure")
      return problemOf(asked.failure) ?? problem(500, "internal", `Tell the operator this number: ${facts.id}.`)
    const { actor } = asked.success
    const known = actor.kind === "anonymous" ? null : actor
    const refusal = known === null ? waiting.refusal(nobody, facts.ip) : seats.refusal(known, facts.ip)
    if (refusal !== undefined) return refusal
    server.handleUpgrade(request, socket, head, (ws) => {
      open.add(ws)
      ws.once("close", () => open.delete(ws))
      // At once: what the client says next must find somebody who listens.
      const made = Effect.runSync(makeSocket(ws))
      Effect.runFork(Effect.provideContext(serve(ws, made, request, facts, known), context))
    })
    return undefined
  }
})

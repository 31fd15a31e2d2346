/** Loggers that speak over plain TCP or TLS: they are answered when what they sent is committed. */
import { readFile } from "node:fs/promises"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import {
  DeviceIngestError,
  type IngestHost,
  type IngestListener,
  makeIngestCommands,
  makeIngestSessions,
  makeIntake
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Listener, TcpConfig } from "./config.ts"
import { type City, type Connection, openConnection } from "./connection.ts"
import { framers } from "./framers/index.ts"

const failure = (subject: string, message: string, cause: unknown) =>
  new DeviceIngestError({ reason: "InvalidRequest", operation: "serve", subject, message, retryable: false, cause })

const file = (path: string) =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (cause) => failure(path, `${path} cannot be read. Correct the path in the configuration.`, cause)
  })

const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, highWaterMark: 16_384 }

const serverOf = ({ tls }: Listener, accept: (socket: Socket) => void) =>
  tls === undefined
    ? Effect.sync(() => createServer(options, accept))
    : Effect.flatMap(Effect.all([file(tls.certificate), file(tls.key)]), ([cert, key]) =>
        Effect.try({
          try: (): Server => createTlsServer({ ...options, cert, key, handshakeTimeout: 15_000 }, accept),
          catch: (cause) =>
            failure(tls.certificate, "Certificate and key do not fit together or are no PEM. Correct the files.", cause)
        })
      )

const listen = (server: Server, { host = "127.0.0.1", maxConnections = 10_000, name, port, tls }: Listener) =>
  Effect.callback<string, DeviceIngestError>((resume) => {
    server.maxConnections = maxConnections
    const refused = (cause: Error) =>
      resume(
        Effect.fail(
          failure(name, `Listener ${name} cannot use ${host}:${port} (${cause.message}). Choose another port.`, cause)
        )
      )
    server.once("error", refused)
    server.listen(port, host, () => {
      server.off("error", refused)
      const at = host.includes(":") ? `[${host}]` : host
      resume(Effect.succeed(`${tls === undefined ? "tcp" : "tls"}://${at}:${(server.address() as AddressInfo).port}`))
    })
  })

/** Ends every connection after its last acknowledgement has left; who does not take it within a second is cut off. */
const sayGoodbye = (connections: ReadonlySet<Connection>) =>
  Effect.callback<void>((resume) => {
    const heard = () => {
      if (connections.size === 0) resume(Effect.void)
    }
    for (const connection of connections) {
      connection.socket.once("close", heard)
      connection.end()
    }
    heard()
  }).pipe(
    Effect.timeoutOption("1 second"),
    Effect.andThen(
      Effect.sync(() => {
        for (const { socket } of connections) socket.destroy()
      })
    )
  )

export const serveTcp = (
  { listeners }: TcpConfig,
  host: IngestHost
): Effect.Effect<IngestListener, DeviceIngestError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const connections = new Set<Connection>()
    yield* Effect.addFinalizer(() => sayGoodbye(connections))
    const city: City = {
      run: yield* FiberSet.makeRuntime<never, void>(),
      sessions: yield* makeIngestSessions(host),
      intake: yield* makeIntake("tcp", host),
      commands: yield* makeIngestCommands(host),
      maxPayload: host.maxPayload,
      now: () => clock.currentTimeMillisUnsafe()
    }
    const addresses: Array<string> = []
    for (const listener of listeners) {
      const accept = (socket: Socket) => {
        const framer = framers[listener.framer]
        const connection = openConnection(socket, framer, listener.name, (listener.idle ?? 600) * 1_000, city)
        connections.add(connection)
        socket.once("close", () => connections.delete(connection))
      }
      const server = yield* serverOf(listener, accept)
      yield* Effect.addFinalizer(() => Effect.sync(() => void server.close()))
      addresses.push(yield* listen(server, listener))
    }
    const look = Effect.map(Clock.currentTimeMillis, (now) => {
      for (const connection of connections) connection.look(now)
    })
    yield* look.pipe(Effect.delay("1 second"), Effect.forever, Effect.forkScoped)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const connection of connections) connection.stop()
      })
    )
    return { addresses }
  })

/** Sockets on which the broker listens: TCP, TLS with certificates of devices, WebSocket. */
import { readFile } from "node:fs/promises"
import { createServer as createHttpServer } from "node:http"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { createServer as createTlsServer, type DetailedPeerCertificate, type TLSSocket } from "node:tls"
import { DeviceIngestError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createWebSocketStream, WebSocketServer } from "ws"
import type { Address, MqttConfig } from "../config.ts"
import { readAhead } from "./line.ts"

/** A connection and the certificates that its peer has shown, the peer's own first. */
export type Accept = (stream: Duplex, chain: ReadonlyArray<Uint8Array>) => void

const failure = (subject: string, message: string, cause: unknown) =>
  new DeviceIngestError({ reason: "InvalidRequest", operation: "serve", subject, message, retryable: false, cause })

const listen = (server: Server, scheme: string, { host, port }: Required<Address>, most: number) =>
  Effect.callback<string, DeviceIngestError>((resume) => {
    server.maxConnections = most
    const refused = (cause: Error) =>
      resume(
        Effect.fail(
          failure(
            `${host}:${port}`,
            `MQTT cannot listen on ${host}:${port} (${cause.message}). Choose another port in the configuration.`,
            cause
          )
        )
      )
    server.once("error", refused)
    server.listen(port, host, () => {
      server.off("error", refused)
      const { port: taken } = server.address() as AddressInfo
      resume(Effect.succeed(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${taken}`))
    })
  })

/** From the peer's own certificate up; a root that signs itself ends it. */
const chainOf = (socket: TLSSocket): ReadonlyArray<Uint8Array> => {
  const chain: Array<Uint8Array> = []
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next?.raw !== undefined && chain.length < 10) {
    chain.push(next.raw)
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate
  }
  return chain
}

const file = (path: string, what: string) =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (cause) =>
      failure(path, `The ${what} at ${path} cannot be read. Correct the path in the configuration.`, cause)
  })

const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, highWaterMark: readAhead }

/** Opens what is configured; nothing is accepted any more after the scope's end. */
export const openListeners = (
  config: MqttConfig,
  maxPacket: number,
  accept: Accept
): Effect.Effect<ReadonlyArray<string>, DeviceIngestError, Scope.Scope> =>
  Effect.gen(function* () {
    const addresses: Array<string> = []
    const open = Effect.fnUntraced(function* (server: Server, scheme: string, address: Address, port: number) {
      yield* Effect.addFinalizer(() => Effect.sync(() => void server.close()))
      const at = { host: address.host ?? "127.0.0.1", port: address.port ?? port }
      addresses.push(yield* listen(server, scheme, at, config.maxConnections ?? 10_000))
    })
    const { tls, websocket } = config
    const tcp = config.tcp ?? (tls === undefined && websocket === undefined ? {} : undefined)
    if (tcp !== undefined)
      yield* open(
        createServer(options, (socket: Socket) => accept(socket, [])),
        "mqtt",
        tcp,
        1_883
      )
    if (tls !== undefined) {
      const cert = yield* file(tls.certificate, "certificate")
      const key = yield* file(tls.key, "key")
      // Whose certificates are good is the host's to say; the handshake has shown that the peer holds the key.
      const server = yield* Effect.try({
        try: () =>
          createTlsServer({ ...options, cert, key, requestCert: true, rejectUnauthorized: false }, (socket) =>
            accept(socket, chainOf(socket))
          ),
        catch: (cause) =>
          failure(tls.certificate, "Certificate and key do not fit together or are no PEM. Correct the files.", cause)
      })
      yield* open(server, "mqtts", tls, 8_883)
    }
    if (websocket !== undefined) {
      const http = createHttpServer((_, response) => void response.writeHead(426).end())
      const sockets = new WebSocketServer({
        server: http,
        maxPayload: maxPacket,
        perMessageDeflate: false,
        handleProtocols: (offered) => (offered.has("mqtt") ? "mqtt" : false)
      })
      sockets.on("connection", (socket) =>
        accept(createWebSocketStream(socket, { readableHighWaterMark: readAhead }), [])
      )
      yield* open(http, "ws", websocket, 8_083)
    }
    return addresses
  })

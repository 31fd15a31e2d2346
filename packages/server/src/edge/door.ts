/** ThingsBoard's HTTP addresses for devices at the edge; answered when the message is on disk. */
import { readFile } from "node:fs/promises"
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import type { IngestHost, PayloadFormat } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DeviceIngestError } from "@mahalla/core/plugin"

const address = /^\/api\/v1\/(?:([\x21-\x2e\x30-\x7e]{1,200})\/)?(telemetry|attributes)$/

/** Undefined where it is larger. */
const bodyOf = async (request: IncomingMessage, most: number): Promise<Buffer | undefined> => {
  const pieces: Array<Buffer> = []
  let size = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > most) return undefined
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

interface Answer {
  readonly status: number
  readonly detail?: string
  readonly headers?: Readonly<Record<string, string>>
}

const refusal = ({ message, reason }: DeviceIngestError): Answer =>
  reason === "Unauthorized"
    ? { status: 401, detail: message, headers: { "www-authenticate": 'Bearer realm="devices"' } }
    : { status: 503, detail: message, headers: { "retry-after": "30" } }

const answer = (host: IngestHost, request: IncomingMessage) =>
  Effect.gen(function* () {
    const path = (request.url ?? "").split("?")[0]!
    const found = address.exec(path)
    if (found === null) return { status: 404, detail: "Devices send to /api/v1/{token}/telemetry or /attributes." }
    if (request.method !== "POST")
      return { status: 405, detail: "Readings are sent by POST.", headers: { allow: "POST" } }
    const token = found[1] ?? /^bearer ([\x21-\x7e]{1,400})$/i.exec(request.headers.authorization ?? "")?.[1]
    const shown = { kind: "token", token: token === undefined ? "" : decoded(token) } as const
    const session = yield* Effect.acquireRelease(host.authenticate(shown), host.closed)
    const payload = yield* Effect.tryPromise(() => bodyOf(request, host.maxPayload)).pipe(
      Effect.orElseSucceed(() => null)
    )
    if (payload === null) return { status: 400, detail: "The body broke off." }
    if (payload === undefined) return { status: 413, detail: `A message has at most ${host.maxPayload} bytes.` }
    const format: PayloadFormat = found[2] === "attributes" ? "attributes" : "json"
    yield* host.receive([
      { from: { session }, topic: `/api/v1/${found[2]!}`, payload, format, receivedAt: yield* Clock.currentTimeMillis }
    ])
    return { status: 200 }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.succeed(refusal(error)))
  )

const decoded = (token: string): string => {
  try {
    return decodeURIComponent(token)
  } catch {
    return token
  }
}

const send = (response: ServerResponse, { detail, headers, status }: Answer) => {
  const type = status < 400 ? "application/json" : "application/problem+json"
  response
    .writeHead(status, { ...headers, "content-type": type, ...(status === 413 ? { connection: "close" } : {}) })
    .end(detail === undefined ? undefined : JSON.stringify({ type: "about:blank", status, detail }))
}

/** Milliseconds that a request under way has when the door closes; what has not come by then was promised to nobody. */
const farewell = 3_000

/** Paths of PEM files. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

/** Fails where the files cannot be read or do not fit together. */
const serverOf = async (listener: RequestListener, tls: Certificate | undefined) => {
  const options = { requestTimeout: 30_000 }
  if (tls === undefined) return createServer(options, listener)
  const [cert, key] = await Promise.all([readFile(tls.certificate), readFile(tls.key)])
  return createTlsServer({ ...options, cert, key }, listener)
}

/** Listens until the scope's end; where devices find it. */
export const openDoor = (host: IngestHost, hostname: string, port: number, tls?: Certificate) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const server = await serverOf((request, response) => {
          void Effect.runPromise(answer(host, request)).then((told) => send(response, told))
        }, tls)
        // Also those that have not said anything in TLS yet, which the server would not close.
        const sockets = new Set<Socket>()
        server.on("connection", (socket: Socket) => {
          sockets.add(socket)
          socket.once("close", () => sockets.delete(socket))
        })
        await new Promise<void>((resolve, reject) => {
          server.once("error", reject)
          server.listen(port, hostname, resolve)
        })
        const { port: taken } = server.address() as AddressInfo
        const close = () =>
          new Promise<void>((done) => {
            const late = setTimeout(() => {
              for (const socket of sockets) socket.destroy()
            }, farewell)
            server.close(() => {
              clearTimeout(late)
              done()
            })
            server.closeIdleConnections()
          })
        const scheme = tls === undefined ? "http" : "https"
        return { url: `${scheme}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${taken}`, close }
      },
      catch: (error) => new Error(`HTTP cannot listen on ${hostname}:${port} (${(error as Error).message}).`)
    }),
    ({ close }) => Effect.promise(close)
  )

/** Listens for a city on Node's http, and closes without losing what is under way. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import type { City } from "@mahalla/core"
import { refuseAmbiguous } from "./framing.ts"

export interface ServeOptions {
  /** Default 8080. 0: any free port. */
  readonly port?: number
  /** Default: all addresses. */
  readonly host?: string
  /** When the port is taken, try the next ones up to 50 further. Default false. */
  readonly nextFree?: boolean
}

export interface Serving {
  readonly port: number
  /** As this machine reaches it. */
  readonly url: string
  /** Takes no new requests, waits for those under way (at most `drain` milliseconds, default 20,000), then closes the city. */
  readonly close: (drain?: number) => Promise<void>
}

const listen = (server: Server, port: number, host: string | undefined, tries: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      server.off("listening", done)
      if (error.code === "EADDRINUSE" && tries > 0) resolve(listen(server, port + 1, host, tries - 1))
      else if (error.code === "EADDRINUSE")
        reject(new Error(`Port ${port} is taken. Choose another one with PORT=… and start again.`))
      else if (error.code === "EACCES")
        reject(new Error(`Port ${port} needs rights this user does not have. Choose one above 1023 with PORT=….`))
      else reject(error)
    }
    const done = () => {
      server.off("error", failed)
      resolve((server.address() as AddressInfo).port)
    }
    server.once("error", failed)
    server.once("listening", done)
    server.listen({ port, ...(host === undefined ? {} : { host }) })
  })

/** Starts listening; the city has been started. */
export const serve = async (city: City, options: ServeOptions = {}): Promise<Serving> => {
  // Live feeds only wait: they are not waited for.
  let busy = 0
  let idle: (() => void) | undefined
  const server = createServer((request, response) => {
    if (refuseAmbiguous(request, response)) return
    const counted = !/\/v1\/(events|readings\/live)(\?|$)/.test(request.url ?? "")
    if (counted) {
      busy++
      response.once("close", () => {
        busy--
        if (busy === 0) idle?.()
      })
    }
    city.node.request(request, response)
  })
  server.on("upgrade", (request, socket, head) => city.node.upgrade(request, socket, head))
  // An upload may take hours; a client that sends no header does not.
  server.requestTimeout = 0
  server.headersTimeout = 30_000
  server.keepAliveTimeout = 65_000
  // Longer than anything takes to answer. Whoever sends an upload and then nothing goes on with it later.
  server.timeout = 600_000
  const port = await listen(server, options.port ?? 8080, options.host, options.nextFree === true ? 50 : 0)
  let closing: Promise<void> | undefined
  const close = async (drain: number) => {
    server.close()
    server.closeIdleConnections()
    if (busy > 0) {
      await Promise.race([
        new Promise<void>((resolve) => (idle = resolve)),
        new Promise<void>((resolve) => setTimeout(resolve, drain).unref())
      ])
    }
    server.closeAllConnections()
    await city.close()
  }
  return { port, url: `http://localhost:${port}`, close: (drain = 20_000) => (closing ??= close(drain)) }
}

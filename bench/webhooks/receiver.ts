/**
 * Whoever webhooks are posted to, as light as it can be: reads a body, answers 204 and counts. `/dead/…` fails in the three ways that dead ones do, of
 * which the third is a port where nobody listens. Says on request when each event came to `/live`.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const now = () => performance.timeOrigin + performance.now()

export interface Count {
  readonly taken: number
  /** Milliseconds since 1970. */
  readonly first: number
  readonly last: number
}

let count = { taken: 0, first: 0, last: 0 }
let came: Array<readonly [event: string, at: number]> = []

const server = createServer((request, response) => {
  const { headers, url = "" } = request
  request.resume()
  request.on("end", () => {
    if (url.startsWith("/dead/500")) return void response.writeHead(500).end()
    if (url.startsWith("/dead/hang")) return
    count = { taken: count.taken + 1, first: count.taken === 0 ? now() : count.first, last: now() }
    if (url === "/live") came.push([String(headers["webhook-id"]), now()])
    response.writeHead(204).end()
  })
})
server.keepAliveTimeout = 120_000
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on("message", (asked) => {
  const { what } = asked as { readonly what: "count" | "reset" | "came" }
  if (what === "reset") {
    count = { taken: 0, first: 0, last: 0 }
    came = []
  }
  process.send?.(what === "came" ? { came } : count)
})
process.on("disconnect", () => process.exit(0))

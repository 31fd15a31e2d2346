/**
 * Stands between the plugin and the server, hears every request, and can lose an answer after the server has acted.
 */
import { createServer, request, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"

export type Fault = "lose-answer" | "cut-body"

export interface Proxy {
  readonly endpoint: string
  /** Method and path with query of each request, in their order, and ` copy` behind those that copy on the server. */
  readonly heard: Array<string>
  /** Applied to the next request that it wants. */
  readonly next: (fault: Fault, wants: (request: IncomingMessage) => boolean) => void
}

export const startProxy = (target: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const heard: Array<string> = []
        const faults: Array<readonly [Fault, (request: IncomingMessage) => boolean]> = []
        const { hostname, port } = new URL(target)
        const server = createServer((incoming, outgoing) => {
          const copies = incoming.headers["x-amz-copy-source"] === undefined ? "" : " copy"
          heard.push(`${incoming.method} ${incoming.url}${copies}`)
          const index = faults.findIndex(([, wants]) => wants(incoming))
          const fault = index < 0 ? undefined : faults.splice(index, 1)[0]?.[0]
          // The signature covers the host that was asked, so every header goes on as it came.
          const { method, url, headers } = incoming
          const forwarded = request({ hostname, port, method, path: url, headers }, (answer) => {
            if (fault === "lose-answer") {
              answer.resume()
              return void answer.on("end", () => incoming.socket.destroy())
            }
            outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
            if (fault !== "cut-body") return void answer.pipe(outgoing)
            answer.once("data", (chunk: Buffer) => outgoing.write(chunk, () => incoming.socket.destroy()))
          })
          forwarded.on("error", () => incoming.socket.destroy())
          outgoing.on("close", () => forwarded.destroy())
          incoming.pipe(forwarded)
        })
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
        const proxy: Proxy = {
          endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          heard,
          next: (fault, wants) => void faults.push([fault, wants])
        }
        return { proxy, server }
      }),
      ({ server }) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    ),
    ({ proxy }) => proxy
  )

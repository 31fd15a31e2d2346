/** The hand on a simulator's other side: JSON by HTTP on the loopback, in the simulator's own process. */
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"

export type Handler = (body: unknown, query: URLSearchParams) => unknown

export const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}

/** Routes by method and path, as in `PUT /faults`; the port it listens on. */
export const control = (routes: Readonly<Record<string, Handler>>): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://control")
      const handler = routes[`${request.method} ${url.pathname}`]
      const answer = async () => {
        if (handler === undefined) throw new Error(`no ${request.method} ${url.pathname}`)
        const text = (await readBody(request)).toString("utf8")
        return handler(text === "" ? undefined : JSON.parse(text), url.searchParams)
      }
      answer().then(
        (body) => response.end(JSON.stringify(body ?? {})),
        (error: unknown) => response.writeHead(400).end(String(error))
      )
    })
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  })

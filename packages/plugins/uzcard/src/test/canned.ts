/** A server on the loopback that gives one answer to everything, for answers that no gateway should give. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"

export interface Canned {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body: string
}

export const canned = (answer: Canned) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((asked, response) => {
        asked.resume().on("end", () => response.writeHead(answer.status ?? 200, answer.headers).end(answer.body))
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return server
    }),
    (server) => Effect.sync(() => server.close().closeAllConnections())
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

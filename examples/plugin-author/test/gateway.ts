/**
 * The gateway of the town's SMS provider, for the example's tests: keeps messages by id and answers as it is told.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { MessengerControl, type MessengerFault } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"

interface Kept {
  readonly id: string
  readonly to: string
  readonly text: string
}

const statusOf: { readonly [Fault in MessengerFault]?: number } = {
  refused: 422,
  "rate-limited": 429,
  unavailable: 503
}

/** For the scope: its address, and the suite's hand on it. Takes the token `sesame`. */
export const gateway = Effect.acquireRelease(
  Effect.promise(async () => {
    const kept: Array<Kept> = []
    const faults: Array<MessengerFault> = []
    const server = createServer((request, response) => {
      void (async () => {
        const id = request.url?.slice("/messages/".length) ?? ""
        const body = JSON.parse(await text(request)) as { readonly to: string; readonly text: string }
        const end = (status: number, answer?: unknown) => response.writeHead(status).end(JSON.stringify(answer ?? {}))
        if (request.headers.authorization !== "Bearer sesame") return end(401)
        const fault = faults.shift()
        const status = fault === undefined ? undefined : statusOf[fault]
        if (status !== undefined) return end(status)
        if (fault === "lost-before") return response.destroy()
        const known = kept.find((one) => one.id === id)
        if (known !== undefined && known.text !== body.text) return end(409)
        if (known === undefined) kept.push({ id, ...body })
        return fault === "lost-after" ? response.destroy() : end(200, { reference: `gw-${id.slice(0, 8)}` })
      })()
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const control = MessengerControl.of({
      next: (fault) => Effect.sync(() => void faults.push(fault)),
      delivered: (to) => Effect.sync(() => kept.filter((one) => one.to === to))
    })
    return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, control }
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
)

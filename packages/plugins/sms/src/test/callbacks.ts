/** The city's address for partners as a real one on the loopback, in front of `fakeCallbacks`. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fakeCallbacks } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import { readBody } from "./control.ts"

export const callbacks = Effect.gen(function* () {
  const behind: { fake?: ReturnType<typeof fakeCallbacks> } = {}
  const statuses: Array<number> = []
  const server = yield* Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const opened = createServer((request, response) => {
            const answer = async () => {
              const { pathname, searchParams } = new URL(request.url ?? "/", "http://city")
              const { body = "", status } = await Effect.runPromise(
                behind.fake!.call({
                  path: pathname.slice("/callbacks".length),
                  query: new Map(searchParams),
                  headers: request.headers as Record<string, string>,
                  body: await readBody(request)
                })
              )
              statuses.push(status)
              response.writeHead(status).end(body)
            }
            void answer()
          }).listen(0, "127.0.0.1", () => resolve(opened))
        })
    ),
    (opened) =>
      Effect.promise(() => {
        opened.closeAllConnections()
        return new Promise((resolve) => opened.close(resolve))
      })
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callbacks`
  const fake = fakeCallbacks(url)
  behind.fake = fake
  return { url, layer: fake.layer, call: fake.call, statuses }
})

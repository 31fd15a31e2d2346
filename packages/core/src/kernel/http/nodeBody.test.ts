import { once } from "node:events"
import { createServer, type IncomingMessage, request, type RequestOptions } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { readNodeBody } from "./nodeBody.ts"

const limit = 1_000
const patience = 200
const server = createServer((incoming, response) => {
  void Effect.runPromise(readNodeBody(incoming, limit, patience)).then((read) =>
    response.end(JSON.stringify(typeof read === "string" ? { unread: read } : { text: Buffer.from(read).toString() }))
  )
})
let port: number
beforeAll(async () => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const ask = (headers: RequestOptions["headers"] = {}) =>
  request({ port, host: "127.0.0.1", method: "POST", headers: { ...headers } })

const answerOf = async (asked: ReturnType<typeof ask>) => {
  const [response] = (await once(asked, "response")) as [IncomingMessage]
  let text = ""
  for await (const part of response) text += String(part)
  return JSON.parse(text) as { readonly text?: string; readonly unread?: string }
}

describe("a body", () => {
  test("is_read_whole_in_however_many_parts_it_comes", async () => {
    for (const parts of [[], ["all at once"], ["a", "b", "c".repeat(997)], ["o‘", "zbek"]]) {
      const asked = ask({ "transfer-encoding": "chunked" })
      for (const part of parts) {
        asked.write(part)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      asked.end()
      expect(await answerOf(asked)).toEqual({ text: parts.join("") })
    }
    const empty = ask({ "content-length": "0" })
    empty.end()
    expect(await answerOf(empty)).toEqual({ text: "" })
  })

  test("that_is_too_large_is_not_kept_and_its_sender_is_told_all_the_same", async () => {
    const asked = ask({ "transfer-encoding": "chunked" })
    const answer = answerOf(asked)
    asked.write("x".repeat(999))
    asked.write("xx")
    expect(await answer).toEqual({ unread: "too-large" })
    // What still comes is let through.
    asked.end("y".repeat(100_000))
  })

  test("that_stalls_gives_its_place_back_and_its_sender_is_told", async () => {
    const asked = ask({ "content-length": "100" })
    asked.on("error", () => {})
    asked.write("half")
    expect(await answerOf(asked)).toEqual({ unread: "late" })
    asked.destroy()
  })

  test("that_breaks_off_is_broken", async () => {
    const read = new Promise((resolve, reject) => {
      server.once("request", (incoming: IncomingMessage) => {
        Effect.runPromise(readNodeBody(incoming, limit, 60_000)).then(resolve, reject)
      })
    })
    const socket = connect(port, "127.0.0.1")
    socket.write("POST / HTTP/1.1\r\nhost: city\r\ncontent-length: 100\r\n\r\nhalf", () => socket.destroy())
    expect(await read).toBe("broken")
  })

  test("is_listened_to_no_more_by_whoever_was_interrupted", async () => {
    const left = new Promise<ReadonlyArray<number>>((resolve) => {
      server.once("request", (incoming: IncomingMessage) => {
        const before = ["data", "end", "close"].map((name) => incoming.listenerCount(name))
        const fiber = Effect.runFork(readNodeBody(incoming, limit, 60_000))
        void Effect.runPromise(Fiber.interrupt(fiber)).then(() =>
          resolve(["data", "end", "close"].map((name, place) => incoming.listenerCount(name) - before[place]!))
        )
      })
    })
    const asked = ask({ "content-length": "100" })
    asked.on("error", () => {})
    asked.write("half")
    expect(await left).toEqual([0, 0, 0])
    asked.destroy()
  })
})

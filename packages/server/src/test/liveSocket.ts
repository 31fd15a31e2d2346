/** A client of `/v1/live`: Node's own WebSocket, which speaks as a browser's does. */
import { request as httpRequest } from "node:http"
import type { Duplex } from "node:stream"
import { type Client, until } from "./client.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- tests look into messages of every shape
type Message = any

export interface LiveSocket {
  readonly heard: ReadonlyArray<Message>
  readonly say: (message: unknown) => void
  readonly subscribe: (subscription: Readonly<Record<string, unknown>> & { readonly id: string }) => Promise<Message>
  /** What a subscription has brought: `device key value`. */
  readonly readings: (id: string) => ReadonlyArray<string>
  readonly ended: Promise<{ readonly code: number; readonly reason: string }>
  readonly close: () => Promise<unknown>
}

const addressOf = (base: string) => `${base.replace("http:", "ws:")}/v1/live`

/** Opens a connection and says who it is: by the first message, as a browser must. `token` undefined: says nothing. */
export const openLive = async (base: string, token: string | null | undefined): Promise<LiveSocket> => {
  const ws = new WebSocket(addressOf(base))
  const heard: Array<Message> = []
  ws.addEventListener("message", ({ data }) => heard.push(JSON.parse(String(data))))
  const ended = new Promise<{ code: number; reason: string }>((resolve) =>
    ws.addEventListener("close", ({ code, reason }) => resolve({ code, reason }))
  )
  await new Promise<void>((resolve, reject) => {
    ws.addEventListener("open", () => resolve())
    ws.addEventListener("error", () => reject(new Error("The connection was not opened.")))
  })
  const say = (message: unknown) => ws.send(typeof message === "string" ? message : JSON.stringify(message))
  if (token !== undefined) {
    say({ token })
    await until("who it is", async () => heard.length > 0, 10)
  }
  return {
    heard,
    say,
    subscribe: async (subscription) => {
      say({ subscribe: subscription })
      return until(`an answer to ${subscription.id}`, async () => heard.find(({ id }) => id === subscription.id), 10)
    },
    readings: (id) =>
      heard
        .filter((message) => message.id === id && message.readings !== undefined)
        .flatMap(({ readings }) =>
          readings.map((one: { device: string; key: string; value: number }) => `${one.device} ${one.key} ${one.value}`)
        ),
    ended,
    close: () => {
      ws.close()
      return ended
    }
  }
}

export const tokenOf = (client: Client): string => client.headers["authorization"]!.slice("Bearer ".length)

/** Asks for an upgrade by hand: what the server answers, and the socket where it agrees. */
export const askForUpgrade = (base: string, headers: Readonly<Record<string, string>> = {}, path = "/v1/live") => {
  const url = new URL(`${base}${path}`)
  return new Promise<{
    readonly status: number
    readonly body: Message
    readonly socket: Duplex | undefined
  }>((resolve, reject) => {
    const asked = httpRequest(url, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...headers
      }
    })
    asked.once("error", reject)
    asked.once("upgrade", ({ statusCode = 0 }, socket) => resolve({ status: statusCode, body: undefined, socket }))
    asked.once("response", (response) => {
      let text = ""
      response.on("data", (chunk: Buffer) => (text += chunk.toString()))
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: text === "" ? undefined : JSON.parse(text),
          socket: undefined
        })
      )
    })
    asked.end()
  })
}

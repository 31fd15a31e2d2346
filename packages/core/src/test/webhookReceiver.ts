/**
 * Somebody to whom webhooks are posted, in a process of its own: answers as the path says, misbehaves by a seed where it says so, and tells its parent
 * of everything that came. Its first message has its port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Arrival {
  /** The first part of the path. */
  readonly way: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
const numbersOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}
const seeded = new Map<string, () => number>()
const randomOf = (seed: string) => {
  const known = seeded.get(seed)
  if (known !== undefined) return known()
  const made = numbersOf(Number(seed))
  seeded.set(seed, made)
  return made()
}

type Way = (response: ServerResponse, part: string, request: IncomingMessage) => void

const status = (response: ServerResponse, code: number, headers: Record<string, string> = {}, body = "") =>
  void response.writeHead(code, headers).end(body)

const ways: Readonly<Record<string, Way>> = {
  ok: (response) => status(response, 200, {}, "taken"),
  status: (response, code) => status(response, Number(code), {}, `this is ${code} for +998901234567`),
  retry: (response, seconds) => status(response, 429, { "retry-after": seconds }),
  redirect: (response, port) => status(response, 307, { location: `http://127.0.0.1:${port}/inside` }),
  /** Never answers. */
  hang: () => undefined,
  /** Says that it will, and does not. */
  stall: (response) => void response.writeHead(200, { "content-length": "10" }).write("x"),
  /** A gigabyte, as far as somebody listens. */
  flood: (response) => {
    response.writeHead(200)
    const piece = Buffer.alloc(1_048_576, "x")
    let left = 1_024
    const more = () => {
      while (left-- > 0) if (!response.write(piece)) return void response.once("drain", more)
      response.end()
    }
    more()
  },
  /** Text that no database takes. */
  odd: (response) => status(response, 500, {}, "\u0000\ud800 odd"),
  /** By the seed: mostly good, else refused, cut, or late. */
  seed: (response, seed, request) => {
    const chance = randomOf(seed)
    if (chance < 0.7) return status(response, 200)
    if (chance < 0.8) return status(response, 503)
    if (chance < 0.9) return void request.socket.destroy()
    setTimeout(() => status(response, 200), 300)
  }
}

const server = createServer((request, response) => {
  let body = ""
  request.on("data", (chunk) => (body += chunk))
  request.on("end", () => {
    const path = request.url ?? "/"
    const [, way = "", part = ""] = path.split("/")
    process.send?.({ way, path, headers: request.headers, body, at: Date.now() })
    const answer = ways[way] ?? ways["ok"]!
    answer(response, part, request)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on("disconnect", () => process.exit(0))

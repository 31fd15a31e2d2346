/**
 * Asking an address that somebody else named. The name is resolved once, every answer is judged, and the connection goes to an
 * address that was judged: a name that changes its mind in between changes nothing. Redirects are not followed.
 */
import { lookup } from "node:dns/promises"
import { Agent as HttpAgent, request as httpRequest } from "node:http"
import { Agent as HttpsAgent, request as httpsRequest } from "node:https"
import { isIP, type LookupFunction } from "node:net"
import * as Effect from "effect/Effect"
import { type HostOutward, type OutwardAnswer, OutwardError, type OutwardRequest } from "../../plugin/HostOutward.ts"
import { isPublic, makeInside } from "./address.ts"

export interface Outward extends OutwardRequest {
  /** Default `POST`. A `GET` has an empty body. */
  readonly method?: "GET" | "POST"
  /** Whether an inside address is one that the operator allows; such a one may be plain HTTP on any port. Default: none is. */
  readonly isInside?: (address: string) => boolean
  /** Default: the system's resolver. */
  readonly resolve?: (host: string) => Promise<ReadonlyArray<string>>
  /** Default: a connection of its own for this request. */
  readonly connections?: OutwardConnections
}

/** Connections that stay open for the next request, by the address that was judged: a name that moves gets a new one. */
export interface OutwardConnections {
  readonly http: HttpAgent
  readonly https: HttpsAgent
  readonly close: () => void
}

/** `idle`: seconds that one without a request stays open. `free`: how many of them to one place do. */
export const keepConnections = (options: { readonly idle: number; readonly free: number }): OutwardConnections => {
  const given = { keepAlive: true, timeout: options.idle * 1_000, maxFreeSockets: options.free }
  const [http, https] = [new HttpAgent(given), new HttpsAgent(given)]
  return {
    http,
    https,
    close: () => {
      http.destroy()
      https.destroy()
    }
  }
}

const forbidden = (message: string) => new OutwardError({ reason: "Forbidden", message })

export const bySystem = async (host: string) => (await lookup(host, { all: true })).map(({ address }) => address)

const most = 65_536

/** Checks the text of an address; the name's answers come later. */
const parsed = (text: string): URL | OutwardError => {
  if (!URL.canParse(text)) return forbidden("This is no address. Write it as https://host/path.")
  const url = new URL(text)
  if (url.protocol !== "https:" && url.protocol !== "http:") return forbidden("Only https addresses are sent to.")
  if (url.username !== "" || url.password !== "")
    return forbidden("An address may not carry a user or a password. Take them out of it.")
  return url
}

/** Where the connection goes; certificate and Host are the name's. */
const wayTo = (url: URL, address: string, connections: OutwardConnections | undefined) => {
  if (connections !== undefined)
    return { agent: url.protocol === "https:" ? connections.https : connections.http, hostname: address }
  const family = isIP(address)
  const lookup: LookupFunction = (_host, options, done) =>
    options.all === true ? done(null, [{ address, family }]) : done(null, address, family)
  return { agent: false, lookup }
}

const send = (
  url: URL,
  address: string,
  outward: Outward,
  signal: AbortSignal,
  again = false
): Promise<OutwardAnswer> =>
  new Promise((resolve, reject) => {
    const { body, connections, headers, method = "POST" } = outward
    const sent = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
      method,
      headers: {
        "user-agent": "mahalla",
        ...headers,
        host: url.host,
        ...(method === "GET" ? {} : { "content-length": Buffer.byteLength(body) })
      },
      ...wayTo(url, address, connections),
      signal
    })
    sent.once("error", (error: NodeJS.ErrnoException) => {
      // The other side closed a kept connection while we took it: nothing was read there.
      if (sent.reusedSocket && error.code === "ECONNRESET" && !again && !signal.aborted)
        send(url, address, outward, signal, true).then(resolve, reject)
      else reject(error)
    })
    sent.once("response", (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      const end = (whole: boolean) => {
        const after = Number(response.headers["retry-after"])
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(
            Object.entries(response.headers).map(([name, value]) => [
              name,
              Array.isArray(value) ? value.join(", ") : `${value}`
            ])
          ),
          body: Buffer.concat(chunks).toString("utf8").slice(0, most),
          retryAfter: Number.isFinite(after) && after >= 0 ? after : undefined
        })
        if (connections === undefined || !whole) sent.destroy()
      }
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size >= most) end(false)
      })
      response.once("end", () => end(true))
      response.once("error", reject)
    })
    sent.end(body)
  })

/** An address that may be asked, and where a connection for it goes. */
export interface Judged {
  readonly url: URL
  readonly address: string
}

/** Resolves the name once and judges every answer; asks nothing of the address itself. */
export const judgeOutward = Effect.fnUntraced(function* (request: Pick<Outward, "url" | "isInside" | "resolve">) {
  const url = parsed(request.url)
  if (url instanceof OutwardError) return yield* url
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const isInside = request.isInside ?? (() => false)
  // RFC 6761: whatever a resolver says of it, it is this machine.
  if (/(^|\.)localhost\.?$/.test(host) && !isInside("127.0.0.1")) return yield* forbidden("localhost is inside.")
  const addresses =
    isIP(host) === 0
      ? yield* Effect.tryPromise({
          try: () => (request.resolve ?? bySystem)(host),
          catch: (cause) =>
            new OutwardError({
              reason: "Unresolved",
              message: `The name ${host} is not known. Check the address.`,
              cause
            })
        })
      : [host]
  const [address] = addresses
  // One answer of many that leads inside is enough: nobody says which of them is taken.
  const bad = addresses.find((one) => !isPublic(one) && !isInside(one))
  if (address === undefined || bad !== undefined)
    return yield* forbidden(
      `${host} leads to an address that is not public. Name its network in outwardNetworks if it is meant.`
    )
  const inside = isInside(address)
  if (url.protocol !== "https:" && !inside) return yield* forbidden("Only https addresses are sent to.")
  if (!["", "443", "8443"].includes(url.port) && !inside)
    return yield* forbidden("Only the ports 443 and 8443 are sent to.")
  return { url, address } satisfies Judged
})

/** Asks and gives the answer, whatever its status; a redirect is an answer like others. */
export const requestOutward = Effect.fn("requestOutward")(function* (request: Outward) {
  const work = Effect.flatMap(judgeOutward(request), ({ address, url }) =>
    Effect.tryPromise({
      try: (signal) => send(url, address, request, signal),
      catch: (cause) =>
        new OutwardError({ reason: "Unanswered", message: `${url.hostname} did not answer: ${String(cause)}`, cause })
    })
  )
  return yield* Effect.timeoutOrElse(work, {
    duration: (request.seconds ?? 15) * 1_000,
    orElse: () =>
      Effect.fail(
        new OutwardError({
          reason: "Unanswered",
          message: `${URL.parse(request.url)?.hostname ?? "It"} has not answered in ${request.seconds ?? 15} seconds.`
        })
      )
  })
})

/** What plugins send with: to the city's `outwardNetworks`, to the plugin's own, and to the internet. */
export const makeHostOutward = (networks: ReadonlyArray<string>): HostOutward["Service"] => {
  const isInside = makeInside(networks)
  return {
    post: (request, own = []) =>
      Effect.suspend(() => {
        const isOwn = makeInside(own)
        return requestOutward({ ...request, isInside: (address) => isInside(address) || isOwn(address) })
      })
  }
}

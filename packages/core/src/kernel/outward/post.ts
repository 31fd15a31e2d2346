/**
 * Asking an address that somebody else named. The name is resolved once, every answer is judged, and the connection goes to an
 * address that was judged: a name that changes its mind in between changes nothing. Redirects are not followed.
 */
import { lookup } from "node:dns/promises"
import { request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"
import { isIP } from "node:net"
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
}

const forbidden = (message: string) => new OutwardError({ reason: "Forbidden", message })

const bySystem = async (host: string) => (await lookup(host, { all: true })).map(({ address }) => address)

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

const send = (
  url: URL,
  address: string,
  { body, headers, method = "POST" }: Outward,
  signal: AbortSignal
): Promise<OutwardAnswer> =>
  new Promise((resolve, reject) => {
    const family = isIP(address)
    const sent = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
      method,
      headers: {
        "user-agent": "mahalla",
        ...headers,
        ...(method === "GET" ? {} : { "content-length": Buffer.byteLength(body) })
      },
      // A connection of its own, to the address that was judged; certificate and Host are the name's.
      agent: false,
      lookup: (_host, options, done) =>
        options.all === true ? done(null, [{ address, family }]) : done(null, address, family),
      signal
    })
    sent.once("error", reject)
    sent.once("response", (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      const end = () => {
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
        sent.destroy()
      }
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size >= most) end()
      })
      response.once("end", end)
      response.once("error", reject)
    })
    sent.end(body)
  })

/** Asks and gives the answer, whatever its status; a redirect is an answer like others. */
export const requestOutward = Effect.fn("requestOutward")(function* (request: Outward) {
  const url = parsed(request.url)
  if (url instanceof OutwardError) return yield* url
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const isInside = request.isInside ?? (() => false)
  // RFC 6761: whatever a resolver says of it, it is this machine.
  if (/(^|\.)localhost\.?$/.test(host) && !isInside("127.0.0.1")) return yield* forbidden("localhost is inside.")
  const work = Effect.gen(function* () {
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
    return yield* Effect.tryPromise({
      try: (signal) => send(url, address, request, signal),
      catch: (cause) =>
        new OutwardError({ reason: "Unanswered", message: `${host} did not answer: ${String(cause)}`, cause })
    })
  })
  return yield* Effect.timeoutOrElse(work, {
    duration: (request.seconds ?? 15) * 1_000,
    orElse: () =>
      Effect.fail(
        new OutwardError({
          reason: "Unanswered",
          message: `${host} has not answered in ${request.seconds ?? 15} seconds.`
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

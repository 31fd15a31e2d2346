/** What is known of a request on Node's own objects before any router has seen it. */
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { TLSSocket } from "node:tls"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import type { CityConfig } from "../config.ts"
import { makeProxyTrust, makeTrusted } from "../ip.ts"

export const splitTenant = (url: string) => {
  const inPath = /^\/t\/([a-z0-9-]{1,63})(?=\/|\?|$)/.exec(url)
  const rest = inPath === null ? url : url.slice(inPath[0].length) || "/"
  return { slug: inPath?.[1] ?? null, rest, path: rest.split("?")[0] ?? "/" }
}

const goodId = /^[A-Za-z0-9._-]{8,64}$/

/** `url` is without the city's sub-path. */
export const makeFactsOf = (config: CityConfig): ((request: IncomingMessage, url: string) => MountFacts) => {
  const trust = makeProxyTrust(config.trustedProxies ?? [])
  const isTrusted = makeTrusted(config.trustedProxies ?? [])
  return ({ headers, socket }, url) => {
    const { rest, slug } = splitTenant(url)
    const given = headers["x-request-id"]
    const peer = socket.remoteAddress ?? ""
    const forwarded = headers["x-forwarded-for"]
    return {
      id: typeof given === "string" && goodId.test(given) ? given : randomUUID(),
      ip: trust(peer, Array.isArray(forwarded) ? forwarded.join(",") : forwarded),
      host: (headers.host ?? "").split(":")[0]!.toLowerCase(),
      slug,
      url: rest,
      secure: (socket as TLSSocket).encrypted === true || (headers["x-forwarded-proto"] === "https" && isTrusted(peer))
    }
  }
}

/** What modules answer by themselves on Node's own objects, before the router sees a request. */
import { randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { TLSSocket } from "node:tls"
import * as Effect from "effect/Effect"
import { type ProblemAnswer, problem } from "../../kernel/http/problems.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { type CityConfig, cityError } from "../config.ts"
import { makeProxyTrust, makeTrusted } from "../ip.ts"
import type { CityRuntime } from "../runtime.ts"
import { bodyMillis, late } from "./body.ts"

export interface Mounts {
  /** Whether a path without the city's sub-path is one of theirs. */
  readonly takes: (url: string) => boolean
  /** True when it has taken the request. */
  readonly handle: (request: IncomingMessage, response: ServerResponse, url: string) => boolean
}

const splitTenant = (url: string) => {
  const inPath = /^\/t\/([a-z0-9-]{1,63})(?=\/|\?|$)/.exec(url)
  const rest = inPath === null ? url : url.slice(inPath[0].length) || "/"
  return { slug: inPath?.[1] ?? null, rest, path: rest.split("?")[0] ?? "/" }
}

const goodId = /^[A-Za-z0-9._-]{8,64}$/

const refuse = (response: ServerResponse, requestId: string, { body, headers, status }: ProblemAnswer) => {
  response
    .writeHead(status, { "content-type": "application/problem+json", "retry-after": "1", ...headers })
    .end(JSON.stringify({ ...body, requestId }))
}

/** Opens the mounts of all modules. */
export const openMounts = Effect.fnUntraced(function* (config: CityConfig, runtime: CityRuntime) {
  const found = yield* Effect.forEach(
    runtime.modules.flatMap(({ mount }) => (mount === undefined ? [] : [mount])),
    (mount) =>
      (mount.open as Effect.Effect<Erased, Erased>).pipe(
        Effect.map((handle) => ({ takes: mount.takes, handle })),
        Effect.mapError((error) => cityError("Config", (error as Error).message, error))
      )
  )
  const trust = makeProxyTrust(config.trustedProxies ?? [])
  const isTrusted = makeTrusted(config.trustedProxies ?? [])
  const maximum = config.maxInFlight ?? 512
  let inFlight = 0
  const of = (path: string) => found.find((mount) => mount.takes(path))
  const handle: Mounts["handle"] = (request, response, url) => {
    const { path, rest, slug } = splitTenant(url)
    const mount = of(path)
    if (mount === undefined) return false
    const given = request.headers["x-request-id"]
    const id = typeof given === "string" && goodId.test(given) ? given : randomUUID()
    response.setHeader("x-request-id", id)
    response.setHeader("x-content-type-options", "nosniff")
    if (inFlight >= maximum) {
      refuse(response, id, problem(503, "busy", "The server has as much to do as it can carry. Try again in a moment."))
      return true
    }
    const peer = request.socket.remoteAddress ?? ""
    const forwarded = request.headers["x-forwarded-for"]
    const proto = request.headers["x-forwarded-proto"]
    const facts: MountFacts = {
      id,
      ip: trust(peer, Array.isArray(forwarded) ? forwarded.join(",") : forwarded),
      host: (request.headers.host ?? "").split(":")[0]!.toLowerCase(),
      slug,
      url: rest,
      secure: (request.socket as TLSSocket).encrypted === true || (proto === "https" && isTrusted(peer))
    }
    inFlight++
    // A library reads the body for as long as somebody sends it.
    const patience = setTimeout(() => {
      if (request.complete) return
      if (!response.headersSent) refuse(response, id, late)
      response.once("finish", () => request.destroy())
    }, bodyMillis)
    response.once("close", () => clearTimeout(patience))
    void (mount.handle as (...all: ReadonlyArray<Erased>) => Promise<void>)(request, response, facts)
      .catch((cause: unknown) => {
        Effect.runFork(Effect.provideContext(Effect.logError(`Request ${id} failed`, cause), runtime.context))
        if (response.headersSent) response.end()
        else refuse(response, id, problem(500, "internal", `Tell the operator this number: ${id}.`))
      })
      .finally(() => inFlight--)
    return true
  }
  return { takes: (url) => of(splitTenant(url).path) !== undefined, handle } satisfies Mounts
})

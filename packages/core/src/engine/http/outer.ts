/**
 * The outermost handler: number and address of each request, capacity, the tenant in the path, body checks, problems instead of empty
 * answers, CORS by tenant, one log line.
 */
import { randomUUID } from "node:crypto"
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { answerProblems, type Facts, problemResponse, RequestFacts } from "../../kernel/http/Door.ts"
import { problem } from "../../kernel/http/problems.ts"
import { rateLimitHeaders, type SeenLimit, SeenLimits } from "../../kernel/limits/headers.ts"
import { tenantOfRequest } from "../../kernel/tenancy/resolve.ts"
import { checkedBody } from "./body.ts"
import { mask } from "../../kernel/mask.ts"
import { crossSiteProblem } from "./crossSite.ts"
import { securityHeaders } from "./securityHeaders.ts"
import type { Erased } from "../../kernel/Erased.ts"

/** The address of the peer when the request does not carry it itself, as with `city.fetch`. */
export class PeerAddress extends Context.Reference<string>("@mahalla/engine/PeerAddress", { defaultValue: () => "" }) {}

export interface RouteEntry {
  readonly method: string
  /** As the router has it: `/v1/cases/:type`. */
  readonly path: string
}

/** Methods that an address takes, for 405 and `Allow`. */
const methodsOf = (routes: ReadonlyArray<RouteEntry>) => {
  const compiled = routes.map(({ method, path }) => ({ method, parts: path.split("/") }))
  return (path: string): ReadonlyArray<string> => {
    const parts = path.split("/")
    const fits = compiled.filter(
      (route) =>
        (route.parts.length === parts.length || (route.parts.at(-1) === "*" && parts.length >= route.parts.length)) &&
        route.parts.every((part, place) => part === "*" || part.startsWith(":") || part === parts[place])
    )
    return [...new Set(fits.map((route) => route.method))]
  }
}

export interface OuterOptions {
  readonly routes: ReadonlyArray<RouteEntry>
  readonly clientAddress: (peer: string, forwardedFor: string | undefined) => string
  /** Whether an address is a proxy's whose `X-Forwarded-Proto` is believed. */
  readonly isTrusted: (address: string) => boolean
  /** Whether the city's public address is one of HTTPS. */
  readonly https: boolean
  readonly maxBodySize: number
  readonly maxInFlight: number
  /** Where the city stands in its host, as `/city`; empty at the root. */
  readonly basePath: string
}

const requests = Metric.counter("mahalla_http_requests_total", {
  description: "Requests answered, by method and status",
  incremental: true
})
/** By method and status: attributes make a new metric each time they are given. */
const counters = new Map<string, typeof requests>()
const counterOf = (method: string, status: number) => {
  const key = `${method} ${status}`
  const known = counters.get(key)
  if (known !== undefined) return known
  const made = Metric.withAttributes(requests, { method, status: String(status) })
  counters.set(key, made)
  return made
}
const durations = Metric.histogram("mahalla_http_request_seconds", {
  description: "Seconds from a request's arrival to its answer",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

const goodId = /^[A-Za-z0-9._-]{8,64}$/

/** Longest address in characters. */
const maxAddress = 8_192

/** Addresses that no route could read, or whose text no database could be asked for. */
const addressProblem = (url: string) => {
  if (url.length > maxAddress)
    return problem(414, "address-too-long", `An address may have ${maxAddress} characters; send less in the query.`)
  if (!url.includes("%")) return undefined
  if (/%00/.test(url)) return problem(400, "invalid-address", "The address contains the character U+0000.")
  try {
    decodeURIComponent(url.replaceAll("+", " "))
    return undefined
  } catch {
    return problem(400, "invalid-address", "The address is not percent-encoded UTF-8.")
  }
}

/** Wraps the router. */
export const outer = (options: OuterOptions) => {
  const methods = methodsOf(options.routes)
  const bodyLimit = ByteSize.fromInputUnsafe(options.maxBodySize)
  let inFlight = 0
  let uploading = 0

  /** An answer without a body says nothing to anybody: give it one. */
  const explain = (response: HttpServerResponse.HttpServerResponse, path: string, method: string, id: string) => {
    if (response.status < 400 || /problem\+json/.test(response.headers["content-type"] ?? "")) return response
    if (response.body._tag !== "Empty" && response.status !== 415) return response
    if (response.status === 404) {
      const allowed = methods(path)
      if (allowed.length > 0 && !allowed.includes(method)) {
        return problemResponse(
          problem(
            405,
            "method-not-allowed",
            `${mask(path)} takes ${allowed.join(", ")}.`,
            {},
            { allow: allowed.join(", ") }
          ),
          id
        )
      }
      return problemResponse(
        problem(
          404,
          "no-such-address",
          `There is nothing at ${mask(path)}. The addresses are listed at /openapi.json.`
        ),
        id
      )
    }
    const details: Readonly<Record<number, string>> = {
      413: "The body is larger than this address takes.",
      415: "This address takes application/json.",
      406: "This address cannot answer in the media type that was asked for."
    }
    return problemResponse(problem(response.status, "http", details[response.status]), id)
  }

  return <E, R>(handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const began = yield* Clock.currentTimeMillis
      const given = request.headers["x-request-id"]
      const id = given !== undefined && goodId.test(given) ? given : randomUUID()
      const peer = request.remoteAddress._tag === "Some" ? request.remoteAddress.value : yield* PeerAddress
      const ip = options.clientAddress(peer, request.headers["x-forwarded-for"])
      const inPath = /^\/t\/([a-z0-9-]{1,63})(?=\/|\?|$)/.exec(request.url)
      const url = inPath === null ? request.url : request.url.slice(inPath[0].length) || "/"
      const path = url.split("?")[0] ?? "/"
      const facts = {
        id,
        ip,
        host: (request.headers["host"] ?? "").split(":")[0]!.toLowerCase(),
        slug: inPath?.[1] ?? null
      }

      const answer = Effect.gen(function* () {
        const origin = request.headers["origin"]
        const allowed = yield* originsOf(facts, request.headers)
        const cors = corsHeaders(origin, allowed)
        if (request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined) {
          return HttpServerResponse.empty({ status: 204, headers: cors })
        }
        const refused = addressProblem(url) ?? crossSiteProblem(request.method, request.headers, allowed)
        if (refused !== undefined) return HttpServerResponse.setHeaders(problemResponse(refused, id), cors)
        const moved = url === request.url ? request : request.modify({ url })
        const untouched = path.startsWith("/v1/uploads") || path.startsWith("/v1/callbacks/")
        const checked = untouched ? moved : yield* checkedBody(moved, options.maxBodySize)
        if ("status" in checked) return problemResponse(checked, id)
        const response = yield* handle.pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, checked),
          Effect.provideService(RequestFacts, facts),
          Effect.provideService(HttpIncomingMessage.MaxBodySize, bodyLimit),
          Effect.catchIf(
            (error): error is Erased =>
              (error as { _tag?: string; reason?: { _tag?: string } }).reason?._tag === "RouteNotFound",
            () => Effect.succeed(HttpServerResponse.empty({ status: 404 }))
          )
        )
        // Routes know neither the sub-path nor the tenant in it, and the client comes back to exactly this address.
        const location = response.headers["location"]
        const whole =
          location === undefined || !/^\/(v1|t)\//.test(location)
            ? {}
            : { location: `${options.basePath}${location.startsWith("/v1/") ? (inPath?.[0] ?? "") : ""}${location}` }
        return HttpServerResponse.setHeaders(explain(response, path, request.method, id), { ...cors, ...whole })
      })
      const full = problem(
        503,
        "busy",
        "The server has as much to do as it can carry. Try again in a moment.",
        {},
        { "retry-after": "1" }
      )
      const guarded = Effect.suspend(() => {
        // Health checks must see a busy server, not be refused by it; live feeds do not count for they only wait.
        const counted = !path.startsWith("/health") && path !== "/metrics" && path !== "/v1/events"
        if (!counted) return answer
        // Uploads last as long as their senders like: they have places of their own and take none from the rest.
        if (path.startsWith("/v1/uploads")) {
          if (uploading >= options.maxInFlight) return Effect.succeed(problemResponse(full, id))
          uploading++
          return Effect.ensuring(
            answer,
            Effect.sync(() => uploading--)
          )
        }
        if (inFlight >= options.maxInFlight) return Effect.succeed(problemResponse(full, id))
        inFlight++
        return Effect.ensuring(
          answer,
          Effect.sync(() => inFlight--)
        )
      })
      const limits: Array<SeenLimit> = []
      const response = yield* answerProblems(id)(guarded).pipe(
        Effect.provideService(SeenLimits, (seen) => void limits.push(seen))
      )
      const milliseconds = (yield* Clock.currentTimeMillis) - began
      yield* Metric.update(counterOf(request.method, response.status), 1)
      yield* Metric.update(durations, milliseconds / 1000)
      if (!path.startsWith("/health") && (yield* LogLevel.isEnabled("Debug"))) {
        yield* Effect.logDebug("request").pipe(
          Effect.annotateLogs({
            id,
            method: request.method,
            path: mask(path),
            status: response.status,
            milliseconds,
            ip
          })
        )
      }
      return HttpServerResponse.setHeaders(response, {
        "x-request-id": id,
        ...securityHeaders(
          response.headers,
          options.https || (request.headers["x-forwarded-proto"] === "https" && options.isTrusted(peer))
        ),
        ...rateLimitHeaders(limits),
        ...(response.headers["cache-control"] === undefined ? { "cache-control": "no-store" } : {})
      })
    })
}

/** Origins are the tenant's to allow; an unknown tenant allows none. Nobody else asks for it: that saves looking for the tenant. */
const originsOf = (facts: Facts, headers: Readonly<Record<string, string | undefined>>) =>
  headers["origin"] === undefined
    ? Effect.succeed([])
    : tenantOfRequest(facts).pipe(
        Effect.map((tenant) => tenant.settings.corsOrigins),
        Effect.catch(() => Effect.succeed<ReadonlyArray<string>>([]))
      )

/** Never with credentials: a browser sends no cookie of ours to the API of another origin. */
const corsHeaders = (origin: string | undefined, allowed: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  origin === undefined || !(allowed.includes(origin) || allowed.includes("*"))
    ? { vary: "origin" }
    : {
        "access-control-allow-origin": origin,
        vary: "origin",
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS",
        "access-control-allow-headers":
          "authorization, confirmation-code, content-type, dpop, idempotency-key, if-match, last-event-id, tus-resumable, upload-length, upload-offset, upload-metadata, x-request-id",
        "access-control-expose-headers":
          "etag, location, retry-after, ratelimit, ratelimit-policy, tus-resumable, upload-offset, upload-length, upload-expires, x-request-id",
        "access-control-max-age": "600"
      }

/** What modules answer by themselves on Node's own objects, before the router sees a request. */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import { type ProblemAnswer, problem } from "../../kernel/http/problems.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { type CityConfig, cityError } from "../config.ts"
import type { CityRuntime } from "../runtime.ts"
import { makeFactsOf, splitTenant } from "./arrival.ts"
import { bodyMillis, late } from "./body.ts"

export interface Mounts {
  /** Whether a path without the city's sub-path is one of theirs. */
  readonly takes: (url: string) => boolean
  /** True when it has taken the request. */
  readonly handle: (request: IncomingMessage, response: ServerResponse, url: string) => boolean
}

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
  const factsOf = makeFactsOf(config)
  const maximum = config.maxInFlight ?? 512
  let inFlight = 0
  const of = (path: string) => found.find((mount) => mount.takes(path))
  const handle: Mounts["handle"] = (request, response, url) => {
    const mount = of(splitTenant(url).path)
    if (mount === undefined) return false
    const facts = factsOf(request, url)
    const { id } = facts
    response.setHeader("x-request-id", id)
    response.setHeader("x-content-type-options", "nosniff")
    if (inFlight >= maximum) {
      refuse(response, id, problem(503, "busy", "The server has as much to do as it can carry. Try again in a moment."))
      return true
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

/**
 * A city as a plain object that an application without Effect can hold: start it, call it as somebody, give it requests, close it.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpEffect from "effect/http/HttpEffect"
import * as Scope from "effect/Scope"
import { type CityAs, makeCityAs, type As } from "./as.ts"
import { problem } from "../kernel/http/problems.ts"
import { type CityConfig, cityError } from "./config.ts"
import { makeHttpApp } from "./http/app.ts"
import { type Mounts, openMounts } from "./http/mounts.ts"
import { PeerAddress } from "./http/outer.ts"
import { openUpgrades, refuseUpgrade, type Upgrades } from "./http/upgrades.ts"
import { type CityRuntime, openCity } from "./runtime.ts"
import { type CityAdmin, makeAdmin } from "./admin.ts"

export interface City {
  /** Opens the database, migrates it, opens plugins and modules, begins to work. Rejects with `CityError`. */
  readonly start: () => Promise<void>
  /** Takes no new work, lets running work end (at most 20 seconds), closes everything. */
  readonly close: () => Promise<void>
  /** Typed calls in the name of somebody. */
  readonly as: (who: As) => CityAs
  /** What the operator of the process may do: tenants, first administrators. No policy stands between. */
  readonly admin: CityAdmin
  /** Answers a web-standard request. `ip` is the client's address. Carries everything but WebSockets, the OAuth provider and what devices send. */
  readonly fetch: (request: Request, info?: { readonly ip?: string }) => Promise<Response>
  /** For Node's http module: cheaper than `fetch`, and the only way for what `fetch` cannot carry. */
  readonly node: {
    readonly request: (request: IncomingMessage, response: ServerResponse) => void
    readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  }
}

interface Running {
  readonly runtime: CityRuntime
  readonly mounts: Mounts
  readonly upgrades: Upgrades
  readonly fetch: (request: Request, context?: Context.Context<never>) => Promise<Response>
  readonly request: (request: IncomingMessage, response: ServerResponse) => void
}

/** Takes the city's sub-path off an address; undefined when the address is not below it. */
const below = (basePath: string, url: string): string | undefined => {
  if (basePath === "") return url
  if (url === basePath || url.startsWith(`${basePath}?`)) return `/${url.slice(basePath.length)}`
  return url.startsWith(`${basePath}/`) ? url.slice(basePath.length) : undefined
}

const outside = { type: "urn:mahalla:problem:no-such-address", title: "Not found", status: 404, requestId: "none" }

/** Makes a city; nothing is opened before `start`. */
export const createCity = (config: CityConfig): City => {
  const basePath = (config.basePath ?? "").replace(/\/$/, "")
  const scope = Scope.makeUnsafe()
  let running: Running | undefined
  let starting: Promise<void> | undefined
  let closed: Promise<void> | undefined

  const live = (): Running => {
    if (running === undefined || closed !== undefined)
      throw cityError("NotStarted", "The city is not running. Call start() first.")
    return running
  }

  const open = Effect.gen(function* () {
    const runtime = yield* openCity(config)
    const { app, services } = yield* Effect.provideContext(makeHttpApp(config, runtime), runtime.context)
    const mounts = yield* Effect.provideContext(openMounts(config, runtime), runtime.context)
    const upgrades = yield* Effect.provideContext(openUpgrades(config, runtime), runtime.context)
    const request = yield* Effect.provideContext(NodeHttpServer.makeHandler(app, { scope }), services)
    running = {
      runtime,
      mounts,
      upgrades,
      fetch: HttpEffect.toWebHandlerWith<never>(services)(app as never) as Running["fetch"],
      request
    }
  })

  return {
    start: () =>
      (starting ??= Effect.runPromiseExit(Scope.provide(open, scope)).then(async (exit) => {
        if (Exit.isSuccess(exit)) return
        await Effect.runPromise(Scope.close(scope, exit))
        // Promise callers get the very error, not a cause around it.
        await Effect.runPromise(Effect.failCause(exit.cause))
      })),
    close: () => (closed ??= Effect.runPromise(Scope.close(scope, Exit.void))),
    as: (who) => makeCityAs(() => live().runtime, who),
    admin: makeAdmin(() => live().runtime),
    fetch: (request, info) => {
      const { fetch, mounts } = live()
      const url = new URL(request.url)
      const path = below(basePath, url.pathname + url.search)
      if (path === undefined)
        return Promise.resolve(
          Response.json(outside, { status: 404, headers: { "content-type": "application/problem+json" } })
        )
      if (mounts.takes(path))
        return Promise.resolve(
          Response.json(
            { ...outside, status: 501, title: "Not available here", detail: "This address needs city.node.request." },
            { status: 501, headers: { "content-type": "application/problem+json" } }
          )
        )
      const moved = basePath === "" ? request : new Request(new URL(path, url), request)
      return fetch(moved, Context.make(PeerAddress, info?.ip ?? "") as Context.Context<never>)
    },
    node: {
      request: (request, response) => {
        const path = below(basePath, request.url ?? "/")
        if (path === undefined) {
          response.writeHead(404, { "content-type": "application/problem+json" }).end(JSON.stringify(outside))
          return
        }
        const { mounts, request: answer } = live()
        if (mounts.handle(request, response, path)) return
        request.url = path
        answer(request, response)
      },
      upgrade: (request, socket, head) => {
        const path = below(basePath, request.url ?? "/")
        // A host that is closing may still get some: they are told so.
        if (running === undefined || closed !== undefined)
          refuseUpgrade(socket, "none", problem(503, "busy", "The city is closing or not open yet. Try again shortly."))
        else if (path === undefined || !running.upgrades.handle(request, socket, head, path))
          refuseUpgrade(socket, "none", problem(404, "no-such-address", "There is nothing here to upgrade to."))
      }
    }
  }
}

/** Connections that become another protocol's: each goes to the module that takes its address, unless a page of another site opened it. */
import { type IncomingHttpHeaders, type IncomingMessage, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import { type ProblemAnswer, problem } from "../../kernel/http/problems.ts"
import { tenantOfRequest } from "../../kernel/tenancy/resolve.ts"
import type { Erased } from "../../kernel/Erased.ts"
import { type CityConfig, cityError } from "../config.ts"
import type { CityRuntime } from "../runtime.ts"
import { makeFactsOf, splitTenant } from "./arrival.ts"

export interface Upgrades {
  /** True when it has taken the socket; `url` is without the city's sub-path. */
  readonly handle: (request: IncomingMessage, socket: Duplex, head: Buffer, url: string) => boolean
}

/** Answers instead of upgrading, and closes. */
export const refuseUpgrade = (socket: Duplex, requestId: string, { body, headers, status }: ProblemAnswer): void => {
  const text = JSON.stringify({ ...body, requestId })
  const lines = Object.entries({
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(text)),
    "x-request-id": requestId,
    connection: "close",
    ...headers
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on("error", () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${text}`)
}

const crossSite = problem(
  403,
  "cross-site",
  "This connection was opened by a page of another site. Name its origin in the tenant's corsOrigins."
)

/**
 * A browser lets any page open a WebSocket anywhere, with the cookies of where it goes, and says in `Origin` whose page it is (RFC 6455, section
 * 10.2). Programs say nothing and have no cookies of somebody's.
 */
const isOurs = (
  { cookie, host, origin }: IncomingHttpHeaders,
  allowed: ReadonlyArray<string>,
  publicUrl: string | undefined
): boolean => {
  if (origin === undefined || allowed.includes(origin)) return true
  if (!URL.canParse(origin)) return false
  if (new URL(origin).host === host || (publicUrl !== undefined && new URL(publicUrl).origin === origin)) return true
  // Everybody may read with `*`, but a cookie is no wish of everybody's.
  return allowed.includes("*") && cookie === undefined
}

/** Opens the upgrades of all modules. */
export const openUpgrades = Effect.fnUntraced(function* (config: CityConfig, runtime: CityRuntime) {
  const found = yield* Effect.forEach(
    runtime.modules.flatMap(({ upgrade }) => (upgrade === undefined ? [] : [upgrade])),
    (upgrade) =>
      (upgrade.open as Effect.Effect<Erased, Erased>).pipe(
        Effect.map((take) => ({ takes: upgrade.takes, take })),
        Effect.mapError((error) => cityError("Config", (error as Error).message, error))
      )
  )
  const factsOf = makeFactsOf(config)
  const run = <A>(self: Effect.Effect<A, unknown, Erased>): Promise<A> =>
    Effect.runPromise(Effect.provideContext(self, runtime.context) as Effect.Effect<A, unknown>)
  const handle: Upgrades["handle"] = (request, socket, head, url) => {
    const upgrade = found.find(({ takes }) => takes(splitTenant(url).path))
    if (upgrade === undefined) return false
    const facts = factsOf(request, url)
    const leave = () => socket.destroy()
    socket.on("error", leave)
    const answer = async (): Promise<ProblemAnswer | undefined> => {
      const allowed = await run(
        Effect.orElseSucceed(
          Effect.map(tenantOfRequest(facts), ({ settings }) => settings.corsOrigins),
          () => []
        )
      )
      if (!isOurs(request.headers, allowed, config.publicUrl)) return crossSite
      return (upgrade.take as (...all: ReadonlyArray<Erased>) => Promise<ProblemAnswer | undefined>)(
        request,
        socket,
        head,
        facts
      )
    }
    void answer().then(
      (refusal) => (refusal === undefined ? socket.off("error", leave) : refuseUpgrade(socket, facts.id, refusal)),
      async (cause: unknown) => {
        refuseUpgrade(socket, facts.id, problem(500, "internal", `Tell the operator this number: ${facts.id}.`))
        await run(Effect.logError(`Upgrade ${facts.id} failed`, cause))
      }
    )
    return true
  }
  return { handle } satisfies Upgrades
})

/** The way from a request to the provider of its tenant, or to our own pages. */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Deployment } from "../../kernel/Deployment.ts"
import { takeByAddress } from "../../kernel/limits/address.ts"
import { type ProblemAnswer, problem, problemOf } from "../../kernel/http/problems.ts"
import type { MountFacts } from "../../kernel/module/defineModule.ts"
import { loadPrincipal } from "../../kernel/policy/load.ts"
import { tenantOfRequest } from "../../kernel/tenancy/resolve.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { readForm } from "./form.ts"
import { answerInteraction, type OAuthServices } from "./interaction.ts"
import { type Addresses, addressesFor } from "./issuer.ts"
import { limits } from "./model.ts"
import { turnOf } from "./signing.ts"
import type { Provider } from "./provider.ts"

/** The provider cannot work as this deployment is configured. */
export class OAuthSetupError extends Schema.TaggedError<OAuthSetupError>()("OAuthSetupError", {
  message: Schema.String
}) {}

/** Outside `dev` the world's address must be known and be https: everything that clients are told follows from it. */
const checkSetup = Effect.gen(function* () {
  const { mode, publicUrl } = yield* Deployment
  if (mode === "dev") return
  if (publicUrl === undefined || !URL.canParse(publicUrl))
    return yield* new OAuthSetupError({
      message: "oauth() needs the address under which the world sees the city. Set publicUrl, as https://city.example."
    })
  if (new URL(publicUrl).protocol !== "https:")
    return yield* new OAuthSetupError({
      message: `oauth() does not work over ${publicUrl} outside dev: codes and tokens would go in the clear. Set publicUrl to an https address.`
    })
})

const wellKnown = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)(?=\/|$)/

/** `/oauth` and everything below, and the RFC 8414 form of the metadata's address. */
export const takes = (path: string): boolean =>
  path === "/oauth" || path.startsWith("/oauth/") || (wellKnown.test(path) && path.endsWith("/oauth"))

/** RFC 8414: the issuer's path stands behind the well-known part, and the tenant in it. */
const insideOut = (url: string): { readonly url: string; readonly slug: string | null } => {
  const name = wellKnown.exec(url)?.[1]
  if (name === undefined) return { url, slug: null }
  const slug = /\/t\/([a-z0-9-]{1,63})\/oauth(\?|$)/.exec(url)?.[1] ?? null
  return { url: `/oauth/.well-known/${name}`, slug }
}

const refuse = (response: ServerResponse, requestId: string, { body, headers, status }: ProblemAnswer) => {
  response
    .writeHead(status, { "content-type": "application/problem+json", "cache-control": "no-store", ...headers })
    .end(JSON.stringify({ ...body, requestId }))
}

interface Cached {
  readonly turn: number
  readonly provider: Promise<Provider>
}

export const openMount = Effect.gen(function* () {
  yield* checkSetup
  const context = yield* Effect.context<OAuthServices>()
  const deployment = yield* Deployment
  const providers = new Map<string, Cached>()
  const run = <A, E>(effect: Effect.Effect<A, E, OAuthServices>): Promise<A> =>
    Effect.runPromise(Effect.provideContext(effect, context))

  /** Made at a tenant's first request, and anew when its name, address or key changes. */
  const providerOf = (tenant: Tenant, addresses: Addresses, now: number): Promise<Provider> => {
    const key = `${tenant.tenantId} ${addresses.issuer} ${JSON.stringify([tenant.name, tenant.settings.languages])}`
    const turn = turnOf(now)
    const known = providers.get(key)
    if (known?.turn === turn) return known.provider
    // Here and not above: the library is loaded for the first app, and neither at the start nor in a city without this module.
    const provider = import("./provider.ts").then(({ makeProvider }) =>
      run(makeProvider({ tenant, addresses, turn, context }))
    )
    for (const old of [...providers.keys()]) if (old.startsWith(tenant.tenantId) && old !== key) providers.delete(old)
    providers.set(key, { turn, provider })
    // The next request tries again.
    provider.catch(() => providers.delete(key))
    return provider
  }

  return async (request: IncomingMessage, response: ServerResponse, facts: MountFacts): Promise<void> => {
    const moved = insideOut(facts.url)
    const found = await run(
      Effect.gen(function* () {
        const tenant = yield* tenantOfRequest({ host: facts.host, slug: facts.slug ?? moved.slug })
        yield* takeByAddress(tenant.tenantId, facts.ip, {
          what: "oauth",
          amount: limits.requests,
          window: 60,
          message: "Too many requests from here. Wait a moment."
        })
        // A closed city signs nobody in, for apps neither.
        yield* loadPrincipal(tenant.tenantId, null)
        return { tenant, now: yield* Clock.currentTimeMillis }
      }).pipe(
        Effect.catchTag(["NotFound", "Unauthorized"], () => Effect.succeed(undefined)),
        Effect.catchTag(["TooManyRequests", "Suspended"], (error) => Effect.succeed(error))
      )
    )
    const answer = (given: ProblemAnswer) => refuse(response, facts.id, given)
    if (found === undefined) return answer(problem(404, "not-found", "There is no such city here."))
    if ("_tag" in found) return answer(problemOf(found)!)
    const { now, tenant } = found
    const addresses = addressesFor(deployment, tenant, request.headers.host ?? "")
    if (addresses === undefined)
      return answer(problem(400, "no-address", "Set publicUrl in the configuration, or use http://localhost in dev."))
    const issuer = new URL(addresses.issuer)
    if (issuer.protocol === "https:" && !facts.secure)
      return answer(
        problem(
          400,
          "not-secure",
          "This address is for https. If a proxy ends TLS before the city, name it in trustedProxies and let it send X-Forwarded-Proto."
        )
      )
    const provider = await providerOf(tenant, addresses, now)
    // No header of a client decides which addresses it is told: only the issuer does.
    request.headers["x-forwarded-proto"] = issuer.protocol.slice(0, -1)
    request.headers["x-forwarded-host"] = issuer.host
    request.headers["host"] = issuer.host
    request.headers["x-forwarded-for"] = facts.ip
    const rest = moved.url.slice("/oauth".length) || "/"
    request.url = rest
    Object.assign(request, { originalUrl: `${addresses.mountPath}${rest}` })
    // OpenID Connect lets apps send the request as a form; as a link it carries the browser's cookies past SameSite too.
    if (rest === "/auth" && request.method === "POST") {
      const form = await readForm(request)
      if (form === undefined)
        return answer(problem(400, "invalid-input", "Send application/x-www-form-urlencoded of 8 KiB at most."))
      response.writeHead(303, {
        location: `${addresses.mountPath}/auth?${form.toString()}`,
        "cache-control": "no-store"
      })
      response.end()
      return
    }
    const handle = /^\/interaction\//.test(rest)
      ? answerInteraction({ provider, tenant, addresses, facts, run })
      : provider.callback()
    await handle(request, response)
  }
})

/** Who asks: our own access token, the host application's login, or a visitor. */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { Database, TenantTx, withTenant } from "../kernel/db/Database.ts"
import { isApiKey } from "../kernel/http/apiKeys.ts"
import { Authentication, Unauthorized } from "../kernel/http/Authentication.ts"
import { AppTokens } from "../kernel/http/AppTokens.ts"
import { RequestFacts } from "../kernel/http/Door.ts"
import {
  hasRole,
  isOpenWithout,
  missingStep,
  SecondFactorRequired,
  StaffNeedsSecondFactor
} from "../kernel/http/secondFactor.ts"
import { AccessTokens } from "../kernel/http/tokens.ts"
import { newId } from "../kernel/ids.ts"
import { sealName } from "../kernel/personal/people.ts"
import { loadPrincipal } from "../kernel/policy/load.ts"
import type { Principal, RoleGrant } from "../kernel/policy/Principal.ts"
import { RoleBook } from "../kernel/policy/roles.ts"
import { tenantOfRequest } from "../kernel/tenancy/resolve.ts"
import type { Tenant } from "../kernel/tenancy/Tenant.ts"
import type { CityConfig, HostLogin } from "./config.ts"
import { loadKeyHolder, loadSession } from "./principals.ts"

/** The principal that stands for somebody of the host application; made at their first call. */
const principalOfHost = Effect.fnUntraced(function* (tenantId: string, login: HostLogin) {
  const kind = login.kind ?? "person"
  const known = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const rows = yield* sql<{ id: string }>`
      select id from mahalla.principal where tenant_id = ${tenantId} and external_id = ${login.externalId}`
    if (rows[0] !== undefined) return rows[0].id
    const id = yield* newId
    const made = yield* sql<{ id: string }>`
      insert into mahalla.principal (tenant_id, id, kind, name_sealed, external_id)
      values (${tenantId}, ${id}, ${kind}, ${yield* sealName(id, login.name ?? null)}, ${login.externalId})
      on conflict (tenant_id, external_id) do nothing returning id`
    if (made[0] !== undefined) return made[0].id
    const there = yield* sql<{ id: string }>`
      select id from mahalla.principal where tenant_id = ${tenantId} and external_id = ${login.externalId}`
    return there[0]!.id
  })
  return yield* withTenant(tenantId)(known)
})

/** Who acts through an app of a third party; undefined when this is no token of such an app. */
const actorOfApp = Effect.fnUntraced(function* (
  request: HttpServerRequest,
  tenant: Tenant,
  scheme: "bearer" | "dpop",
  token: string,
  byDefault: boolean
) {
  const apps = yield* AppTokens
  if (apps === undefined || !apps.looksLikeOne(token)) {
    if (scheme === "bearer") return undefined
    return yield* new Unauthorized({ message: "This access token is not bound to a key. Send it as: Bearer <token>." })
  }
  const { headers, method, url } = request
  const given = { scheme, token, tenant, method, url, proof: headers["dpop"], host: headers["host"] ?? "" }
  const { inForce, principalId, within } = yield* apps.verify(given)
  // One wait for both: a consent that was taken back counts from the next request on.
  const [actor, live] = yield* Effect.all([loadPrincipal(tenant.tenantId, principalId), inForce], { concurrency: 2 })
  if (!live) return yield* new Unauthorized({ message: "This app may not act here any more. Ask for consent again." })
  // A citizen consents by a code alone. Where staff must show more, an app gets nothing of what their roles give.
  const now = yield* Clock.currentTimeMillis
  const unproved =
    actor.kind !== "app" && missingStep("none", hasRole(actor, now), tenant.settings, byDefault) !== undefined
  return { ...actor, ...(unproved ? { grants: [] } : {}), within } satisfies Principal
})

export const layerAuthentication = (config: Pick<CityConfig, "login" | "modules">) =>
  Layer.effect(
    Authentication,
    Effect.gen(function* () {
      const tokens = yield* AccessTokens
      const database = yield* Database
      const book = yield* RoleBook
      // Of every request: two services beside what is there, and no copy of all of them.
      const inside = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        self.pipe(Effect.provideService(Database, database), Effect.provideService(RoleBook, book))
      const byDefault = yield* StaffNeedsSecondFactor
      const hasKeys = config.modules.some(({ id }) => id === "identity")
      const hostPrincipals = yield* Cache.make({
        capacity: 10_000,
        timeToLive: "10 minutes",
        lookup: (key: string) => {
          const [tenantId, login] = JSON.parse(key) as [string, HostLogin]
          return inside(principalOfHost(tenantId, login))
        }
      })
      return Authentication.of({
        actorOf: (request) =>
          Effect.gen(function* () {
            const tenant = yield* tenantOfRequest(yield* RequestFacts)
            const header = request.headers["authorization"]
            const { login } = config
            const ofHost = Effect.gen(function* () {
              const host =
                login === undefined
                  ? null
                  : yield* Effect.promise(() =>
                      login({ headers: request.headers, url: request.url, tenant: tenant.slug })
                    )
              if (host === null) return undefined
              const { roles = [], ...who } = host
              const id = yield* Cache.get(hostPrincipals, JSON.stringify([tenant.tenantId, who]))
              const actor = yield* loadPrincipal(tenant.tenantId, id)
              const lent = roles.map((role): RoleGrant => ({ role, territoryId: null, until: null }))
              return { actor: { ...actor, grants: [...actor.grants, ...lent] }, tenant }
            })
            if (header !== undefined) {
              const [, scheme = "", token] = /^(Bearer|DPoP) ([A-Za-z0-9._~+/-]+=*)$/i.exec(header) ?? []
              if (token === undefined)
                return yield* new Unauthorized({ message: "The Authorization header must be: Bearer <access token>." })
              if (hasKeys && scheme.toLowerCase() === "bearer" && isApiKey(token))
                return { actor: yield* loadKeyHolder(tenant.tenantId, token), tenant }
              const ofApp = yield* actorOfApp(
                request,
                tenant,
                scheme.toLowerCase() as "bearer" | "dpop",
                token,
                byDefault
              )
              if (ofApp !== undefined) return { actor: ofApp, tenant }
              const verified = yield* Effect.result(tokens.verify(token))
              if (Result.isFailure(verified)) {
                // The host's apps send tokens of the host's.
                return (yield* ofHost) ?? (yield* verified.failure)
              }
              const claims = verified.success
              if (claims.tenantId !== tenant.tenantId) {
                return yield* new Unauthorized({ message: "The access token belongs to another city. Sign in here." })
              }
              const { actor, state } = yield* loadSession(claims)
              const step = missingStep(
                state,
                hasRole(actor, yield* Clock.currentTimeMillis),
                tenant.settings,
                byDefault
              )
              if (step !== undefined && !isOpenWithout(request.method, request.url))
                return yield* new SecondFactorRequired({ step })
              return { actor, tenant }
            }
            return (yield* ofHost) ?? { actor: yield* loadPrincipal(tenant.tenantId, null), tenant }
          }).pipe(inside)
      })
    })
  )

/** Who asks: our own access token, the host application's login, or a visitor. */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SqlClient } from "effect/sql/SqlClient"
import { Database, TenantTx, withTenant } from "../kernel/db/Database.ts"
import { gathering } from "../kernel/db/gathering.ts"
import { hashOfApiKey, isApiKey } from "../kernel/http/apiKeys.ts"
import { Authentication, Unauthorized } from "../kernel/http/Authentication.ts"
import { RequestFacts } from "../kernel/http/Door.ts"
import {
  hasRole,
  isOpenWithout,
  missingStep,
  SecondFactorRequired,
  StaffNeedsSecondFactor
} from "../kernel/http/secondFactor.ts"
import { type AccessClaims, AccessTokens } from "../kernel/http/tokens.ts"
import { newId } from "../kernel/ids.ts"
import { anonymous, type Principal, type RoleGrant } from "../kernel/policy/Principal.ts"
import { tenantOfRequest } from "../kernel/tenancy/resolve.ts"
import type { CityConfig, HostLogin } from "./config.ts"

interface PrincipalRow {
  readonly kind: "person" | "staff" | "app" | "device" | "system"
  readonly status: "active" | "blocked" | "erased"
  readonly grants: ReadonlyArray<RoleGrant>
}

interface Who {
  readonly tenantId: string
  readonly principalId: string
}

interface WhoseSession extends Who {
  readonly sessionId: string
}

interface SessionRow {
  readonly found: PrincipalRow | null
  /** What the second factor stands at; null when the session is not in force. */
  readonly state: "none" | "pending" | "passed" | null
}

const makeAskers = (app: SqlClient) => ({
  principal: gathering((asked: ReadonlyArray<Who>) =>
    Effect.map(
      app<{ found: PrincipalRow | null }>`
        select mahalla.principal_of(tenant, principal) as found
        from unnest(${asked.map(({ tenantId }) => tenantId)}::uuid[], ${asked.map(({ principalId }) => principalId)}::uuid[])
          with ordinality as given (tenant, principal, place)
        order by place`,
      (rows) => rows.map(({ found }) => found)
    )
  ),
  /** In the same statement as its principal. Only tokens of the identity module name a session, so its function is there. */
  session: gathering((asked: ReadonlyArray<WhoseSession>) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => app<SessionRow>`
        select mahalla.principal_of(tenant, principal) as found,
               mahalla.session_state(tenant, principal, session, ${new Date(now)}) as state
        from unnest(${asked.map(({ tenantId }) => tenantId)}::uuid[], ${asked.map(({ principalId }) => principalId)}::uuid[],
                    ${asked.map(({ sessionId }) => sessionId)}::uuid[])
          with ordinality as given (tenant, principal, session, place)
        order by place`
    )
  )
})

/** One set per database: every request asks, so those that come at once ask together. */
const askers = new WeakMap<SqlClient, ReturnType<typeof makeAskers>>()

const askersOf = (app: SqlClient) => {
  const known = askers.get(app)
  if (known !== undefined) return known
  const made = makeAskers(app)
  askers.set(app, made)
  return made
}

const activePrincipal = Effect.fnUntraced(function* ({ principalId, tenantId }: Who, found: PrincipalRow | null) {
  if (found === null || found.status !== "active")
    return yield* new Unauthorized({ message: "This account is blocked or gone. Ask the operator." })
  const principal: Principal = { id: principalId, kind: found.kind, tenantId, grants: found.grants }
  return principal
})

/** The principal with what it was given, as of now. */
export const loadPrincipal = Effect.fnUntraced(function* (tenantId: string, principalId: string) {
  const { app } = yield* Database
  const who = { tenantId, principalId }
  return yield* activePrincipal(who, yield* askersOf(app).principal(who))
})

/** The principal of a verified access token, and what the second factor of its session stands at. */
const loadSession = Effect.fnUntraced(function* ({ principalId, sessionId, tenantId }: AccessClaims) {
  const { app } = yield* Database
  const who = { tenantId, principalId, sessionId }
  const { found, state } = yield* askersOf(app).session(who)
  const principal = yield* activePrincipal(who, found)
  if (state === null) return yield* new Unauthorized({ message: "This session has ended. Sign in again." })
  return { actor: { ...principal, sessionId }, state }
})

/** The app whose key it is, held to the key's scopes: one round trip too, in which the key's use is written down. */
const loadKeyHolder = Effect.fnUntraced(function* (tenantId: string, key: string) {
  const refused = new Unauthorized({
    message: "This key is not valid here, or not any more. Ask whoever gave it to you."
  })
  const hash = hashOfApiKey(key)
  if (hash === undefined) return yield* refused
  const { app } = yield* Database
  const now = new Date(yield* Clock.currentTimeMillis)
  const [row] = yield* app<{ holder: string; scopes: ReadonlyArray<string>; found: PrincipalRow | null }>`
    select k.holder, k.scopes, mahalla.principal_of(${tenantId}, k.holder) as found
    from mahalla.use_api_key(${tenantId}, ${hash}, ${now}) k`
  if (row === undefined) return yield* refused
  return { ...(yield* activePrincipal({ tenantId, principalId: row.holder }, row.found)), within: row.scopes }
})

/** The principal that stands for somebody of the host application; made at their first call. */
const principalOfHost = Effect.fnUntraced(function* (tenantId: string, login: HostLogin) {
  const kind = login.kind ?? "person"
  const known = Effect.gen(function* () {
    const { sql } = yield* TenantTx
    const rows = yield* sql<{ id: string }>`
      select id from mahalla.principal where tenant_id = ${tenantId} and external_id = ${login.externalId}`
    if (rows[0] !== undefined) return rows[0].id
    const made = yield* sql<{ id: string }>`
      insert into mahalla.principal (tenant_id, id, kind, name, external_id)
      values (${tenantId}, ${yield* newId}, ${kind}, ${login.name ?? null}, ${login.externalId})
      on conflict (tenant_id, external_id) do update set name = excluded.name
      returning id`
    return made[0]!.id
  })
  return yield* withTenant(tenantId)(known)
})

export const layerAuthentication = (config: Pick<CityConfig, "login" | "modules">) =>
  Layer.effect(
    Authentication,
    Effect.gen(function* () {
      const tokens = yield* AccessTokens
      const services = yield* Effect.context<Database>()
      const byDefault = yield* StaffNeedsSecondFactor
      const hasKeys = config.modules.some(({ id }) => id === "identity")
      const hostPrincipals = yield* Cache.make({
        capacity: 10_000,
        timeToLive: "10 minutes",
        lookup: (key: string) => {
          const [tenantId, login] = JSON.parse(key) as [string, HostLogin]
          return Effect.provideContext(principalOfHost(tenantId, login), services)
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
              const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(header)?.[1]
              if (token === undefined)
                return yield* new Unauthorized({ message: "The Authorization header must be: Bearer <access token>." })
              if (hasKeys && isApiKey(token)) return { actor: yield* loadKeyHolder(tenant.tenantId, token), tenant }
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
            return (yield* ofHost) ?? { actor: anonymous(tenant.tenantId), tenant }
          }).pipe(Effect.provideContext(services))
      })
    })
  )

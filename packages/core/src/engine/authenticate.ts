/** Who asks: our own access token, the host application's login, or a visitor. */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Database, TenantTx, withTenant } from "../kernel/db/Database.ts"
import { gathering } from "../kernel/db/gathering.ts"
import { Authentication, Unauthorized } from "../kernel/http/Authentication.ts"
import { RequestFacts } from "../kernel/http/Door.ts"
import { AccessTokens } from "../kernel/http/tokens.ts"
import { newId } from "../kernel/ids.ts"
import { sealName } from "../kernel/personal/people.ts"
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

/** One per database: every request asks, so those that come at once ask together. */
const askers = new WeakMap<SqlClient, (who: Who) => Effect.Effect<PrincipalRow | null, SqlError>>()

const askerOf = (app: SqlClient) => {
  const known = askers.get(app)
  if (known !== undefined) return known
  const made = gathering((asked: ReadonlyArray<Who>) =>
    Effect.map(
      app<{ found: PrincipalRow | null }>`
        select mahalla.principal_of(tenant, principal) as found
        from unnest(${asked.map(({ tenantId }) => tenantId)}::uuid[], ${asked.map(({ principalId }) => principalId)}::uuid[])
          with ordinality as given (tenant, principal, place)
        order by place`,
      (rows) => rows.map(({ found }) => found)
    )
  )
  askers.set(app, made)
  return made
}

/** The principal with what it was given, as of now. */
export const loadPrincipal = Effect.fnUntraced(function* (tenantId: string, principalId: string) {
  const { app } = yield* Database
  const found = yield* askerOf(app)({ tenantId, principalId })
  if (found == null || found.status !== "active")
    return yield* new Unauthorized({ message: "This account is blocked or gone. Ask the operator." })
  const principal: Principal = { id: principalId, kind: found.kind, tenantId, grants: found.grants }
  return principal
})

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

export const layerAuthentication = (config: Pick<CityConfig, "login">) =>
  Layer.effect(
    Authentication,
    Effect.gen(function* () {
      const tokens = yield* AccessTokens
      const services = yield* Effect.context<Database>()
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
              const verified = yield* Effect.result(tokens.verify(token))
              if (Result.isFailure(verified)) {
                // The host's apps send tokens of the host's.
                return (yield* ofHost) ?? (yield* verified.failure)
              }
              const claims = verified.success
              if (claims.tenantId !== tenant.tenantId) {
                return yield* new Unauthorized({ message: "The access token belongs to another city. Sign in here." })
              }
              return { actor: yield* loadPrincipal(claims.tenantId, claims.principalId), tenant }
            }
            return (yield* ofHost) ?? { actor: anonymous(tenant.tenantId), tenant }
          }).pipe(Effect.provideContext(services))
      })
    })
  )

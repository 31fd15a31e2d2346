/** Access tokens of apps at our own API: verified by key, type, issuer, audience, scope, and the key they are bound to (RFC 9068, RFC 9449). */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as jose from "jose"
import type { Erased } from "../../kernel/Erased.ts"
import { CaseTypes } from "../../kernel/cases/registry.ts"
import { Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { type AppRequest, AppTokens } from "../../kernel/http/AppTokens.ts"
import { Unauthorized } from "../../kernel/http/Authentication.ts"
import { isId } from "../../kernel/ids.ts"
import type { Keys } from "../../kernel/keys/Keys.ts"
import { Forbidden } from "../../kernel/policy/Policy.ts"
import { rolesOf } from "../../kernel/policy/presets.ts"
import { type Addresses, addressesFor } from "./issuer.ts"
import { appTokenType } from "./model.ts"
import { opens, permissionsOf } from "./scopes.ts"
import { hashOf } from "./seal.ts"
import { publicPart, signingKeys, turnOf } from "./signing.ts"

const refused = new Unauthorized({ message: "The app's access token is not valid here any more. Ask for a new one." })

/** Seconds a proof of possession is good for, before and after its time. */
const proofLife = 60

interface Claims {
  readonly principalId: string
  readonly appId: string
  readonly grantId: string | null
  readonly scopes: ReadonlyArray<string>
  /** Thumbprint of the key that the token is bound to. */
  readonly jkt: string | undefined
}

/** Claims as we issue them; undefined for anything else. */
const claimsOf = (payload: jose.JWTPayload, tenantId: string): Claims | undefined => {
  const { client_id: appId, grant, scope, sub, tenant, cnf } = payload
  if (tenant !== tenantId || !isId(sub) || !isId(appId) || typeof scope !== "string") return undefined
  // What an app does by itself has no grant, and only then is it its own subject.
  if ((grant === undefined) !== (sub === appId)) return undefined
  if (grant !== undefined && typeof grant !== "string") return undefined
  const jkt = (cnf as { readonly jkt?: unknown } | undefined)?.jkt
  if (cnf !== undefined && typeof jkt !== "string") return undefined
  return {
    principalId: sub,
    appId,
    grantId: grant ?? null,
    scopes: scope.split(" ").filter((one) => one !== ""),
    jkt: jkt as string | undefined
  }
}

/** Remembers a proof for as long as it would be good; false for one that was seen. */
const firstSeen = (jti: string, jkt: string, until: number) =>
  Effect.flatMap(TenantTx, ({ sql, tenantId }) =>
    Effect.map(
      sql`
        insert into mahalla.oauth_record (tenant_id, model, id, payload, expires_at)
        values (${tenantId}, 'ApiProof', ${hashOf(`${jkt} ${jti}`)}, '', ${new Date(until)})
        on conflict do nothing returning id`,
      (rows) => rows.length > 0
    )
  )

/** RFC 9449, section 4.3, as far as a resource server checks it. */
const checkProof = Effect.fnUntraced(function* (request: AppRequest, jkt: string, addresses: Addresses) {
  const bad = (message: string) => new Unauthorized({ message })
  const { proof } = request
  if (request.scheme !== "dpop" || proof === undefined)
    return yield* bad("This access token is bound to a key. Send it as: DPoP <token>, with a DPoP proof.")
  const now = yield* Clock.currentTimeMillis
  const verified = yield* Effect.tryPromise({
    try: () =>
      jose.jwtVerify(proof, jose.EmbeddedJWK, {
        typ: "dpop+jwt",
        algorithms: ["ES256", "EdDSA"],
        currentDate: new Date(now),
        maxTokenAge: proofLife,
        clockTolerance: proofLife,
        requiredClaims: ["jti", "htm", "htu", "iat", "ath"]
      }),
    catch: () => bad("The DPoP proof is not valid. Make a new one for every request.")
  })
  const { ath, htm, htu, jti } = verified.payload
  const jwk = verified.protectedHeader.jwk
  const thumbprint = jwk === undefined ? "" : yield* Effect.promise(() => jose.calculateJwkThumbprint(jwk))
  const path = request.url.split("?")[0]!
  const ways = [`${addresses.base}${path}`, `${addresses.base}/t/${request.tenant.slug}${path}`]
  const asked = typeof htu === "string" && URL.canParse(htu) ? new URL(htu) : undefined
  const fits =
    thumbprint === jkt &&
    htm === request.method &&
    asked !== undefined &&
    ways.includes(`${asked.origin}${asked.pathname}`) &&
    ath === createHash("sha256").update(request.token).digest("base64url") &&
    typeof jti === "string" &&
    jti.length <= 256
  if (!fits) return yield* bad("The DPoP proof is for another request, token or key.")
  const fresh = yield* Effect.orDie(
    withTenant(request.tenant.tenantId)(firstSeen(jti, jkt, now + 2 * proofLife * 1000))
  )
  if (!fresh) return yield* bad("The DPoP proof was used before. Make a new one for every request.")
})

const makeAppTokens = Effect.gen(function* () {
  const context = yield* Effect.context<Database | Keys>()
  const deployment = yield* Deployment
  const types = (yield* CaseTypes).all.map((type) => type.definition.id)
  const { app } = yield* Database
  const keys = new Map<string, ReadonlyArray<jose.JWK>>()

  const keysOf = Effect.fnUntraced(function* (tenantId: string, now: number) {
    const turn = turnOf(now)
    const key = `${tenantId} ${turn}`
    const known = keys.get(key)
    if (known !== undefined) return known
    const made = (yield* signingKeys(tenantId, turn)).map(publicPart)
    // A tenant's keys of the last quarter are of no use any more.
    for (const old of [...keys.keys()]) if (old.startsWith(tenantId)) keys.delete(old)
    keys.set(key, made)
    return made
  })

  const expand = (scopes: ReadonlyArray<string>) =>
    rolesOf([{ id: "app", title: "App", permissions: permissionsOf(scopes) }], types).get("app")!.permissions

  return {
    consents: Effect.fnUntraced(function* (apps: ReadonlyArray<string>, people: ReadonlyArray<string>) {
      const { sql, tenantId } = yield* TenantTx
      const now = new Date(yield* Clock.currentTimeMillis)
      // Index `oauth_grant_principal`.
      const rows = yield* sql<{ appId: string; principalId: string; scopes: ReadonlyArray<string> }>`
        select client_id as "appId", principal_id as "principalId", scopes from mahalla.oauth_grant
        where tenant_id = ${tenantId} and principal_id = any (${people}::uuid[]) and client_id = any (${apps}::uuid[])
          and revoked_at is null and expires_at > ${now}`
      return rows.map(({ scopes, ...who }) => ({ ...who, within: expand(scopes) }))
    }),
    ownerOf: Effect.fnUntraced(function* (appId: string) {
      const { sql, tenantId } = yield* TenantTx
      const rows = yield* sql<{ ownerId: string }>`
        select owner_id as "ownerId" from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${appId}`
      return rows[0]?.ownerId ?? null
    }),
    looksLikeOne: (token: string) => {
      try {
        return jose.decodeProtectedHeader(token).typ === appTokenType
      } catch {
        return false
      }
    },
    verify: (request: AppRequest) =>
      Effect.gen(function* () {
        const { tenant, token } = request
        const addresses = addressesFor(deployment, tenant, request.host)
        if (addresses === undefined) return yield* refused
        const now = yield* Clock.currentTimeMillis
        const set = jose.createLocalJWKSet({ keys: [...(yield* keysOf(tenant.tenantId, now))] })
        const verified = yield* Effect.tryPromise({
          try: () =>
            jose.jwtVerify(token, set, {
              algorithms: ["ES256"],
              typ: appTokenType,
              issuer: addresses.issuer,
              audience: addresses.resource,
              currentDate: new Date(now),
              requiredClaims: ["exp", "iat", "sub", "client_id", "jti"]
            }),
          catch: () => refused
        })
        const claims = claimsOf(verified.payload, tenant.tenantId)
        if (claims === undefined) return yield* refused
        if (claims.jkt !== undefined) yield* checkProof(request, claims.jkt, addresses)
        else if (request.scheme === "dpop")
          return yield* new Unauthorized({
            message: "This access token is not bound to a key. Send it as: Bearer <token>."
          })
        const path = request.url.split("?")[0]!
        if (!opens(claims.scopes, request.method, path))
          return yield* new Forbidden({
            permission: "app.scope",
            because: "no-permission",
            message: `The app's scopes (${claims.scopes.join(" ") || "none"}) do not open ${request.method} ${path}.`
          })
        const { appId, grantId, principalId } = claims
        const inForce = Effect.map(
          app<{ live: boolean }>`
            select mahalla.app_in_force(${tenant.tenantId}, ${appId}, ${grantId}, ${new Date(now)}) as live`,
          ([row]) => row?.live === true
        )
        return { principalId, within: expand(claims.scopes), inForce }
      }).pipe(Effect.provideContext(context))
  }
})

export const layerAppTokens: Layer.Layer<Erased, never, CaseTypes | Database | Keys> = Layer.effectContext(
  Effect.map(makeAppTokens, (service) => Context.make(AppTokens, service) as Context.Context<Erased>)
)

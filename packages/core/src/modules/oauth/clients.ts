/** Apps as rows: registered, found, judged by their secrets, deleted. */
import { randomUUID, timingSafeEqual } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ClientMetadata } from "oidc-provider"
import { TenantTx } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { isId } from "../../kernel/ids.ts"
import { isNative } from "../../kernel/http/redirects.ts"
import { identityScopeIds } from "./scopes.ts"
import { hashOf } from "./seal.ts"
import { lives } from "./model.ts"

export interface ClientRow {
  readonly id: string
  readonly ownerId: string
  readonly name: string
  readonly homepage: string | null
  readonly auth: "none" | "client_secret_basic" | "private_key_jwt"
  readonly redirectUris: ReadonlyArray<string>
  readonly grantTypes: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly jwks: { readonly keys: ReadonlyArray<Record<string, unknown>> } | null
  readonly jwksUri: string | null
  readonly status: "pending" | "active" | "blocked"
  readonly createdAt: Date
}

export const columns = `id, owner_id as "ownerId", name, homepage, auth_method as auth, redirect_uris as "redirectUris",
  grant_types as "grantTypes", scopes, jwks, jwks_uri as "jwksUri", status, created_at as "createdAt"`

/** An app that may act; undefined for one that waits, is blocked or gone. */
export const clientById = Effect.fnUntraced(function* (id: string) {
  if (!isId(id)) return undefined
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<ClientRow>`
    select ${sql.literal(columns)} from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${id} and status = 'active'`
  return rows[0]
})

/** As the library knows an app (RFC 7591). */
export const metadataOf = (client: ClientRow): ClientMetadata => ({
  client_id: client.id,
  client_name: client.name,
  ...(client.homepage === null ? {} : { client_uri: client.homepage }),
  application_type: client.redirectUris.some(isNative) ? "native" : "web",
  token_endpoint_auth_method: client.auth,
  // The library wants to see one; `secretMatches` is asked instead of it.
  ...(client.auth === "client_secret_basic" ? { client_secret: "kept as a hash" } : {}),
  redirect_uris: [...client.redirectUris],
  grant_types: [...client.grantTypes],
  response_types: client.grantTypes.includes("authorization_code") ? ["code"] : [],
  // The library holds an app to these among OpenID's scopes; those of the API are held where the resource is resolved.
  scope: client.scopes.filter((scope) => identityScopeIds.includes(scope)).join(" ") || "openid",
  ...(client.jwks === null ? {} : { jwks: client.jwks as NonNullable<ClientMetadata["jwks"]> }),
  ...(client.jwksUri === null ? {} : { jwks_uri: client.jwksUri })
})

const secretText = Effect.fnUntraced(function* (clientId: string, secretId: string) {
  const { tenantId } = yield* TenantTx
  const keys = yield* Keys
  return Buffer.from(keys.mac("oauth-client-secret", `${tenantId} ${clientId} ${secretId}`)).toString("base64url")
})

/**
 * A new secret; earlier ones end within `lives.secretOverlap`. The text follows from the deployment's secret and the id, so that a repeated
 * request gets the same answer though only the hash is kept.
 */
export const newSecret = Effect.fn("oauth.newSecret")(function* (clientId: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = yield* Clock.currentTimeMillis
  const id = randomUUID()
  const secret = yield* secretText(clientId, id)
  const until = new Date(now + lives.secretOverlap * 1000)
  yield* sql`
    update mahalla.oauth_secret set expires_at = ${until}
    where tenant_id = ${tenantId} and client_id = ${clientId} and (expires_at is null or expires_at > ${until})`
  yield* sql`
    insert into mahalla.oauth_secret (tenant_id, id, client_id, hash, created_at)
    values (${tenantId}, ${id}, ${clientId}, ${hashOf(secret)}, ${new Date(now)})`
  return { id, othersEndAt: until }
})

export { secretText }

/** Whether this is a secret of the app in force; every one is compared, in constant time. Index `oauth_secret_client`. */
export const secretMatches = Effect.fnUntraced(function* (clientId: string, given: string) {
  const { sql, tenantId } = yield* TenantTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<{ hash: string }>`
    select hash from mahalla.oauth_secret
    where tenant_id = ${tenantId} and client_id = ${clientId} and (expires_at is null or expires_at > ${now})`
  const hash = Buffer.from(hashOf(given))
  return rows.map((row) => timingSafeEqual(Buffer.from(row.hash), hash)).some((same) => same)
})

/**
 * One `oidc-provider` per tenant, with everything replaced that the library means for development: keys, memory, interactions, lives, pages.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import Provider, { type Configuration, errors, type KoaContextWithOIDC } from "oidc-provider"
import { type Database, TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { nameOf, type NameRow } from "../../kernel/personal/people.ts"
import type { Limiter } from "../../ports/Limiter.ts"
import type { Tenant } from "../../kernel/tenancy/Tenant.ts"
import { makeAdapter } from "./adapter.ts"
import { secretMatches } from "./clients.ts"
import { noteError } from "./errors.ts"
import type { Addresses } from "./issuer.ts"
import { appTokenType, lives } from "./model.ts"
import { errorPage } from "./pages.ts"
import { languageOf } from "./texts.ts"
import { apiScopeIds, identityScopeIds } from "./scopes.ts"
import { sealOf } from "./seal.ts"
import { signingKeys } from "./signing.ts"

export interface ProviderOptions {
  readonly tenant: Tenant
  readonly addresses: Addresses
  /** The quarter whose key signs. */
  readonly turn: number
  readonly context: Context.Context<Database | Keys | Limiter>
}

/** What an app is told of somebody: no more than its scopes. */
const accountOf = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [person] = yield* sql<NameRow & { readonly language: string }>`
    select id, name, name_sealed, language from mahalla.principal
    where tenant_id = ${tenantId} and id = ${id} and kind = 'person' and status = 'active'`
  return person === undefined ? undefined : { language: person.language, name: yield* nameOf(person) }
})

/** Cities below one host each have a session of their own. */
const cookiesOf = (name: string, path: string) => ({
  names: { session: `${name}_session`, interaction: `${name}_interaction`, resume: `${name}_resume` },
  long: { httpOnly: true, sameSite: "lax", signed: true, path } as const,
  short: { httpOnly: true, sameSite: "lax", signed: true } as const
})

/** The library's requests go to no address of our own network: it brings the guard, and without it nothing is fetched. */
const guardedFetch: NonNullable<Configuration["fetch"]> = (url, options) =>
  options !== undefined && "dispatcher" in options
    ? globalThis.fetch(url, { ...options, redirect: "error" })
    : Promise.reject(new Error("Requests without the guard against inner addresses are not sent"))

export const makeProvider = Effect.fnUntraced(function* ({ addresses, context, tenant, turn }: ProviderOptions) {
  const { tenantId } = tenant
  const keys = yield* Keys
  const seal = yield* sealOf(tenantId)
  const jwks = { keys: yield* signingKeys(tenantId, turn) }
  const cookieKey = (of: number) => Buffer.from(keys.mac("oauth-cookie", `${tenantId} ${of}`)).toString("base64url")
  const run = <A, E>(effect: Effect.Effect<A, E, TenantTx | Keys>): Promise<A> =>
    Effect.runPromise(Effect.provideContext(withTenant(tenantId)(effect), context))

  const configuration: Configuration = {
    adapter: makeAdapter({
      tenantId,
      seal,
      context,
      route: () => Provider.ctx?.oidc.route,
      used: (model) =>
        model === "AuthorizationCode" || model === "RefreshToken"
          ? new errors.InvalidGrant("already used by another request at the same time")
          : new errors.InvalidRequest("already used")
    }),
    jwks: { keys: [...jwks.keys] },
    cookies: { ...cookiesOf("mahalla", addresses.mountPath), keys: [cookieKey(turn), cookieKey(turn - 1)] },
    scopes: [...identityScopeIds],
    claims: { openid: ["sub"], profile: ["name", "locale"] },
    responseTypes: ["code"],
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
    clientDefaults: { id_token_signed_response_alg: "ES256", grant_types: ["authorization_code"] },
    enabledJWA: {
      idTokenSigningAlgValues: ["ES256"],
      clientAuthSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"],
      dPoPSigningAlgValues: ["ES256", "EdDSA"]
    },
    allowOmittingSingleRegisteredRedirectUri: false,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: (_ctx, client, source) =>
      Promise.resolve(client.grantTypeAllowed("refresh_token") && source.scopes.has("offline_access")),
    // Tokens are short, and the grant's mark ends them; a browser that is closed does not.
    expiresWithSession: () => Promise.resolve(false),
    ttl: {
      AccessToken: lives.accessToken,
      AuthorizationCode: lives.code,
      ClientCredentials: lives.accessToken,
      Grant: lives.refreshToken,
      IdToken: lives.idToken,
      Interaction: lives.interaction,
      // Renewing prolongs nothing.
      RefreshToken: (ctx) => ctx.oidc?.entities.RotatedRefreshToken?.remainingTTL ?? lives.refreshToken,
      Session: lives.session
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      clientCredentials: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      dPoP: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) =>
          client.clientAuthMethod !== "none" && "clientId" in token && token.clientId === client.clientId
      },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, oneOf) => oneOf ?? addresses.resource,
        useGrantedResource: () => Promise.resolve(false),
        getResourceServerInfo: (_ctx, resource, client) => {
          if (resource !== addresses.resource) throw new errors.InvalidTarget()
          return clientScopes(client.clientId).then((scopes) => ({
            scope: scopes.join(" "),
            audience: addresses.resource,
            accessTokenTTL: lives.accessToken,
            accessTokenFormat: "jwt" as const,
            jwt: { sign: { alg: "ES256" as const } }
          }))
        }
      }
    },
    formats: {
      customizers: {
        jwt: (_ctx, _token, parts) => {
          parts.header = { ...parts.header, typ: appTokenType }
        }
      }
    },
    extraTokenClaims: (_ctx, token) =>
      Promise.resolve({ tenant: tenantId, ...("grantId" in token ? { grant: token.grantId } : {}) }),
    discovery: { ui_locales_supported: ["en", "uz", "ru"] },
    clientBasedCORS: (_ctx, origin, client) =>
      client.clientAuthMethod === "none" &&
      (client.redirectUris ?? []).some((uri) => uri.startsWith("https:") && new URL(uri).origin === origin),
    fetch: guardedFetch,
    fetchResponseBodyLimits: { jwks_uri: 65_536, sector_identifier_uri: 65_536 },
    interactions: { url: (_ctx, interaction) => `${addresses.mountPath}/interaction/${interaction.uid}` },
    findAccount: async (_ctx, id) => {
      const person = await run(accountOf(id))
      if (person === undefined) return undefined
      return {
        accountId: id,
        claims: () => ({ sub: id, ...(person.name === null ? {} : { name: person.name }), locale: person.language })
      }
    },
    renderError: (ctx, out) => {
      ctx.type = "html"
      ctx.body = errorPage(languageOf(ctx.get("accept-language"), tenant), out.error)
    }
  }

  const clientScopes = (clientId: string) =>
    run(
      Effect.flatMap(TenantTx, ({ sql }) =>
        Effect.map(
          sql<{ scopes: ReadonlyArray<string> }>`
            select scopes from mahalla.oauth_client where tenant_id = ${tenantId} and id = ${clientId}`,
          ([row]) => apiScopeIds.filter((scope) => row?.scopes.includes(scope) === true)
        )
      )
    )

  const provider = new Provider(addresses.issuer, configuration)
  // Addresses come from the issuer alone: see how the mount sets these headers.
  provider.proxy = true
  provider.Client.prototype.compareClientSecret = function (this: { clientId: string }, given: string) {
    return run(secretMatches(this.clientId, given))
  }
  const noted = (endpoint: string) => (ctx: KoaContextWithOIDC, error: errors.OIDCProviderError) => {
    const clientId = ctx.oidc?.client?.clientId ?? String(ctx.oidc?.params?.["client_id"] ?? "")
    void Effect.runPromise(Effect.provideContext(noteError(tenantId, { clientId, endpoint, error }), context)).catch(
      () => undefined
    )
  }
  provider.on("grant.error", noted("token"))
  provider.on("introspection.error", noted("introspection"))
  provider.on("revocation.error", noted("revocation"))
  provider.on("authorization.error", noted("authorization"))
  provider.on("pushed_authorization_request.error", noted("pushed-authorization"))
  provider.on("userinfo.error", noted("userinfo"))
  const services = context as Context.Context<never>
  provider.on("server_error", (_ctx, error) => {
    void Effect.runPromise(Effect.provideContext(Effect.logError("The OAuth provider failed", error), services))
  })
  return provider
})

export type { Provider }

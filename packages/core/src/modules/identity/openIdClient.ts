/** What is asked of outside OpenID providers, by the library `openid-client` and through the guard against inner addresses. */
import type { Configuration, CustomFetch } from "openid-client"
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Deployment } from "../../kernel/Deployment.ts"
import { makeInside } from "../../kernel/outward/address.ts"
import { OutwardNetworks } from "../../kernel/outward/networks.ts"
import { requestOutward } from "../../kernel/outward/post.ts"
import { SignInRefused } from "./model.ts"
import { openIdLimits, OpenIdUnavailable, type OutsideIdentity } from "./openIdModel.ts"
import type { ProviderInForce } from "./openIdProviders.ts"

export const openIdRefused = new SignInRefused({
  message: "This sign-in is not valid, was used, or took too long. Begin again."
})

/** A sign-in as it goes out, and as it must come back. */
export interface Exchange {
  readonly state: string
  readonly nonce: string
  /** RFC 7636. */
  readonly verifier: string
  /** Whether the provider must look at the person anew. */
  readonly fresh: boolean
}

export class OpenIdClients extends Context.Service<
  OpenIdClients,
  {
    /** Where the browser goes. */
    readonly authorizationUrl: (
      provider: ProviderInForce,
      exchange: Exchange & { readonly callback: string; readonly language: string | undefined }
    ) => Effect.Effect<URL, OpenIdUnavailable>
    /** Whom the provider has seen. `answer`: the callback's address with the provider's answer in it. */
    readonly identity: (
      provider: ProviderInForce,
      exchange: Exchange & { readonly answer: URL }
    ) => Effect.Effect<OutsideIdentity, OpenIdUnavailable | SignInRefused>
  }
>()("@mahalla/identity/OpenIdClients") {
  static readonly layer = Layer.effect(
    OpenIdClients,
    Effect.suspend(() => makeClients)
  )
}

// Loaded with the first sign-in of this kind, so that the start does not wait for it.
const library = Effect.promise(() => import("openid-client"))

const guardedFetch =
  (isInside: (address: string) => boolean): CustomFetch =>
  async (url, { body, headers, method, signal }) => {
    const asked = requestOutward({
      method: method === "GET" ? "GET" : "POST",
      url,
      body: body == null ? "" : String(body),
      headers,
      isInside,
      seconds: openIdLimits.answer
    })
    const answer = await Effect.runPromise(asked, signal === undefined ? {} : { signal })
    const empty = answer.body === "" || answer.status === 204 || answer.status === 304
    return new Response(empty ? null : answer.body, { status: answer.status, headers: answer.headers })
  }

/** Faults of what somebody showed, as the library names them; anything else is the provider's. */
const shownFaults: ReadonlySet<unknown> = new Set([
  "OAUTH_INVALID_RESPONSE",
  "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
  "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
  "OAUTH_KEY_SELECTION_FAILED",
  "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
  "OAUTH_AUTHORIZATION_RESPONSE_ERROR"
])

/** Says what became of a call. The library's words say nothing of the person; causes do, and stay here. */
const failed = (provider: string, cause: unknown) => {
  const { code, error, message } = cause as { code?: unknown; error?: unknown; message?: string }
  const inner = (cause as { cause?: { message?: unknown } }).cause?.message
  const refused = shownFaults.has(code) || error === "invalid_grant"
  const said = [message, error, refused ? undefined : inner].filter((one) => typeof one === "string").join("; ")
  return Effect.andThen(
    Effect.logWarning(`Sign-in through the provider ${provider} failed: ${said}`),
    Effect.fail(
      refused
        ? openIdRefused
        : new OpenIdUnavailable({
            message: `The sign-in service ${provider} does not answer as it should. Try again in a moment, or sign in another way.`,
            cause
          })
    )
  )
}

const isText = (value: unknown, most: number): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= most && !value.includes("\u0000")

const listed = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [value])

/** `token`: the claims of the ID token, which alone says how the person was seen; `all`: what else was told. */
const identityOf = (
  provider: ProviderInForce,
  token: { readonly iss: string; readonly sub: string; readonly auth_time?: unknown; readonly [name: string]: unknown },
  all: Readonly<Record<string, unknown>>
): OutsideIdentity | undefined => {
  if (!isText(token.sub, 255)) return undefined
  const { secondFactor } = provider
  const { auth_time: at } = token
  const email = all["email_verified"] === true && isText(all["email"], 254) ? all["email"].toLowerCase() : undefined
  return {
    issuer: token.iss,
    subject: token.sub,
    email,
    name: isText(all["name"], 200) ? all["name"] : undefined,
    secondFactor:
      secondFactor?.acr?.some((value) => value === token["acr"]) === true ||
      secondFactor?.amr?.some((value) => listed(token["amr"]).includes(value)) === true,
    at: typeof at === "number" ? new Date(at * 1_000) : undefined,
    claims: all
  }
}

const makeClients = Effect.gen(function* () {
  const { mode } = yield* Deployment
  const fetch = guardedFetch(makeInside(yield* OutwardNetworks))

  /** Discovery document and keys are the provider's; a stranger's issuer in the document is refused. */
  const discover = Effect.fnUntraced(function* (issuer: string, clientId: string, secret: string | null) {
    const client = yield* library
    const auth =
      secret === null
        ? client.None()
        : (
            (basic, post): typeof basic =>
            (server, ...rest) =>
              (server.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]).includes("client_secret_basic")
                ? basic(server, ...rest)
                : post(server, ...rest)
          )(client.ClientSecretBasic(secret), client.ClientSecretPost(secret))
    return yield* Effect.tryPromise(async () => {
      const configuration = await client.discovery(new URL(issuer), clientId, {}, auth, {
        [client.customFetch]: fetch,
        timeout: openIdLimits.answer,
        execute: [
          // The ID token's signature is checked although it comes straight from the provider.
          client.enableNonRepudiationChecks,
          // Which issuers may be plain is said where providers are put in.
          ...(mode === "dev" ? [client.allowInsecureRequests] : [])
        ]
      })
      // The library lets some services name one issuer for all of their customers: then anybody's customer would be ours.
      if (new URL(configuration.serverMetadata().issuer).href !== new URL(issuer).href)
        throw new Error("The discovery document names another issuer")
      return configuration
    }).pipe(Effect.mapError(({ cause }) => cause))
  })

  const configurations = yield* Cache.makeWith(
    (key: string): Effect.Effect<Configuration, unknown> => {
      const [issuer, clientId, secret] = JSON.parse(key) as [string, string, string | null]
      return discover(issuer, clientId, secret)
    },
    {
      capacity: 1_000,
      // One that does not answer is not asked by everybody who waits for it.
      timeToLive: (exit) => (Exit.isSuccess(exit) ? "10 minutes" : "5 seconds")
    }
  )
  const configurationOf = ({ clientId, id, issuer, secret }: ProviderInForce) =>
    Effect.catch(
      Cache.get(configurations, JSON.stringify([issuer, clientId, secret === null ? null : Redacted.value(secret)])),
      (cause) =>
        Effect.flatMap(Effect.flip(failed(id, cause)), (error) =>
          Effect.fail(error._tag === "OpenIdUnavailable" ? error : new OpenIdUnavailable({ message: error.message }))
        )
    )

  return OpenIdClients.of({
    authorizationUrl: Effect.fnUntraced(function* (provider, { callback, fresh, language, nonce, state, verifier }) {
      const configuration = yield* configurationOf(provider)
      const client = yield* library
      const challenge = yield* Effect.promise(() => client.calculatePKCECodeChallenge(verifier))
      return client.buildAuthorizationUrl(configuration, {
        redirect_uri: callback,
        scope: provider.scopes.join(" "),
        state,
        nonce,
        code_challenge: challenge,
        code_challenge_method: "S256",
        ...(fresh ? { max_age: String(openIdLimits.freshness) } : {}),
        ...(provider.secondFactor?.acr === undefined ? {} : { acr_values: provider.secondFactor.acr.join(" ") }),
        ...(language === undefined ? {} : { ui_locales: language })
      })
    }),
    identity: Effect.fnUntraced(function* (provider, { answer, fresh, nonce, state, verifier }) {
      const configuration = yield* configurationOf(provider)
      const client = yield* library
      const found = yield* Effect.catch(
        Effect.tryPromise(async () => {
          const tokens = await client.authorizationCodeGrant(configuration, answer, {
            expectedState: state,
            expectedNonce: nonce,
            pkceCodeVerifier: verifier,
            idTokenExpected: true,
            ...(fresh ? { maxAge: openIdLimits.freshness } : {})
          })
          const token = tokens.claims()!
          // What scopes ask for stands in the userinfo answer (OpenID Connect Core, 5.4).
          const asks = provider.scopes.length > 1 && configuration.serverMetadata().userinfo_endpoint !== undefined
          const told = asks ? await client.fetchUserInfo(configuration, tokens.access_token, token.sub) : {}
          return identityOf(provider, token, { ...told, ...token })
        }),
        ({ cause }) => failed(provider.id, cause)
      )
      return found ?? (yield* openIdRefused)
    })
  })
})

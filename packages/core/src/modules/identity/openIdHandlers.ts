/** What stands behind the doors for signing in through an outside OpenID provider. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Refused } from "../../kernel/cases/model.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { Deployment } from "../../kernel/Deployment.ts"
import { answering, inTenant, RequestInfo } from "../../kernel/http/Door.ts"
import { problem, registerProblems } from "../../kernel/http/problems.ts"
import { tenantAddress } from "../../kernel/tenancy/address.ts"
import { IdentityApi } from "./api.ts"
import { enterByIdentity, linkIdentity } from "./openIdAccounts.ts"
import { secretPattern, startAttempt, takeAnswer, useTicket } from "./openIdAttempts.ts"
import { listLinks, unlinkOwn } from "./openIdLinks.ts"
import { openIdLimits } from "./openIdModel.ts"
import { offeredProviders } from "./openIdProviders.ts"
import { beginSession, writeRefusal } from "./signIn.ts"
import { limitByAddress, sessionAnswer, signedIn, visitOf } from "./visit.ts"

registerProblems({
  OpenIdUnavailable: (error) => problem(503, "provider-unavailable", error.message, {}, { "retry-after": "5" })
})

/** Where the request's tenant is, and what the browser is known by there. */
export const openIdPlace = Effect.gen(function* () {
  const { tenant } = yield* RequestInfo
  const { cookies, headers } = yield* HttpServerRequest.HttpServerRequest
  const address = tenantAddress(yield* Deployment, tenant, headers["host"] ?? "")
  if (address === undefined)
    return yield* new Refused({
      code: "no-address",
      message: "The city does not know under which address the world sees it. The operator sets publicUrl."
    })
  const { site } = address
  const secure = site.startsWith("https:")
  // The prefix keeps other hosts of the domain from putting a cookie of this name there (RFC 6265bis).
  const cookie = secure ? "__Host-mahalla-openid" : "mahalla-openid"
  const known = cookies[cookie]
  return {
    tenantId: tenant.tenantId,
    ownPage: `${site}/sign-in`,
    callbackOf: (provider: string) => `${site}/v1/auth/openid/${provider}/callback`,
    browser: known !== undefined && secretPattern.test(known) ? known : undefined,
    withCookie: (response: HttpServerResponse.HttpServerResponse, value: string) =>
      HttpServerResponse.setCookieUnsafe(response, cookie, value, {
        path: "/",
        httpOnly: true,
        secure,
        // It must come along when the provider sends the browser back.
        sameSite: "lax",
        maxAge: openIdLimits.attemptLife * 1_000
      })
  }
})

const seeOther = (url: string) => HttpServerResponse.redirect(url, { status: 303 })

const linkView = <Row extends { readonly createdAt: Date; readonly lastUsedAt: Date | null }>(row: Row) => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null
})

export const linkViews = (principalId: string) => Effect.map(listLinks(principalId), (rows) => rows.map(linkView))

const shownIdentity = Effect.fnUntraced(function* (payload: {
  readonly ticket: string
  readonly codeVerifier: string
}) {
  const { callbackOf, tenantId } = yield* openIdPlace
  yield* limitByAddress("openid", 300)
  return yield* useTicket(tenantId, payload, callbackOf)
})

export const openIdHandlers = HttpApiBuilder.group(IdentityApi, "openId", (group) =>
  group
    .handle("offeredProviders", () =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          return { items: yield* withTenant(tenant.tenantId)(offeredProviders) }
        })
      )
    )
    .handle("startOpenId", ({ params, query }) =>
      answering(
        Effect.gen(function* () {
          const place = yield* openIdPlace
          yield* limitByAddress("openid", 300)
          const { browser, url } = yield* startAttempt(place.tenantId, {
            provider: params.provider,
            callback: place.callbackOf(params.provider),
            ownPage: place.ownPage,
            browser: place.browser,
            redirectUri: query.redirectUri,
            codeChallenge: query.codeChallenge,
            appState: query.state,
            fresh: query.fresh === "true",
            language: query.language
          })
          return place.withCookie(seeOther(url), browser) as never
        })
      )
    )
    .handle("openIdCallback", ({ params, request }) =>
      answering(
        Effect.gen(function* () {
          const { browser, ownPage, tenantId } = yield* openIdPlace
          yield* limitByAddress("openid", 300)
          const search = request.url.slice(request.url.indexOf("?") + 1)
          const to = yield* takeAnswer(tenantId, params.provider, search, browser)
          if (to === undefined) yield* writeRefusal(tenantId, "openid")
          // Nobody knows which app it was, so the city's own page tells it.
          return seeOther(to ?? `${ownPage}?error=expired`) as never
        })
      )
    )
    .handle("openIdSignIn", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenant } = yield* RequestInfo
          const { tenantId } = tenant
          const visit = yield* visitOf(payload.device)
          const signIn = Effect.gen(function* () {
            const { identity, provider } = yield* shownIdentity(payload)
            // A provider that does not say when it looked at the person may have done so long ago: no proof for changing how one signs in.
            const proof = { secondFactor: identity.secondFactor, at: identity.at ?? new Date(0) }
            return yield* withTenant(tenantId)(
              Effect.flatMap(enterByIdentity(provider, identity, tenant.settings.languages[0] ?? "en"), (principalId) =>
                beginSession(principalId, "openid", visit, proof)
              )
            )
          })
          const tokens = yield* Effect.tapErrorTag(signIn, "SignInRefused", () => writeRefusal(tenantId, "openid"))
          return { ...(yield* sessionAnswer(tokens)), device: tokens.device }
        })
      )
    )
    .handle("listOpenIdLinks", () =>
      inTenant(
        Effect.flatMap(signedIn, ({ principalId }) => Effect.map(linkViews(principalId), (items) => ({ items })))
      )
    )
    .handle("linkOpenId", ({ payload }) =>
      answering(
        Effect.gen(function* () {
          const { tenantId, ...self } = yield* signedIn
          const { identity, provider } = yield* shownIdentity(payload)
          return linkView(yield* withTenant(tenantId)(linkIdentity(provider, identity, self)))
        })
      )
    )
    .handle("unlinkOpenId", ({ params }) => inTenant(Effect.flatMap(signedIn, (self) => unlinkOwn(self, params.id))))
)

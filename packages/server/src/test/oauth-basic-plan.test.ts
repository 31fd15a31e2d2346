/**
 * The modules of the OpenID Foundation's Basic certification plan as tests of the same names, so that an official run maps one to one. PKCE is in
 * every request here: this provider takes none without.
 */
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Browser, openBrowser } from "./oauth/browser.ts"
import {
  type App,
  anyPhone,
  callback,
  consent,
  discover,
  newApp,
  redeem,
  requestOf,
  signIn,
  tokenCall
} from "./oauth/kit.ts"

let kit: CityKit
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907200001"))
})
afterAll(() => kit?.close())

const identity = { scope: "openid", prompt: null, resource: null } as const

/** Signs in through a request, exchanges the code, and gives all of it. */
const run = async (change: Readonly<Record<string, string | null>> = {}, browser?: Browser) => {
  const request = await requestOf(app, { ...identity, ...change })
  const answer = await consent(kit, kit.samarkand, request.url, browser === undefined ? {} : { browser })
  expect(answer.searchParams.get("error")).toBeNull()
  const tokens = await redeem(app, answer, request)
  return { answer, request, tokens, claims: oauth.getValidatedIdTokenClaims(tokens)! }
}

/** What the app hears without anybody signing in. */
const ask = async (change: Readonly<Record<string, string | null>>, browser = openBrowser(kit.url)) => {
  const { url } = await requestOf(app, { ...identity, ...change })
  return browser.open(url.href)
}

const userinfo = async (token: string, init: RequestInit = {}) => {
  const response = await fetch(app.server.userinfo_endpoint!, {
    headers: { authorization: `Bearer ${token}` },
    ...init
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

test("oidcc-server", async () => {
  const { claims, tokens } = await run()
  expect(claims).toMatchObject({ iss: app.issuer, aud: app.id })
  expect(tokens.token_type).toBe("bearer")
})

test("oidcc-response-type-missing", async () => {
  const page = new URL((await ask({ response_type: null })).url)
  expect(page.searchParams.get("error")).toBe("invalid_request")
  expect(page.searchParams.get("state")).not.toBeNull()
})

test("oidcc-idtoken-signature", async () => {
  const { tokens } = await run()
  const set = jose.createRemoteJWKSet(new URL(app.server.jwks_uri!))
  const { protectedHeader } = await jose.jwtVerify(tokens.id_token!, set, { issuer: app.issuer, audience: app.id })
  expect(protectedHeader.alg).toBe("ES256")
  expect(protectedHeader.kid).toBeTypeOf("string")
})

test("oidcc-idtoken-unsigned", async () => {
  expect(app.server["id_token_signing_alg_values_supported"]).toEqual(["ES256"])
})

test("oidcc-userinfo-get", async () => {
  const { claims, tokens } = await run()
  expect(await userinfo(tokens.access_token)).toEqual({ status: 200, body: { sub: claims.sub } })
})

test("oidcc-userinfo-post-header", async () => {
  const { claims, tokens } = await run()
  expect(
    (
      await userinfo(tokens.access_token, {
        method: "POST",
        headers: { authorization: `Bearer ${tokens.access_token}` }
      })
    ).body
  ).toEqual({
    sub: claims.sub
  })
})

test("oidcc-userinfo-post-body", async () => {
  const { claims, tokens } = await run()
  const body = new URLSearchParams({ access_token: tokens.access_token })
  expect((await userinfo("", { method: "POST", headers: {}, body })).body).toEqual({ sub: claims.sub })
})

test("oidcc-ensure-request-without-nonce-succeeds-for-code-flow", async () => {
  const request = await requestOf(app, { ...identity, nonce: null })
  const answer = await consent(kit, kit.samarkand, request.url)
  const call = await tokenCall(app, {
    grant_type: "authorization_code",
    code: answer.searchParams.get("code")!,
    redirect_uri: callback,
    code_verifier: request.verifier
  })
  expect(call.status).toBe(200)
  expect(jose.decodeJwt(call.body.id_token)["nonce"]).toBeUndefined()
})

test("oidcc-scope-profile", async () => {
  const phone = anyPhone()
  const citizen = await kit.samarkand.citizen(phone)
  await citizen.call("PATCH", "/v1/me", { body: { name: "Nodira" } })
  const request = await requestOf(app, { ...identity, scope: "openid profile" })
  const tokens = await redeem(app, await consent(kit, kit.samarkand, request.url, { phone }), request)
  expect((await userinfo(tokens.access_token)).body).toEqual({ sub: citizen.id, name: "Nodira", locale: "uz" })
})

/** Scopes that are not offered are ignored, and so not in the answer. */
test.each(["email", "address", "phone"])("oidcc-scope-%s", async (scope) => {
  expect(app.server.scopes_supported).not.toContain(scope)
  const { tokens } = await run({ scope: `openid ${scope}` })
  expect(tokens.scope).toBe("openid")
})

test("oidcc-scope-all", async () => {
  const { tokens } = await run({ scope: "openid profile email address phone" })
  expect(tokens.scope).toBe("openid profile")
})

test("oidcc-alternate-happy-flow", async () => {
  const request = await requestOf(app, { ...identity, scope: "profile openid" })
  const reordered = new URL(request.url)
  reordered.search = new URLSearchParams([...request.url.searchParams].reverse()).toString()
  const tokens = await redeem(app, await consent(kit, kit.samarkand, reordered), request)
  expect(tokens.scope?.split(" ").sort()).toEqual(["openid", "profile"])
})

test.each(["page", "popup"])("oidcc-display-%s", async (display) => {
  expect((await run({ display })).claims.sub).toBeTypeOf("string")
})

test("oidcc-prompt-login", async () => {
  const browser = openBrowser(kit.url)
  await run({}, browser)
  const page = await ask({ prompt: "login" }, browser)
  expect([page.status, page.html.includes('name="phone"')]).toEqual([200, true])
})

test("oidcc-prompt-none-not-logged-in", async () => {
  const page = new URL((await ask({ prompt: "none" })).url)
  expect(page.searchParams.get("error")).toBe("login_required")
})

test("oidcc-prompt-none-logged-in", async () => {
  const browser = openBrowser(kit.url)
  const first = await run({}, browser)
  const second = await run({ prompt: "none" }, browser)
  expect(second.claims.sub).toBe(first.claims.sub)
  expect(second.claims["auth_time"]).toBe(first.claims["auth_time"])
})

test("oidcc-max-age-1", async () => {
  const browser = openBrowser(kit.url)
  await run({}, browser)
  // The library has no clock of ours: the process's own is put forward.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_000 })
  const page = await ask({ max_age: "1" }, browser).finally(() => vi.useRealTimers())
  expect(page.html).toContain('name="phone"')
  const signed = await signIn(kit.samarkand, browser, page, anyPhone())
  expect(signed.status === 0 || signed.html.includes("/consent")).toBe(true)
})

test("oidcc-max-age-10000", async () => {
  const browser = openBrowser(kit.url)
  const first = await run({ max_age: "10000" }, browser)
  const second = await run({ max_age: "10000" }, browser)
  expect(second.claims["auth_time"]).toBe(first.claims["auth_time"])
  expect(first.claims["auth_time"]).toBeTypeOf("number")
})

test("oidcc-ensure-request-with-unknown-parameter-succeeds", async () => {
  expect((await run({ extra: "foobar" })).tokens.id_token).toBeTypeOf("string")
})

test("oidcc-id-token-hint", async () => {
  const browser = openBrowser(kit.url)
  const first = await run({}, browser)
  const second = await run({ prompt: "none", id_token_hint: first.tokens.id_token! }, browser)
  expect(second.claims.sub).toBe(first.claims.sub)
  const other = await run()
  const page = new URL((await ask({ prompt: "none", id_token_hint: other.tokens.id_token! }, browser)).url)
  expect(page.searchParams.get("error")).toBe("login_required")
})

test("oidcc-login-hint", async () => {
  expect((await run({ login_hint: "somebody@example.com" })).tokens.id_token).toBeTypeOf("string")
})

test("oidcc-ui-locales", async () => {
  const page = await ask({ ui_locales: "ru-RU se" })
  expect(page.html).toContain('<html lang="ru">')
})

test("oidcc-claims-locales", async () => {
  expect((await run({ claims_locales: "se" })).tokens.id_token).toBeTypeOf("string")
})

test("oidcc-ensure-request-with-acr-values-succeeds", async () => {
  expect((await run({ acr_values: "1 2" })).tokens.id_token).toBeTypeOf("string")
})

test("oidcc-codereuse", async () => {
  const { answer, request, tokens } = await run()
  await expect(redeem(app, answer, request)).rejects.toMatchObject({ error: "invalid_grant" })
  expect((await userinfo(tokens.access_token)).status).toBe(401)
})

test("oidcc-codereuse-30seconds", async () => {
  const { answer, request, tokens } = await run()
  // As thirty seconds later: the code is still within its minute.
  await kit.sql(
    "update mahalla.oauth_record set consumed_at = consumed_at - interval '30 seconds', expires_at = expires_at - interval '30 seconds' where model = 'AuthorizationCode'"
  )
  await expect(redeem(app, answer, request)).rejects.toMatchObject({ error: "invalid_grant" })
  expect((await userinfo(tokens.access_token)).status).toBe(401)
})

test("oidcc-ensure-registered-redirect-uri", async () => {
  const page = await ask({ redirect_uri: "https://other.example/callback" })
  expect([page.status, new URL(page.url).origin]).toEqual([400, kit.url])
})

test("oidcc-ensure-post-request-succeeds", async () => {
  const request = await requestOf(app, identity)
  const response = await fetch(app.server.authorization_endpoint!, {
    method: "POST",
    body: request.url.searchParams,
    redirect: "manual"
  })
  expect(response.status).toBe(303)
  const url = new URL(response.headers.get("location")!, app.issuer)
  const answer = await consent(kit, kit.samarkand, url)
  expect((await redeem(app, answer, request)).id_token).toBeTypeOf("string")
})

test("oidcc-server-client-secret-post", async () => {
  const byPost: App = { ...app, auth: oauth.ClientSecretPost(app.secret!) }
  const once = async (as: App) => {
    const request = await requestOf(app, identity)
    return redeem(as, await consent(kit, kit.samarkand, request.url), request)
  }
  expect((await once(byPost)).id_token).toBeTypeOf("string")
  await expect(once({ ...app, auth: oauth.ClientSecretPost("wrong") })).rejects.toMatchObject({
    error: "invalid_client"
  })
})

test("oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", async () => {
  const request = new jose.UnsecuredJWT({ client_id: app.id, response_type: "code", redirect_uri: callback }).encode()
  const page = new URL((await ask({ request })).url)
  expect(page.searchParams.get("error")).toBe("request_not_supported")
})

test("oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", async () => {
  expect(app.server.request_uri_parameter_supported).toBe(false)
  const page = new URL((await ask({ request_uri: "https://app.example/request.jwt" })).url)
  expect(page.searchParams.get("error")).toBe("request_uri_not_supported")
})

test("oidcc-claims-essential", async () => {
  expect((await discover(app.issuer)).claims_parameter_supported).toBe(false)
  const { tokens } = await run({ claims: JSON.stringify({ userinfo: { name: { essential: true } } }) })
  expect(Object.keys((await userinfo(tokens.access_token)).body)).toEqual(["sub"])
})

test("oidcc-ensure-request-object-with-redirect-uri", async () => {
  const request = new jose.UnsecuredJWT({ redirect_uri: callback }).encode()
  const page = await ask({ request, redirect_uri: "https://other.example/callback" })
  expect(new URL(page.url).origin).toBe(kit.url)
  expect(page.status).toBe(400)
})

test("oidcc-refresh-token", async () => {
  const { claims, tokens } = await run({ scope: "openid offline_access", prompt: "consent" })
  const call = await tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
  expect(call.status).toBe(200)
  expect(jose.decodeJwt(call.body.id_token).sub).toBe(claims.sub)
  expect((await userinfo(call.body.access_token)).body["sub"]).toBe(claims.sub)
  const other = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907200002"))
  const stolen = await tokenCall(other, { grant_type: "refresh_token", refresh_token: call.body.refresh_token })
  expect([stolen.status, stolen.body.error]).toEqual([400, "invalid_grant"])
})

test("oidcc-ensure-request-with-valid-pkce-succeeds", async () => {
  expect((await run()).tokens.access_token).toBeTypeOf("string")
})

/** RFC 9700, the best current practice for OAuth security, in eighteen checks. */
import * as fc from "fast-check"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { formOf, openBrowser } from "./oauth/browser.ts"
import {
  type App,
  anyPhone,
  callback,
  connected,
  consent,
  newApp,
  plain,
  redeem,
  requestOf,
  signIn,
  tokenCall
} from "./oauth/kit.ts"

let kit: CityKit
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907500001"))
})
afterAll(() => kit?.close())

const ask = async (change: Readonly<Record<string, string | null>>) => {
  const { url } = await requestOf(app, change)
  return openBrowser(kit.url).open(url.href)
}
/** The pages as a browser meets them: sign-in, then consent. */
const pages = async () => {
  const browser = openBrowser(kit.url)
  const { url } = await requestOf(app)
  const phonePage = await browser.open(url.href)
  const codePage = await browser.submit(phonePage, "phone", [["phone", anyPhone()]])
  const other = openBrowser(kit.url)
  const consentPage = await signIn(kit.samarkand, other, await other.open(url.href), anyPhone())
  return { browser, other, all: [phonePage, codePage, consentPage], consentPage, phonePage, codePage }
}
const bearing = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })

test("01_redirect_addresses_are_compared_as_exact_text", async () => {
  const variants = [
    `${callback}/`,
    callback.toUpperCase(),
    callback.replace("https", "http"),
    callback.replace("/callback", ":444/callback"),
    callback.replace("/callback", "/x/../callback"),
    callback.replace("/callback", "/%63allback"),
    callback.replace("https://", "https://user@"),
    callback.replace("/callback", "%2fcallback"),
    `${callback}?next=1`,
    `${callback}#x`,
    callback.replace("app.example", "app.example.evil.example"),
    callback.replace("app.example", "sub.app.example")
  ]
  for (const redirect_uri of variants) {
    const page = await ask({ redirect_uri })
    expect([redirect_uri, page.status, new URL(page.url).origin]).toEqual([redirect_uri, 400, kit.url])
  }
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, maxLength: 8 }), async (tail) => {
      const page = await ask({ redirect_uri: callback + tail })
      expect([page.status, new URL(page.url).origin]).toEqual([400, kit.url])
    }),
    { numRuns: 25 }
  )
})

test("02_no_address_of_ours_redirects_to_anywhere", async () => {
  for (const path of ["/auth", "/auth/none", "/interaction/none", "/session/end", "/session/end/confirm"]) {
    const url = `${app.issuer}${path}?redirect_uri=https://evil.example&post_logout_redirect_uri=https://evil.example&returnTo=https://evil.example`
    const response = await fetch(url, { redirect: "manual" })
    expect([path, response.headers.get("location")]).toEqual([path, null])
  }
})

test("03_a_code_is_used_once_and_its_second_use_ends_its_tokens", async () => {
  const { code, request, tokens } = await connected(kit, kit.samarkand, app)
  const again = await tokenCall(app, {
    grant_type: "authorization_code",
    code,
    redirect_uri: callback,
    code_verifier: request.verifier
  })
  expect(again.body.error).toBe("invalid_grant")
  expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
})

test("04_a_code_lives_a_minute", async () => {
  const request = await requestOf(app)
  const answer = await consent(kit, kit.samarkand, request.url)
  const [row] = await kit.sql<{ life: number }>(
    "select extract(epoch from max(expires_at) - now())::float as life from mahalla.oauth_record where model = 'AuthorizationCode'"
  )
  expect(row!.life).toBeLessThanOrEqual(61)
  await kit.sql(
    "update mahalla.oauth_record set expires_at = now() - interval '1 second' where model = 'AuthorizationCode'"
  )
  await expect(redeem(app, answer, request)).rejects.toMatchObject({ error: "invalid_grant" })
})

test("05_PKCE_is_required_and_S256_only", async () => {
  for (const change of [
    { code_challenge: null, code_challenge_method: null },
    { code_challenge_method: "plain" },
    { code_challenge_method: null }
  ]) {
    const page = new URL((await ask(change)).url)
    expect([change, page.searchParams.get("error")]).toEqual([change, "invalid_request"])
  }
  const request = await requestOf(app)
  const code = (await consent(kit, kit.samarkand, request.url)).searchParams.get("code")!
  const given = { grant_type: "authorization_code", code, redirect_uri: callback }
  expect((await tokenCall(app, given)).body.error).toBe("invalid_grant")
  expect((await tokenCall(app, { ...given, code_verifier: "x".repeat(43) })).body.error).toBe("invalid_grant")
})

test("06_a_verifier_without_a_challenge_is_refused", async () => {
  // No request without a challenge gets a code at all, so no code is there for which a verifier could be left out.
  const pushed = await requestOf(app, { code_challenge: null, code_challenge_method: null })
  const response = await oauth.pushedAuthorizationRequest(
    app.server,
    app.client,
    app.auth,
    pushed.url.searchParams,
    plain
  )
  expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([400, "invalid_request"])
})

test("07_there_is_no_implicit_and_no_password_grant", async () => {
  for (const response_type of ["token", "id_token", "id_token token", "code token", "code id_token"]) {
    const { hash, search } = new URL((await ask({ response_type })).url)
    // Types that would have answered in the fragment hear of it there.
    const error = new URLSearchParams(hash === "" ? search : hash.slice(1)).get("error")
    expect([response_type, error]).toEqual([response_type, "unsupported_response_type"])
  }
  const call = await tokenCall(app, { grant_type: "password", username: "x", password: "y" })
  expect(call.body.error).toBe("unsupported_grant_type")
})

test("08_every_answer_names_its_issuer", async () => {
  const request = await requestOf(app)
  const answer = await consent(kit, kit.samarkand, request.url)
  expect(answer.searchParams.get("iss")).toBe(app.issuer)
  const failed = new URL((await ask({ prompt: "none" })).url)
  expect(failed.searchParams.get("iss")).toBe(app.issuer)
  expect(app.server.authorization_response_iss_parameter_supported).toBe(true)
})

test("09_refresh_tokens_change_with_each_use_and_reuse_ends_the_family", async () => {
  const { tokens } = await connected(kit, kit.samarkand, app)
  const renew = (refresh_token: string) =>
    tokenCall(app, { grant_type: "refresh_token", refresh_token, resource: app.resource })
  const next = await renew(tokens.refresh_token!)
  expect(next.body.refresh_token).not.toBe(tokens.refresh_token)
  expect((await renew(tokens.refresh_token!)).status).toBe(400)
  expect((await renew(next.body.refresh_token)).status).toBe(400)
})

test("10_refresh_tokens_end_ninety_days_after_consent", async () => {
  const { tokens } = await connected(kit, kit.samarkand, app)
  const [row] = await kit.sql<{ days: number }>(
    "select extract(epoch from expires_at - created_at)::float / 86400 as days from mahalla.oauth_grant where id = $1",
    [jose.decodeJwt(tokens.access_token)["grant"]]
  )
  expect(row!.days).toBeCloseTo(90, 2)
  await kit.sql("update mahalla.oauth_grant set expires_at = now() - interval '1 second' where id = $1", [
    jose.decodeJwt(tokens.access_token)["grant"]
  ])
  const call = await tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
  expect(call.body.error).toBe("invalid_grant")
  expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
})

test("11_a_citizen_lists_and_revokes_apps", async () => {
  const { phone } = await connected(kit, kit.samarkand, app)
  const citizen = await kit.samarkand.citizen(phone)
  expect((await citizen.get("/v1/me/apps")).body.items.map(({ id }: { id: string }) => id)).toEqual([app.id])
  expect((await citizen.call("DELETE", `/v1/me/apps/${app.id}`)).status).toBe(204)
})

test("12_access_tokens_are_for_one_audience", async () => {
  const request = await requestOf(app)
  const answer = await consent(kit, kit.samarkand, request.url)
  // Without a resource the token is for the provider's own userinfo, and the API does not take it; the other way round neither.
  const tokens = await redeem(app, answer, request)
  expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
  const api = (await connected(kit, kit.samarkand, app)).tokens
  const userinfo = await fetch(app.server.userinfo_endpoint!, {
    headers: { authorization: `Bearer ${api.access_token}` }
  })
  expect(userinfo.status).toBe(401)
})

test("13_scope_and_subject_are_both_held", async () => {
  const mine = await connected(kit, kit.samarkand, app)
  const theirs = await kit.samarkand.citizen(anyPhone())
  expect((await bearing(mine.tokens.access_token).get("/v1/me")).status).toBe(403)
  expect(jose.decodeJwt(mine.tokens.access_token).sub).not.toBe(theirs.id)
  expect((await bearing(mine.tokens.access_token).get("/v1/cases?owner=me")).body.items).toEqual([])
})

test("14_each_app_has_its_own_grants_scopes_and_response_modes", async () => {
  const developer = await kit.samarkand.citizen("+998907500002")
  const narrow = await newApp(kit.samarkand, developer, {
    grantTypes: ["authorization_code"],
    scopes: ["openid", "cases.read"]
  })
  for (const body of [
    { grant_type: "client_credentials", scope: "cases.read-all" },
    { grant_type: "refresh_token", refresh_token: "x" }
  ]) {
    const refused = await tokenCall(narrow, body)
    expect([refused.status, refused.body.error_description]).toEqual([
      400,
      "requested grant type is not allowed for this client"
    ])
  }
  const request = await requestOf(narrow, { scope: "openid cases.read cases.write" })
  const answer = await consent(kit, kit.samarkand, request.url)
  const tokens = await redeem(narrow, answer, request, { resource: narrow.resource })
  expect(tokens.scope).toBe("cases.read")
  const profile = new URL(
    (await openBrowser(kit.url).open((await requestOf(narrow, { scope: "openid profile" })).url.href)).url
  )
  expect(profile.searchParams.get("error")).toBe("invalid_scope")
  expect(app.server.response_modes_supported).not.toContain("web_message")
})

test("15_apps_with_a_secret_show_it_at_token_PAR_and_revocation", async () => {
  const { tokens } = await connected(kit, kit.samarkand, app)
  for (const endpoint of [
    app.server.token_endpoint!,
    app.server.pushed_authorization_request_endpoint!,
    app.server.revocation_endpoint!,
    app.server.introspection_endpoint!
  ])
    for (const auth of [{}, { authorization: `Basic ${Buffer.from(`${app.id}:wrong`).toString("base64")}` }]) {
      const response = await fetch(endpoint, {
        method: "POST",
        body: new URLSearchParams({ client_id: app.id, token: tokens.refresh_token!, grant_type: "refresh_token" }),
        headers: auth as Record<string, string>
      })
      expect([endpoint, response.status]).toEqual([endpoint, 401])
    }
  expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
})

test("16_no_token_stands_in_an_address_and_no_page_tells_where_one_was", async () => {
  const { tokens } = await connected(kit, kit.samarkand, app)
  const userinfo = await fetch(`${app.server.userinfo_endpoint!}?access_token=${tokens.access_token}`)
  expect(userinfo.status).toBe(400)
  expect((await kit.samarkand.visitor.get(`/v1/me?access_token=${tokens.access_token}`)).body?.id ?? null).toBeNull()
  for (const page of (await pages()).all) expect(page.headers.get("referrer-policy")).toBe("no-referrer")
})

test("17_pages_stand_in_no_frame_run_no_script_and_every_form_ends_in_303", async () => {
  const { all, codePage, other, consentPage } = await pages()
  for (const page of all) {
    const policy = page.headers.get("content-security-policy")!
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain("default-src 'none'")
    expect(page.headers.get("x-frame-options")).toBe("DENY")
    expect(page.headers.get("cache-control")).toBe("no-store")
    expect(page.html).not.toMatch(/<script|\son\w+=|javascript:/i)
  }
  expect(codePage.url).not.toMatch(/998/)
  const { action, hidden } = formOf(consentPage, "consent")
  const cookie = other.cookieFor(action)
  const send = (fields: ReadonlyArray<readonly [string, string]>, headers: Record<string, string> = {}) =>
    fetch(action, {
      method: "POST",
      redirect: "manual",
      body: new URLSearchParams(fields.map(([name, value]) => [name, value])),
      headers: { cookie, ...headers }
    })
  // Without the form's proof, with another's, from another site, or without the browser's own cookie: nothing happens.
  expect((await send([["scope", "cases.read"]])).status).toBe(403)
  expect(
    (
      await send([
        ["csrf", "another"],
        ["scope", "cases.read"]
      ])
    ).status
  ).toBe(403)
  expect((await send(hidden, { origin: "https://evil.example" })).status).toBe(403)
  expect((await send(hidden, { "sec-fetch-site": "cross-site" })).status).toBe(403)
  expect((await send(hidden, { cookie: "" })).status).toBe(400)
  const good = await send([...hidden, ["scope", "cases.read"]], { origin: kit.url })
  expect(good.status).toBe(303)
})

test("18_an_app_is_never_taken_for_a_person", async () => {
  const server = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907500003"), {
    grantTypes: ["client_credentials"],
    redirectUris: [],
    scopes: ["cases.read-all"]
  })
  const call = await tokenCall(server, { grant_type: "client_credentials", scope: "cases.read-all" })
  const claims = jose.decodeJwt(call.body.access_token)
  expect([claims.sub, claims["client_id"], claims["grant"]]).toEqual([server.id, server.id, undefined])
  const [row] = await kit.sql<{ kind: string }>("select kind from mahalla.principal where id = $1", [claims.sub])
  expect(row?.kind).toBe("app")
  // The same row cannot be a person too, nor can a person's id become an app's.
  const person = await kit.samarkand.citizen(anyPhone())
  await expect(
    kit.sql(
      `insert into mahalla.principal (tenant_id, id, kind) select tenant_id, id, 'app' from mahalla.principal where id = $1`,
      [person.id]
    )
  ).rejects.toThrow(/duplicate key/)
})

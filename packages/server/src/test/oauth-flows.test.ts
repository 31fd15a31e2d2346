/** Every flow of the OAuth provider, driven over HTTP by a client that is not ours. */
import { createHash } from "node:crypto"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { type Client, makeClient } from "./client.ts"
import { type App, callback, connected, consent, newApp, plain, redeem, requestOf, tokenCall } from "./oauth/kit.ts"

let kit: CityKit
let developer: Client
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  developer = await kit.samarkand.citizen("+998907000001")
  app = await newApp(kit.samarkand, developer)
})
afterAll(() => kit?.close())

const bearing = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })

describe("authorization code with PKCE", () => {
  test("gives_an_app_with_a_secret_tokens_that_open_what_was_ticked", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    expect(tokens.expires_in).toBeLessThanOrEqual(900)
    const caller = bearing(tokens.access_token)
    const list = await caller.get("/v1/cases?owner=me")
    expect([list.status, list.body.items]).toEqual([200, []])
    const id = oauth.getValidatedIdTokenClaims(tokens as oauth.TokenEndpointResponse)!
    const claims = jose.decodeJwt(tokens.access_token)
    expect(claims.sub).toBe(id.sub)
    expect(jose.decodeProtectedHeader(tokens.access_token)).toMatchObject({ alg: "ES256", typ: "app-at+jwt" })
    expect([claims.iss, claims.aud]).toEqual([app.issuer, app.resource])
  })

  test("gives_a_public_app_tokens_too", async () => {
    const open = await newApp(kit.samarkand, developer, { auth: "none" })
    const { tokens } = await connected(kit, kit.samarkand, open)
    expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
    expect(tokens.refresh_token).toBeTypeOf("string")
  })

  test("knows_an_app_by_its_own_key", async () => {
    const { privateKey, publicKey } = await oauth.generateKeyPair("ES256")
    const jwk = { ...(await jose.exportJWK(publicKey)), kid: "k1", alg: "ES256" }
    const keyed = await newApp(kit.samarkand, developer, { auth: "private_key_jwt", jwks: { keys: [jwk] } })
    const strong = { ...keyed, auth: oauth.PrivateKeyJwt({ key: privateKey, kid: "k1" }) }
    const { tokens } = await connected(kit, kit.samarkand, strong)
    expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
    const other = (await oauth.generateKeyPair("ES256")).privateKey
    const request = await requestOf(strong)
    const answer = await consent(kit, kit.samarkand, request.url)
    await expect(
      redeem({ ...strong, auth: oauth.PrivateKeyJwt({ key: other, kid: "k1" }) }, answer, request)
    ).rejects.toMatchObject({ error: "invalid_client" })
  })

  test("acts_in_the_citizens_name_and_no_further", async () => {
    const { phone, tokens } = await connected(kit, kit.samarkand, app)
    const caller = bearing(tokens.access_token)
    const made = await report(caller, { description: "Sent by the app" })
    const citizen = await kit.samarkand.citizen(phone)
    expect((await citizen.get(`/v1/cases/traffic-report/${made.id}`)).body.ownerId).toBe(citizen.id)
    expect((await caller.get(`/v1/cases/traffic-report/${made.id}`)).status).toBe(200)
    for (const path of [
      "/v1/me",
      "/v1/me/apps",
      "/v1/apps",
      "/v1/payouts",
      "/v1/events",
      "/v1/principals",
      "/v1/outbox"
    ])
      expect([path, (await caller.get(path)).status]).toEqual([path, 403])
    expect((await caller.call("PATCH", "/v1/me", { body: { name: "x" } })).status).toBe(403)
  })

  test("gives_an_app_of_staff_rights_no_more_than_a_citizen_ticked", async () => {
    const { phone, tokens } = await connected(kit, kit.samarkand, app)
    const citizen = await kit.samarkand.citizen(phone)
    const other = await report(await kit.samarkand.citizen("+998907000099"))
    await kit.samarkand.staff["municipality-admin"].post(`/v1/principals/${citizen.id}/grants`, { role: "inspector" })
    expect((await citizen.get(`/v1/cases/traffic-report/${other.id}`)).status).toBe(200)
    expect((await bearing(tokens.access_token).get(`/v1/cases/traffic-report/${other.id}`)).status).toBe(404)
    const seen = await bearing(tokens.access_token).get("/v1/cases")
    expect([seen.status, seen.body.items]).toEqual([200, []])
  })

  test("gives_what_was_not_ticked_to_nobody", async () => {
    const request = await requestOf(app)
    const answer = await consent(kit, kit.samarkand, request.url, { scopes: ["cases.read"] })
    const tokens = await redeem(app, answer, request, { resource: app.resource })
    expect([tokens.scope, tokens.refresh_token]).toEqual(["cases.read", undefined])
    const caller = bearing(tokens.access_token)
    expect((await caller.get("/v1/cases?owner=me")).status).toBe(200)
    expect((await caller.post("/v1/cases/traffic-report", {})).status).toBe(403)
  })
})

describe("refresh", () => {
  const renew = async (token: string, given = app) =>
    oauth.processRefreshTokenResponse(
      given.server,
      given.client,
      await oauth.refreshTokenGrantRequest(given.server, given.client, given.auth, token, {
        ...plain,
        additionalParameters: { resource: given.resource }
      })
    )

  test("always_gives_another_token_and_prolongs_nothing", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const expiry = async () =>
      (
        await kit.sql<{ expires_at: Date }>(
          "select expires_at from mahalla.oauth_record where model = 'RefreshToken' and consumed_at is null order by expires_at desc limit 1"
        )
      )[0]!.expires_at.getTime()
    const before = await expiry()
    const next = await renew(tokens.refresh_token!)
    expect(next.refresh_token).not.toBe(tokens.refresh_token)
    expect(Math.abs((await expiry()) - before)).toBeLessThanOrEqual(2_000)
    expect((await bearing(next.access_token).get("/v1/cases?owner=me")).status).toBe(200)
  })

  test("asks_for_less_but_never_for_more", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const call = await tokenCall(app, {
      grant_type: "refresh_token",
      refresh_token: tokens.refresh_token!,
      scope: "cases.read payouts.read",
      resource: app.resource
    })
    expect([call.status, call.body.error]).toEqual([400, "invalid_scope"])
    const less = await tokenCall(app, {
      grant_type: "refresh_token",
      refresh_token: tokens.refresh_token!,
      scope: "cases.read",
      resource: app.resource
    })
    expect([less.status, less.body.scope]).toEqual([200, "cases.read"])
  })
})

describe("client credentials", () => {
  test("let_an_app_act_as_itself_with_the_roles_it_was_given", async () => {
    const server = await newApp(kit.samarkand, developer, {
      grantTypes: ["client_credentials"],
      redirectUris: [],
      scopes: ["cases.read-all"]
    })
    const tokens = await oauth.processClientCredentialsResponse(
      server.server,
      server.client,
      await oauth.clientCredentialsGrantRequest(
        server.server,
        server.client,
        server.auth,
        { resource: server.resource, scope: "cases.read-all" },
        plain
      )
    )
    const made = await report(await kit.samarkand.citizen("+998907000098"))
    const caller = bearing(tokens.access_token)
    expect((await caller.get(`/v1/cases/traffic-report/${made.id}`)).status).toBe(404)
    const given = await kit.samarkand.staff["municipality-admin"].post(`/v1/principals/${server.id}/grants`, {
      role: "auditor"
    })
    expect(given.status).toBe(201)
    expect((await caller.get(`/v1/cases/traffic-report/${made.id}`)).status).toBe(200)
    expect((await caller.get("/v1/event-log")).status).toBe(403)
    expect(jose.decodeJwt(tokens.access_token).sub).toBe(server.id)
  })
})

describe("introspection and revocation", () => {
  const inspect = async (given: App, token: string) =>
    oauth.processIntrospectionResponse(
      given.server,
      given.client,
      await oauth.introspectionRequest(given.server, given.client, given.auth, token, plain)
    )

  test("tell_an_app_about_its_own_tokens_only", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const other = await newApp(kit.samarkand, developer)
    expect((await inspect(app, tokens.refresh_token!)).active).toBe(true)
    expect((await inspect(other, tokens.refresh_token!)).active).toBe(false)
  })

  test("of_a_refresh_token_end_the_access_token_at_the_next_request", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const caller = bearing(tokens.access_token)
    expect((await caller.get("/v1/cases?owner=me")).status).toBe(200)
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(app.server, app.client, app.auth, tokens.refresh_token!, plain)
    )
    expect((await caller.get("/v1/cases?owner=me")).status).toBe(401)
    expect((await inspect(app, tokens.refresh_token!)).active).toBe(false)
    const [grant] = await kit.sql<{ revoked_by: string }>("select revoked_by from mahalla.oauth_grant where id = $1", [
      jose.decodeJwt(tokens.access_token)["grant"]
    ])
    expect(grant?.revoked_by).toBe("app")
  })

  test("of_another_apps_token_are_refused", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const other = await newApp(kit.samarkand, developer)
    await oauth.revocationRequest(other.server, other.client, other.auth, tokens.refresh_token!, plain)
    expect((await inspect(app, tokens.refresh_token!)).active).toBe(true)
  })
})

describe("pushed authorization requests", () => {
  test("keep_the_request_out_of_the_browser", async () => {
    const request = await requestOf(app)
    const pushed = await oauth.processPushedAuthorizationResponse(
      app.server,
      app.client,
      await oauth.pushedAuthorizationRequest(app.server, app.client, app.auth, request.url.searchParams, plain)
    )
    const url = new URL(app.server.authorization_endpoint!)
    url.searchParams.set("client_id", app.id)
    url.searchParams.set("request_uri", pushed.request_uri)
    const answer = await consent(kit, kit.samarkand, url)
    const tokens = await redeem(app, answer, request, { resource: app.resource })
    expect(tokens.scope).toBe("cases.read cases.write")
  })

  test("need_the_apps_secret", async () => {
    const request = await requestOf(app)
    const response = await oauth.pushedAuthorizationRequest(
      app.server,
      app.client,
      oauth.ClientSecretBasic("wrong"),
      request.url.searchParams,
      plain
    )
    expect(response.status).toBe(401)
  })
})

describe("DPoP", () => {
  const bound = async () => {
    const open = await newApp(kit.samarkand, developer, { auth: "none" })
    const keys = await oauth.generateKeyPair("ES256", { extractable: true })
    const handle = oauth.DPoP(open.client, keys)
    const request = await requestOf(open)
    const answer = await consent(kit, kit.samarkand, request.url)
    const tokens = await redeem(open, answer, request, { resource: open.resource }, { DPoP: handle })
    return { open, keys, handle, tokens }
  }
  const api = (path: string) => new URL(`${kit.url}/t/samarkand${path}`)
  const call = (token: string, handle: oauth.DPoPHandle, path = "/v1/cases?owner=me") =>
    oauth.protectedResourceRequest(token, "GET", api(path), undefined, undefined, { ...plain, DPoP: handle })

  test("binds_access_and_refresh_tokens_to_the_apps_key", async () => {
    const { handle, open, tokens } = await bound()
    expect(tokens.token_type).toBe("dpop")
    expect((await call(tokens.access_token, handle)).status).toBe(200)
    expect((await call(tokens.access_token, handle)).status).toBe(200)
    const thief = oauth.DPoP(open.client, await oauth.generateKeyPair("ES256"))
    await expect(call(tokens.access_token, thief)).rejects.toMatchObject({ status: 401 })
    const asBearer = await bearing(tokens.access_token).get("/v1/cases?owner=me")
    expect(asBearer.status).toBe(401)
    const stolen = await tokenCall(open, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
    expect([stolen.status, stolen.body.error]).toEqual([400, "invalid_grant"])
  })

  test("refuses_proofs_used_twice_for_another_request_or_of_another_time", async () => {
    const { keys, tokens } = await bound()
    const jwk = await jose.exportJWK(keys.publicKey)
    const proof = (change: Record<string, unknown> = {}, at = Math.floor(Date.now() / 1000)) =>
      new jose.SignJWT({
        jti: crypto.randomUUID(),
        htm: "GET",
        htu: api("/v1/cases").href,
        ath: createHash("sha256").update(tokens.access_token).digest("base64url"),
        ...change
      })
        .setIssuedAt(at)
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk })
        .sign(keys.privateKey)
    const send = async (dpop: string) =>
      (
        await kit.samarkand.visitor
          .with({ authorization: `DPoP ${tokens.access_token}`, dpop })
          .get("/v1/cases?owner=me")
      ).status
    const good = await proof()
    expect(await send(good)).toBe(200)
    expect(await send(good)).toBe(401)
    const now = Math.floor(Date.now() / 1000)
    for (const bad of [
      proof({ htm: "POST" }),
      proof({ htu: api("/v1/payouts").href }),
      proof({ htu: "https://other.example/v1/cases" }),
      proof({ ath: "another" }),
      proof({}, now - 300),
      proof({}, now + 300)
    ])
      expect(await send(await bad)).toBe(401)
    // Ten at once with one proof: one is let in.
    const shared = await proof()
    const all = await Promise.all(Array.from({ length: 10 }, () => send(shared)))
    expect(all.filter((status) => status === 200)).toHaveLength(1)
  })
})

describe("tokens of two families", () => {
  test("never_pass_for_each_other", async () => {
    const citizen = await kit.samarkand.citizen("+998907000002")
    const first = citizen.headers["authorization"]!.slice("Bearer ".length)
    // First-party at every OAuth endpoint.
    const userinfo = await fetch(app.server.userinfo_endpoint!, { headers: { authorization: `Bearer ${first}` } })
    expect(userinfo.status).toBe(401)
    const inspected = await oauth.introspectionRequest(app.server, app.client, app.auth, first, plain)
    expect(((await inspected.json()) as { active?: boolean }).active).not.toBe(true)
    const renewed = await tokenCall(app, { grant_type: "refresh_token", refresh_token: first })
    expect(renewed.body.error).toBe("invalid_grant")
    // Third-party where the city's own are expected: signed with its key, typed as the other, and back.
    const { tokens } = await connected(kit, kit.samarkand, app)
    const [header = "", payload = "", signature = ""] = tokens.access_token.split(".")
    const retyped = Buffer.from(
      JSON.stringify({ ...jose.decodeProtectedHeader(tokens.access_token), typ: "at+jwt" })
    ).toString("base64url")
    const own = Buffer.from(JSON.stringify({ ...jose.decodeProtectedHeader(first), typ: "app-at+jwt" })).toString(
      "base64url"
    )
    for (const token of [
      `${retyped}.${payload}.${signature}`,
      `${own}.${first.split(".").slice(1).join(".")}`,
      `${header}.${first.split(".")[1]}.${signature}`,
      tokens.id_token!,
      tokens.refresh_token!
    ])
      expect((await bearing(token).get("/v1/cases?owner=me")).status).toBe(401)
  })

  test("of_another_city_app_or_audience_are_refused", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const elsewhere = makeClient(`${kit.url}/t/bukhara`, { authorization: `Bearer ${tokens.access_token}` })
    expect((await elsewhere.get("/v1/cases")).status).toBe(401)
    const request = await requestOf(app, { resource: "https://other.example/api" })
    const answer = await consent(kit, kit.samarkand, request.url)
    expect(answer.searchParams.get("error")).toBe("invalid_target")
    expect(answer.origin + answer.pathname).toBe(callback)
  })
})

describe("metadata", () => {
  test("stands_at_both_addresses_and_names_only_what_is_there", async () => {
    const base = new URL(app.issuer)
    const shapes = await Promise.all(
      [
        `${app.issuer}/.well-known/openid-configuration`,
        `${base.origin}/.well-known/oauth-authorization-server${base.pathname}`,
        `${base.origin}/.well-known/openid-configuration${base.pathname}`
      ].map(async (url) => (await fetch(url)).json() as Promise<Record<string, unknown>>)
    )
    for (const shape of shapes) {
      expect(shape["issuer"]).toBe(app.issuer)
      expect(shape["code_challenge_methods_supported"]).toEqual(["S256"])
      expect(shape["response_types_supported"]).toEqual(["code"])
      expect(shape["registration_endpoint"]).toBeUndefined()
      for (const [name, value] of Object.entries(shape))
        if (/_(endpoint|uri)$/.test(name)) expect(String(value).startsWith(app.issuer)).toBe(true)
    }
    const { keys } = (await (await fetch(String(shapes[0]!["jwks_uri"]))).json()) as { keys: ReadonlyArray<jose.JWK> }
    expect(keys).toHaveLength(3)
    expect(keys.every((key) => key.d === undefined && key.kty === "EC")).toBe(true)
  })

  test("is_not_bent_by_headers_of_a_stranger", async () => {
    const response = await fetch(`${app.issuer}/.well-known/openid-configuration`, {
      headers: { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" }
    })
    expect(await response.text()).not.toContain("evil.example")
  })
})

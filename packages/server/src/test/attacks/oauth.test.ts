/** Attacks on the OAuth provider: codes, redirect addresses, families of tokens, proofs of possession, registration, and the pages. */
import * as fc from "fast-check"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient, rawCall } from "../client.ts"
import { type CityKit, openCityKit } from "../cityKit.ts"
import { formOf, openBrowser } from "../oauth/browser.ts"
import {
  type App,
  anyPhone,
  callback,
  codeFor,
  connected,
  consent,
  newApp,
  plain,
  redeem,
  requestOf,
  signIn,
  tokenCall
} from "../oauth/kit.ts"

let kit: CityKit
let other: Awaited<ReturnType<CityKit["another"]>>
let developer: Client
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  // The same city after a restart, or in another process: it remembers nothing but what is stored.
  other = await kit.another()
  developer = await kit.samarkand.citizen("+998937000001")
  app = await newApp(kit.samarkand, developer)
})
afterAll(async () => {
  await other?.close()
  await kit?.close()
})

const bearing = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })
const usable = async (token: string) => (await bearing(token).get("/v1/cases?owner=me")).status === 200
const ask = async (change: Readonly<Record<string, string | null>>, of = app) =>
  openBrowser(kit.url).open((await requestOf(of, change)).url.href)

/** Says to the other server what was meant for the first: issuers and audiences go by the host. */
const elsewhere = async (
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  form?: Readonly<Record<string, string>>
) => {
  const body = form === undefined ? undefined : new URLSearchParams(form).toString()
  const about =
    body === undefined
      ? undefined
      : { "content-type": "application/x-www-form-urlencoded", "content-length": String(body.length) }
  return rawCall(other.url, method, path, { host: new URL(kit.url).host, ...about, ...headers }, body)
}
const basic = (of: App) => ({ authorization: `Basic ${Buffer.from(`${of.id}:${of.secret}`).toString("base64")}` })
const tokenPath = "/t/samarkand/oauth/token"

const freshCode = async () => {
  const request = await requestOf(app)
  const answer = await consent(kit, kit.samarkand, request.url)
  return {
    grant_type: "authorization_code",
    code: answer.searchParams.get("code")!,
    redirect_uri: callback,
    code_verifier: request.verifier,
    resource: app.resource
  }
}

describe("case 1", () => {
  test("case_01_fifty_redemptions_of_one_code_at_once_are_one", async () => {
    const body = await freshCode()
    const calls = await Promise.all(Array.from({ length: 50 }, () => tokenCall(app, body)))
    const said = calls.map(({ body: { error }, status }) => `${status} ${error}`)
    expect(said.filter((one) => one === "200 undefined")).toHaveLength(1)
    expect(said.filter((one) => one === "400 invalid_grant")).toHaveLength(49)
    const good = calls.find(({ status }) => status === 200)!
    // Forty-nine of them were a second use, and that ends what the one has got.
    expect(await usable(good.body.access_token)).toBe(false)
  })
})

describe("case 3", () => {
  const at = (text: string, place: number, change: (one: string) => string) => {
    const index = place % text.length
    return text.slice(0, index) + change(text[index]!) + text.slice(index + 1)
  }
  /** What attackers do to a registered address; each may be done after another. */
  const changes: ReadonlyArray<(uri: string, place: number) => string> = [
    (uri) => `${uri}/`,
    (uri, place) => at(uri, place, (one) => (one === one.toUpperCase() ? one.toLowerCase() : one.toUpperCase())),
    (uri, place) => at(uri, place, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, "0")}`),
    (uri, place) => uri.replace("/callback", `:${place % 65_536}/callback`),
    (uri) => uri.replace("/callback", "/x/../callback"),
    (uri) => uri.replace("/callback", "/./callback"),
    (uri) => uri.replace("/callback", "/..;/callback"),
    (uri) => uri.replace("/callback", "//callback"),
    (uri) => uri.replace("/callback", "%2fcallback"),
    (uri) => uri.replace("/callback", "\\callback"),
    (uri) => uri.replace("://", "://app.example@evil.example/"),
    (uri) => uri.replace("://", "://user:word@"),
    (uri) => uri.replace("app.example", "app.example.evil.example"),
    (uri) => uri.replace("app.example", "evil.example/app.example"),
    (uri) => uri.replace("app.example", "app.example."),
    (uri) => uri.replace("app.example", "аpp.example"),
    (uri) => uri.replace("https", "http"),
    (uri) => uri.replace("https://", "//"),
    (uri) => `javascript:alert(1)//${uri}`,
    (uri) => `${uri}#fragment`,
    (uri) => `${uri}?`,
    (uri) => `${uri}?next=https://evil.example`,
    (uri, place) => at(uri, place, (one) => `${one}\t`),
    (uri, place) => at(uri, place, (one) => `${one}\u200b`),
    (uri) => `${uri} https://evil.example`,
    (uri) => `${uri},https://evil.example`,
    (uri, place) => uri.slice(0, -1 - (place % 8))
  ]
  const mutated = fc
    .array(fc.tuple(fc.constantFrom(...changes), fc.nat({ max: 70_000 })), { minLength: 1, maxLength: 3 })
    .map((steps) => steps.reduce((uri, [change, place]) => change(uri, place), callback))
    .filter((uri) => uri !== callback)

  test("case_03_no_variant_of_a_redirect_address_is_taken_or_sent_anywhere", async () => {
    const refused = async (uri: string) => {
      const { url } = await requestOf(app, { redirect_uri: uri })
      const response = await fetch(url, { redirect: "manual" })
      await response.arrayBuffer()
      const pushed = await oauth.pushedAuthorizationRequest(app.server, app.client, app.auth, url.searchParams, plain)
      const said = (await pushed.json()) as { error?: string; request_uri?: string }
      expect([uri, response.status, response.headers.get("location"), pushed.status, said.request_uri]).toEqual([
        uri,
        400,
        null,
        400,
        undefined
      ])
    }
    for (const [place, change] of changes.entries())
      if (change(callback, 9) !== callback) await refused(change(callback, place + 9))
    await fc.assert(fc.asyncProperty(mutated, refused), { numRuns: 60 })
    // The address twice: neither is taken.
    const { url } = await requestOf(app)
    url.searchParams.append("redirect_uri", "https://evil.example/")
    const twice = await fetch(url, { redirect: "manual" })
    expect([twice.status, twice.headers.get("location")]).toEqual([400, null])
  })

  test("case_03_a_program_on_a_computer_may_choose_its_port_and_nothing_else", async () => {
    const native = await newApp(kit.samarkand, developer, { auth: "none", redirectUris: ["http://127.0.0.1/callback"] })
    expect((await ask({ redirect_uri: "http://127.0.0.1:51004/callback" }, native)).status).toBe(200)
    for (const redirect_uri of [
      "http://127.0.0.1:51004/callback/",
      "http://127.0.0.1:51004/",
      "https://127.0.0.1/callback",
      "http://localhost:51004/callback",
      "http://127.0.0.2/callback",
      "http://127.0.0.1@evil.example/callback",
      "http://127.0.0.1.evil.example/callback"
    ])
      expect([redirect_uri, (await ask({ redirect_uri }, native)).status]).toEqual([redirect_uri, 400])
  })

  test("case_03_a_code_is_redeemed_for_the_very_address_that_it_was_sent_to", async () => {
    for (const redirect_uri of [`${callback}/`, `${callback}?`, "https://evil.example/callback"]) {
      const call = await tokenCall(app, { ...(await freshCode()), redirect_uri })
      expect([redirect_uri, call.status, call.body.error]).toEqual([redirect_uri, 400, "invalid_grant"])
    }
  })
})

describe("case 5", () => {
  const renewal = (refresh_token: string) => ({ grant_type: "refresh_token", refresh_token, resource: app.resource })

  test("case_05_of_twenty_refreshes_at_once_one_wins", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const calls = await Promise.all(Array.from({ length: 20 }, () => tokenCall(app, renewal(tokens.refresh_token!))))
    const errors = calls.filter(({ status }) => status !== 200).map(({ body }) => String(body.error))
    expect(errors).toEqual(Array.from({ length: 19 }, () => "invalid_grant"))
    // And the nineteen others have ended the family.
    const winner = calls.find(({ status }) => status === 200)!
    expect(await usable(winner.body.access_token)).toBe(false)
    expect((await tokenCall(app, renewal(winner.body.refresh_token))).body.error).toBe("invalid_grant")
  })

  test("case_05_an_apps_refresh_token_that_comes_again_after_a_restart_ends_its_family_everywhere", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const next = await tokenCall(app, renewal(tokens.refresh_token!))
    expect(await usable(next.body.access_token)).toBe(true)
    const reused = await elsewhere("POST", tokenPath, basic(app), renewal(tokens.refresh_token!))
    expect([reused.status, reused.body.error]).toEqual([400, "invalid_grant"])
    const [grant] = await kit.sql<{ revoked_by: string }>("select revoked_by from mahalla.oauth_grant where id = $1", [
      jose.decodeJwt(tokens.access_token)["grant"]
    ])
    expect(grant?.revoked_by).toBe("reuse")
    expect((await tokenCall(app, renewal(next.body.refresh_token))).body.error).toBe("invalid_grant")
    const there = await elsewhere("POST", tokenPath, basic(app), renewal(next.body.refresh_token))
    expect(there.body.error).toBe("invalid_grant")
    expect(await usable(next.body.access_token)).toBe(false)
    const path = "/t/samarkand/v1/cases?owner=me"
    const token = { authorization: `Bearer ${next.body.access_token}` }
    expect((await elsewhere("GET", path, token)).status).toBe(401)
  })

  test("case_05_a_sessions_refresh_token_that_comes_again_after_a_restart_ends_it_everywhere", async () => {
    const phone = anyPhone()
    const { visitor } = kit.samarkand
    await visitor.post("/v1/auth/code", { phone })
    const { body } = await visitor.post("/v1/auth/session", { phone, code: await codeFor(kit.samarkand, phone) })
    const next = (await visitor.post("/v1/auth/refresh", { refreshToken: body.refreshToken })).body
    const restarted = makeClient(`${other.url}/t/samarkand`)
    const me = restarted.with({ authorization: `Bearer ${next.accessToken}` })
    expect((await me.get("/v1/me")).status).toBe(200)
    expect((await restarted.post("/v1/auth/refresh", { refreshToken: body.refreshToken })).status).toBe(401)
    for (const client of [visitor, restarted]) {
      expect((await client.post("/v1/auth/refresh", { refreshToken: next.refreshToken })).status).toBe(401)
      const access = client.with({ authorization: `Bearer ${next.accessToken}` })
      expect((await access.get("/v1/me")).status).toBe(401)
    }
    const [session] = await kit.sql<{ because: string }>(
      "select ended_because as because from mahalla.session where id = $1",
      [body.sessionId]
    )
    expect(session!.because).toBe("reused")
  })
})

describe("case 10", () => {
  test("case_10_a_proof_is_for_one_request_to_one_address_in_every_server", async () => {
    const open = await newApp(kit.samarkand, developer, { auth: "none" })
    const keys = await oauth.generateKeyPair("ES256", { extractable: true })
    const request = await requestOf(open)
    const answer = await consent(kit, kit.samarkand, request.url)
    const handle = oauth.DPoP(open.client, keys)
    const tokens = await redeem(open, answer, request, { resource: open.resource }, { DPoP: handle })
    const jwk = await jose.exportJWK(keys.publicKey)
    const api = `${kit.url}/t/samarkand/v1/cases`
    const ath = Buffer.from(
      await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tokens.access_token))
    ).toString("base64url")
    const proof = (
      claims: Record<string, unknown>,
      header: Record<string, unknown> = {},
      key: unknown = keys.privateKey
    ) =>
      new jose.SignJWT({ jti: crypto.randomUUID(), ...claims })
        .setIssuedAt()
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk, ...header })
        .sign(key as CryptoKey)

    // At the token endpoint.
    const form = (refresh_token: string) => ({
      grant_type: "refresh_token",
      refresh_token,
      client_id: open.id,
      resource: open.resource
    })
    const here = { htm: "POST", htu: open.server.token_endpoint! }
    const first = await proof(here)
    const renewed = await tokenCall(open, form(tokens.refresh_token!), { dpop: first })
    expect([renewed.status, renewed.body.token_type]).toEqual([200, "DPoP"])
    const token = renewed.body.refresh_token as string
    expect((await tokenCall(open, form(token), { dpop: first })).body.error).toBe("invalid_grant")
    const there = await elsewhere("POST", tokenPath, { dpop: first }, form(token))
    expect(there.body.error).toBe("invalid_grant")
    const stranger = await oauth.generateKeyPair("ES256", { extractable: true })
    const theirs = await jose.exportJWK(stranger.publicKey)
    const wrong: Readonly<Record<string, string>> = {
      "another method": await proof({ ...here, htm: "GET" }),
      "another address": await proof({ ...here, htu: api }),
      "an old one": await new jose.SignJWT({ jti: "old", ...here })
        .setIssuedAt(Math.floor(Date.now() / 1000) - 900)
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk })
        .sign(keys.privateKey),
      "a future one": await new jose.SignJWT({ jti: "new", ...here })
        .setIssuedAt(Math.floor(Date.now() / 1000) + 900)
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk })
        .sign(keys.privateKey),
      "another type": await proof(here, { typ: "JWT" }),
      "no number": await proof({ ...here, jti: undefined }),
      "a key that is not the signer's": await proof(here, { jwk: theirs })
    }
    for (const [name, dpop] of Object.entries(wrong)) {
      const call = await tokenCall(open, form(token), { dpop })
      expect([name, call.status, call.body.error]).toEqual([name, 400, "invalid_dpop_proof"])
    }
    // A right proof of another key: the token is not its.
    const stolen = await tokenCall(open, form(token), { dpop: await proof(here, { jwk: theirs }, stranger.privateKey) })
    expect([stolen.status, stolen.body.error]).toEqual([400, "invalid_grant"])

    // It was the proofs: with a right one the same token is renewed.
    expect((await tokenCall(open, form(token), { dpop: await proof(here) })).status).toBe(200)

    // At the API.
    const send = async (dpop: string) =>
      (
        await kit.samarkand.visitor
          .with({ authorization: `DPoP ${tokens.access_token}`, dpop })
          .get("/v1/cases?owner=me")
      ).status
    const good = { htm: "GET", htu: api, ath }
    const secret = new TextEncoder().encode("k".repeat(32))
    const used = await proof(good)
    expect(await send(used)).toBe(200)
    const again = { authorization: `DPoP ${tokens.access_token}`, dpop: used }
    expect((await elsewhere("GET", "/t/samarkand/v1/cases?owner=me", again)).status).toBe(401)
    for (const bad of [
      proof(good, { typ: "JWT" }),
      proof({ ...good, jti: undefined }),
      proof({ ...good, jti: "x".repeat(300) }),
      proof({ ...good, ath: undefined }),
      proof(good, { jwk: theirs }),
      proof(good, { jwk: theirs }, stranger.privateKey),
      proof(good, { alg: "HS256" }, secret),
      Promise.resolve(`${Buffer.from('{"alg":"none","typ":"dpop+jwt"}').toString("base64url")}.e30.`),
      Promise.resolve(`${used}, ${await proof(good)}`)
    ])
      expect(await send(await bad)).toBe(401)
    expect(await send(await proof(good))).toBe(200)
  })
})

describe("case 11", () => {
  test("case_11_there_is_no_door_by_which_a_program_registers_itself", async () => {
    const body = JSON.stringify({ redirect_uris: ["https://evil.example/cb"], token_endpoint_auth_method: "none" })
    for (const path of ["/reg", "/register", "/registration", "/connect/register", `/reg/${app.id}`, "/clients"])
      for (const method of ["POST", "GET", "PUT", "DELETE"]) {
        const headers = { "content-type": "application/json", authorization: "Bearer x" }
        const answer = await fetch(`${app.issuer}${path}`, { method, headers, ...(method === "GET" ? {} : { body }) })
        expect([method, path, answer.status]).toEqual([method, path, 404])
      }
    const rows = await kit.sql<{ amount: number }>(
      "select count(*)::int as amount from mahalla.oauth_client where redirect_uris::text like '%evil%'"
    )
    expect(rows[0]!.amount).toBe(0)
  })
})

describe("case 12", () => {
  test("case_12_the_interaction_of_another_session_opens_for_nobody_else", async () => {
    const [owner, thief] = [openBrowser(kit.url), openBrowser(kit.url)]
    const phone = anyPhone()
    const request = await requestOf(app)
    const page = await signIn(kit.samarkand, owner, await owner.open(request.url.href), phone)
    const { action, hidden } = formOf(page, "consent")
    const address = action.replace(/\/consent$/, "")
    // The thief has an interaction of his own, just as far.
    const own = await signIn(kit.samarkand, thief, await thief.open((await requestOf(app)).url.href), anyPhone())
    const mine = formOf(own, "consent")
    expect((await thief.open(address)).status).toBe(400)
    const post = (to: string, cookie: string, fields: typeof hidden) =>
      fetch(to, {
        method: "POST",
        redirect: "manual",
        body: new URLSearchParams([...fields, ["scope", "cases.read"]].map(([name, value]) => [name!, value!])),
        headers: { cookie, origin: kit.url }
      })
    const his = thief.cookieFor(mine.action)
    expect((await post(action, his, hidden)).status).toBe(400)
    expect((await post(action, his, mine.hidden)).status).toBe(400)
    // Nor does the owner consent to what the thief has begun.
    expect((await post(mine.action, owner.cookieFor(action), hidden)).status).toBe(400)
    expect((await post(mine.action, his, hidden)).status).toBe(403)
    expect((await post(`${address}/refuse`, his, hidden)).status).toBe(400)
    const grants = await kit.sql(
      "select from mahalla.oauth_record where model = 'AuthorizationCode' and payload like '%' || $1 || '%'",
      [address.split("/").at(-1)]
    )
    expect(grants).toEqual([])
    // The owner goes on as if nothing had been.
    const done = await owner.submit(page, "consent", [["scope", "cases.read"]])
    expect([done.status, new URL(done.url).searchParams.get("state")]).toEqual([0, request.state])
  })
})

describe("case 14", () => {
  test("case_14_a_code_of_one_browsers_sign_in_is_worth_nothing_in_another_or_in_the_citys_own_app", async () => {
    const [browser, thief] = [openBrowser(kit.url), openBrowser(kit.url)]
    const phone = anyPhone()
    const codePage = await browser.submit(await browser.open((await requestOf(app)).url.href), "phone", [
      ["phone", phone]
    ])
    const code = await codeFor(kit.samarkand, phone)
    const { visitor } = kit.samarkand
    expect((await visitor.post("/v1/auth/session", { phone, code })).status).toBe(401)
    // Another browser asks for the same number and has to wait; with or without the first one's cookie it comes to no code page.
    const start = await thief.open((await requestOf(app)).url.href)
    const waiting = await thief.submit(start, "phone", [["phone", phone]])
    expect(waiting.status).toBe(429)
    const { action, hidden } = formOf(waiting, "phone")
    const stolen = /mahalla_phone=[^;]*/.exec(browser.cookieFor(codePage.url))![0]
    for (const more of ["", `; ${stolen}`]) {
      const answer = await fetch(action.replace(/\/phone$/, "/code"), {
        method: "POST",
        redirect: "manual",
        body: new URLSearchParams([...hidden, ["code", code]].map(([name, value]) => [name!, value!])),
        headers: { cookie: `${thief.cookieFor(action)}${more}`, origin: kit.url }
      })
      expect([answer.status, answer.headers.get("location")]).toEqual([
        303,
        new URL(action).pathname.replace(/\/phone$/, "")
      ])
    }
    expect((await thief.open(action.replace(/\/phone$/, ""))).html).toContain('name="phone"')
    // And one that the city's own app has asked for is none of a page's.
    const second = anyPhone()
    await visitor.post("/v1/auth/code", { phone: second })
    const own = await codeFor(kit.samarkand, second)
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
    const page = await openBrowser(kit.url).open((await requestOf(app)).url.href)
    expect(page.status).toBe(200)
    expect((await visitor.post("/v1/auth/session", { phone: second, code: own })).status).toBe(200)
    // In its own browser it signs in.
    expect((await browser.submit(codePage, "code", [["code", code]])).html).toContain("/consent")
  })
})

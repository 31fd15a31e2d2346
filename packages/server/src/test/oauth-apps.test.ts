/** Apps from the side of those who make them, let them in, and take their consent back. */
import { issueLink } from "@mahalla/core"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Client, makeClient, newKey, until } from "./client.ts"
import { openBrowser } from "./oauth/browser.ts"
import {
  type App,
  anyPhone,
  callback,
  connected,
  consent,
  newApp,
  redeem,
  requestOf,
  signIn,
  tokenCall
} from "./oauth/kit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let developer: Client & { readonly id: string }
let stranger: Client
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  developer = await kit.samarkand.citizen("+998907400001")
  stranger = await kit.samarkand.citizen("+998907400002")
})
afterAll(() => kit?.close())

const body = (change: Record<string, unknown> = {}) => ({
  name: "Yo‘l yordamchi",
  auth: "client_secret_basic",
  redirectUris: [callback],
  grantTypes: ["authorization_code"],
  scopes: ["openid", "cases.read"],
  ...change
})
const admin = () => kit.samarkand.staff["municipality-admin"]
const withToken = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })
const credentials = (app: App, secret = app.secret!) =>
  tokenCall({ ...app, secret }, { grant_type: "client_credentials", scope: "cases.read-all" })
const serverApp = () =>
  newApp(kit.samarkand, developer, { grantTypes: ["client_credentials"], redirectUris: [], scopes: ["cases.read-all"] })

describe("registering an app", () => {
  test("names_every_mistake", async () => {
    const rows: ReadonlyArray<readonly [Record<string, unknown>, ReadonlyArray<string>]> = [
      [{ redirectUris: ["http://app.example/callback"] }, ["/redirectUris/0"]],
      [{ redirectUris: [callback, "javascript:alert(1)", "data:text/html,x"] }, ["/redirectUris/1", "/redirectUris/2"]],
      [{ redirectUris: ["https://app.example/*", "https://app.example/#x"] }, ["/redirectUris/0", "/redirectUris/1"]],
      [{ redirectUris: ["https://user@app.example/"] }, ["/redirectUris/0"]],
      [{ redirectUris: ["http://10.0.0.1/cb", "myapp:/cb"] }, ["/redirectUris/0", "/redirectUris/1"]],
      [{ redirectUris: [] }, ["/redirectUris"]],
      [{ auth: "none", grantTypes: ["client_credentials"], redirectUris: [], scopes: ["cases.read-all"] }, ["/auth"]],
      [{ scopes: ["openid", "cases.read-all"] }, ["/scopes/1"]],
      [{ scopes: ["everything"] }, ["/scopes/0"]],
      [{ auth: "private_key_jwt" }, ["/jwks"]],
      [{ auth: "private_key_jwt", jwksUri: "http://app.example/jwks" }, ["/jwksUri"]],
      [{ auth: "private_key_jwt", jwks: { keys: [{ kty: "EC", d: "x" }] } }, ["/jwks"]],
      [{ homepage: "javascript:alert(1)" }, ["/homepage"]],
      [{ name: "<script>" }, ["/name"]],
      [{ grantTypes: ["implicit"] }, ["/grantTypes/0"]],
      [{ grantTypes: ["refresh_token"], redirectUris: [] }, ["/grantTypes"]]
    ]
    for (const [change, pointers] of rows) {
      const answer = await developer.post("/v1/apps", body(change))
      const found = answer.body.errors?.map(({ pointer }: { pointer: string }) => pointer)
      expect([change, answer.status, pointers.every((pointer) => found?.includes(pointer))]).toEqual([
        change,
        400,
        true
      ])
    }
    for (const uri of ["http://127.0.0.1/cb", "http://[::1]:8000/cb", "com.example.app:/cb"])
      expect([uri, (await stranger.post("/v1/apps", body({ auth: "none", redirectUris: [uri] }))).status]).toEqual([
        uri,
        201
      ])
  })

  test("is_for_people_who_are_signed_in_and_for_ten_apps_each", async () => {
    expectProblem("visitor", await kit.samarkand.visitor.post("/v1/apps", body()), {
      status: 401,
      type: "unauthorized",
      pointers: []
    })
    const busy = await kit.samarkand.citizen("+998907400003")
    const made = await Promise.all(Array.from({ length: 12 }, () => busy.post("/v1/apps", body())))
    expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      ...Array.from({ length: 10 }, () => 201),
      422,
      422
    ])
  })

  test("waits_for_approval_unless_the_city_asks_for_none", async () => {
    const made = await developer.post("/v1/apps", body())
    expect(made.body.status).toBe("pending")
    const probe = { ...(await newApp(kit.samarkand, developer)), id: made.body.id, secret: made.body.clientSecret }
    const refused = await tokenCall(probe, { grant_type: "refresh_token", refresh_token: "x" })
    expect([refused.status, refused.body.error]).toEqual([401, "invalid_client"])
    expect((await stranger.call("PUT", `/v1/apps/${made.body.id}/status`, { body: { status: "active" } })).status).toBe(
      403
    )
    expect(
      (await developer.call("PUT", `/v1/apps/${made.body.id}/status`, { body: { status: "active" } })).status
    ).toBe(403)
    const [tenant] = await kit.city.admin.tenants.list()
    const settings = { ...tenant!.settings, apps: { approval: "none" as const } }
    await kit.city.admin.tenants.create({ slug: "khiva", name: "Khiva", settings })
    const { id } = await kit.city.admin.principals.createStaff("khiva", { name: "Developer", roles: [] })
    const there = makeClient(`${kit.url}/t/khiva`)
    const link = await kit.city.admin.run("khiva", issueLink(id))
    const { accessToken } = (await there.post("/v1/auth/link", { token: link })).body
    const open = await there.with({ authorization: `Bearer ${accessToken}` }).post("/v1/apps", body())
    expect([open.status, open.body.status]).toEqual([201, "active"])
  })

  test("shows_its_secret_once_and_again_only_to_the_same_request", async () => {
    const key = { "idempotency-key": newKey() }
    const first = await developer.post("/v1/apps", body({ name: "Once" }), key)
    const again = await developer.post("/v1/apps", body({ name: "Once" }), key)
    expect(again.body).toEqual(first.body)
    expect(first.body.clientSecret).toMatch(/^[A-Za-z0-9_-]{43}$/)
    const read = await developer.get(`/v1/apps/${first.body.id}`)
    expect(read.text).not.toContain(first.body.clientSecret)
    expect((await developer.call("DELETE", `/v1/apps/${first.body.id}`)).status).toBe(204)
  })

  test("shows_apps_to_their_owner_and_to_staff_only", async () => {
    const made = await developer.post("/v1/apps", body({ name: "Hidden" }))
    const path = `/v1/apps/${made.body.id}`
    expect((await developer.get(path)).status).toBe(200)
    expect((await admin().get(path)).status).toBe(200)
    for (const [method, address] of [
      ["GET", path],
      ["GET", `${path}/errors`],
      ["DELETE", path],
      ["POST", `${path}/secrets`]
    ] as const)
      expect([method, (await stranger.call(method, address)).status]).toEqual([method, 404])
    const list = await stranger.get("/v1/apps")
    expect(list.text).not.toContain(made.body.id)
    expect((await admin().get("/v1/apps?limit=1")).body.cursor).toBeTypeOf("string")
    await developer.call("DELETE", path)
  })
})

describe("an app's secret", () => {
  test("is_replaced_with_both_counting_for_a_day", async () => {
    const app = await serverApp()
    expect((await credentials(app)).status).toBe(200)
    const rotated = await developer.post(`/v1/apps/${app.id}/secrets`, undefined)
    expect(rotated.status).toBe(201)
    expect(
      [await credentials(app), await credentials(app, rotated.body.clientSecret)].map(({ status }) => status)
    ).toEqual([200, 200])
    await kit.sql("update mahalla.oauth_secret set expires_at = expires_at - interval '1 day' where client_id = $1", [
      app.id
    ])
    expect(
      [await credentials(app), await credentials(app, rotated.body.clientSecret)].map(({ status }) => status)
    ).toEqual([401, 200])
  })

  test("is_given_to_nobody_else_who_may_not_do_what_the_app_may", async () => {
    const { id } = await serverApp()
    const role = { id: "app-keeper", title: "Keeper of apps", permissions: ["app.read", "app.write"] }
    expect((await admin().post("/v1/roles", role)).status).toBe(201)
    const keeper = await kit.samarkand.staffMember([role.id])
    expect((await keeper.get(`/v1/apps/${id}`)).status).toBe(200)
    expect((await keeper.post(`/v1/apps/${id}/secrets`, undefined)).status).toBe(403)
    expect((await admin().post(`/v1/apps/${id}/secrets`, undefined)).status).toBe(201)
    expect((await developer.call("DELETE", `/v1/apps/${id}`)).status).toBe(204)
  })
})

describe("staff and developer", () => {
  test("stop_an_app_at_its_next_request", async () => {
    const app = await newApp(kit.samarkand, developer)
    const { tokens } = await connected(kit, kit.samarkand, app)
    const server = await serverApp()
    const own = (await credentials(server)).body.access_token as string
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
    expect((await withToken(own).get("/v1/cases")).status).toBe(200)
    for (const { id } of [app, server])
      expect((await admin().call("PUT", `/v1/apps/${id}/status`, { body: { status: "blocked" } })).status).toBe(200)
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
    expect((await withToken(own).get("/v1/cases")).status).toBe(401)
    expect((await credentials(server)).body.error).toBe("invalid_client")
    await admin().call("PUT", `/v1/apps/${app.id}/status`, { body: { status: "active" } })
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
    expect((await developer.call("DELETE", `/v1/apps/${app.id}`)).status).toBe(204)
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
    const left = await kit.sql("select from mahalla.oauth_grant where client_id = $1", [app.id])
    expect(left).toEqual([])
  })

  test("read_what_went_wrong_without_reading_secrets", async () => {
    const app = await newApp(kit.samarkand, developer)
    const { code, tokens } = await connected(kit, kit.samarkand, app)
    const refused = await tokenCall(app, {
      grant_type: "authorization_code",
      code,
      redirect_uri: callback,
      code_verifier: oauth.generateRandomCodeVerifier()
    })
    expect(refused.body).toEqual({ error: "invalid_grant", error_description: "grant request is invalid" })
    const seen = await until("the error is written down", async () => {
      const { body: page, text } = await developer.get(`/v1/apps/${app.id}/errors`)
      return page.items.length > 0 && { page, text }
    })
    expect(seen.page.items[0]).toMatchObject({ endpoint: "token", error: "invalid_grant" })
    expect(seen.page.items[0].detail).toContain("code_verifier does not match")
    for (const secret of [code, tokens.refresh_token!, app.secret!]) expect(seen.text).not.toContain(secret)
  })
})

describe("a citizen", () => {
  test("lists_apps_and_takes_consent_back", async () => {
    const app = await newApp(kit.samarkand, developer)
    const { phone, tokens } = await connected(kit, kit.samarkand, app)
    const citizen = await kit.samarkand.citizen(phone)
    const list = await citizen.get("/v1/me/apps")
    expect(list.body.items).toEqual([
      expect.objectContaining({ id: app.id, scopes: ["cases.read", "cases.write", "offline_access", "openid"] })
    ])
    expect((await stranger.call("DELETE", `/v1/me/apps/${app.id}`)).status).toBe(404)
    expect((await citizen.call("DELETE", `/v1/me/apps/${app.id}`)).status).toBe(204)
    expect((await citizen.get("/v1/me/apps")).body.items).toEqual([])
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
    const renewed = await tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
    expect(renewed.body.error).toBe("invalid_grant")
    expect((await citizen.call("DELETE", `/v1/me/apps/${app.id}`)).status).toBe(404)
  })

  test("who_is_blocked_takes_every_app_along", async () => {
    const app = await newApp(kit.samarkand, developer)
    const { phone, tokens } = await connected(kit, kit.samarkand, app)
    const citizen = await kit.samarkand.citizen(phone)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [citizen.id])
    expect((await withToken(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(401)
    const renewed = await tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
    expect(renewed.body.error).toBe("invalid_grant")
  })

  test("of_the_citys_staff_lends_nothing_to_apps", async () => {
    const app = await newApp(kit.samarkand, developer)
    const phone = "+998907400077"
    const { id } = await kit.samarkand.citizen(phone)
    await kit.sql("update mahalla.principal set kind = 'staff' where id = $1", [id])
    const { url } = await requestOf(app)
    await expect(consent(kit, kit.samarkand, url, { phone })).rejects.toThrow(/403/)
  })
})

describe("an app of one city", () => {
  test("is_unknown_in_the_other", async () => {
    const app = await newApp(kit.samarkand, developer)
    const there = {
      ...app,
      server: { ...app.server, token_endpoint: app.server.token_endpoint!.replace("samarkand", "bukhara") }
    }
    const call = await tokenCall(there, { grant_type: "refresh_token", refresh_token: "x" })
    expect([call.status, call.body.error]).toEqual([401, "invalid_client"])
    const inOther = makeClient(`${kit.url}/t/bukhara`, kit.bukhara.staff["municipality-admin"].headers)
    expect((await inOther.get(`/v1/apps/${app.id}`)).status).toBe(404)
  })
})

describe("two cities below one host", () => {
  test("leave_each_others_sessions_alone", async () => {
    const ours = await newApp(kit.samarkand, developer)
    const theirs = await newApp(kit.bukhara, await kit.bukhara.citizen("+998907400011"))
    const browser = openBrowser(kit.url)
    const phone = anyPhone()
    await consent(kit, kit.samarkand, (await requestOf(ours)).url, { browser, phone })
    await consent(kit, kit.bukhara, (await requestOf(theirs)).url, { browser, phone })
    for (const app of [ours, theirs]) {
      const page = new URL(
        (await browser.open((await requestOf(app, { prompt: "none", scope: "openid" })).url.href)).url
      )
      expect([app.issuer, page.searchParams.get("error"), page.searchParams.has("code")]).toEqual([
        app.issuer,
        null,
        true
      ])
    }
  })
})

describe("somebody else at the same browser", () => {
  test("signs_in_as_themselves_without_the_one_before", async () => {
    const app = await newApp(kit.samarkand, await kit.samarkand.citizen(anyPhone()))
    const browser = openBrowser(kit.url)
    const [first, second] = [anyPhone(), anyPhone()]
    await consent(kit, kit.samarkand, (await requestOf(app)).url, { browser, phone: first })
    const request = await requestOf(app)
    const page = await browser.open(request.url.href)
    expect(page.html).toContain(first.slice(-2))
    const left = await browser.submit(page, "leave")
    expect(left.html).toContain('name="phone"')
    const signed = await signIn(kit.samarkand, browser, left, second)
    const done = await browser.submit(signed, "consent", [["scope", "cases.read"]])
    const tokens = await redeem(app, new URL(done.url), request, { resource: app.resource })
    const citizen = await kit.samarkand.citizen(second)
    expect(oauth.getValidatedIdTokenClaims(tokens)?.sub).toBe(citizen.id)
  })

  test("who_refuses_sends_the_app_away_with_nothing", async () => {
    const app = await newApp(kit.samarkand, await kit.samarkand.citizen(anyPhone()))
    const browser = openBrowser(kit.url)
    const { state, url } = await requestOf(app)
    const page = await signIn(kit.samarkand, browser, await browser.open(url.href), anyPhone())
    const answer = new URL((await browser.submit(page, "refuse")).url)
    expect([
      answer.origin + answer.pathname,
      answer.searchParams.get("error"),
      answer.searchParams.get("state")
    ]).toEqual([callback, "access_denied", state])
    expect(answer.searchParams.has("code")).toBe(false)
  })
})

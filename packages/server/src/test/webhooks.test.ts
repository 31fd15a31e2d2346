/** Webhooks over HTTP: of an app with its token, of staff, and of nobody else; and a report that a partner hears of. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Webhook } from "standardwebhooks"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { type Client, until } from "./client.ts"
import { type App, consent, newApp, redeem, requestOf, tokenCall } from "./oauth/kit.ts"
import { expectProblem } from "./problem.ts"

interface Heard {
  readonly path: string
  readonly body: string
  readonly headers: Record<string, string>
}

let kit: CityKit
let developer: Client & { readonly id: string }
let base: string
const heard: Array<Heard> = []
const receiver = createServer((request, response) => {
  let body = ""
  request.on("data", (chunk) => (body += chunk))
  request.on("end", () => {
    heard.push({ path: request.url!, body, headers: request.headers as Record<string, string> })
    response.writeHead(request.url === "/bad" ? 500 : 204).end()
  })
})

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { outwardNetworks: ["127.0.0.0/8"] } })
  developer = await kit.samarkand.citizen("+998907500001")
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve))
  base = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
})
afterAll(async () => {
  await kit?.close()
  receiver.closeAllConnections()
  receiver.close()
})

const admin = () => kit.samarkand.staff["municipality-admin"]
const withToken = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })

/** An app that acts by itself, with its token. */
const partner = async (scopes: ReadonlyArray<string> = ["webhooks.manage"]) => {
  const app = await newApp(kit.samarkand, developer, { grantTypes: ["client_credentials"], redirectUris: [], scopes })
  const answer = await tokenCall(app, { grant_type: "client_credentials", scope: scopes.join(" ") })
  return { app, client: withToken(answer.body["access_token"]) }
}

const arrived = (path: string, amount = 1) =>
  until(`${amount} at ${path}`, async () => {
    const all = heard.filter((one) => one.path === path)
    return all.length >= amount ? all : undefined
  })

describe("an app", () => {
  test("manages_its_own_webhooks_with_its_token_and_sees_no_others", async () => {
    const [one, two, reader] = [await partner(), await partner(), await partner(["cases.read-all"])]
    const key = { "idempotency-key": "make-one" }
    const given = { url: `${base}/own`, description: "Ours", types: ["traffic-report.*"], ed25519: true }
    const made = await one.client.post("/v1/webhooks", given, key)
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({
        principalId: one.app.id,
        status: "active",
        version: 1,
        territoryId: null,
        ordered: false
      })
    ])
    expect(made.body.secret).toMatch(/^whsec_[A-Za-z0-9+/=]{32,}$/)
    expect(made.body.publicKey).toMatch(/^whpk_/)
    // A lost answer is given again, with the same secret; which stands nowhere in clear.
    const again = await one.client.post("/v1/webhooks", given, key)
    expect([again.status, again.body]).toEqual([201, made.body])
    const rows = await kit.sql<{ all: string }>(
      `select (select string_agg(s::text, ' ') from mahalla.webhook_secret s) || (select string_agg(k::text, ' ') from mahalla.idempotency_key k) as all`
    )
    expect(rows[0]!.all).not.toContain(made.body.secret.slice(6))
    const path = `/v1/webhooks/${made.body.id}`
    expect((await one.client.get(path)).text).not.toContain("whsec_")
    expect((await one.client.get("/v1/webhooks")).body.items.map(({ id }: { id: string }) => id)).toEqual([
      made.body.id
    ])
    for (const other of [two.client, developer, kit.samarkand.visitor])
      for (const [method, address, body] of [
        ["GET", path, undefined],
        ["PUT", path, { url: `${base}/stolen` }],
        ["DELETE", path, undefined],
        ["PUT", `${path}/status`, { status: "paused" }],
        ["POST", `${path}/secrets`, {}],
        ["POST", `${path}/tests`, undefined],
        ["GET", `${path}/attempts`, undefined],
        ["GET", `${path}/messages`, undefined],
        ["POST", `${path}/recoveries`, { since: "2026-11-20T00:00:00Z" }]
      ] as const)
        expect([method, address, (await other.call(method, address, { body })).status]).toEqual([method, address, 404])
    expect((await two.client.get("/v1/webhooks")).body.items).toEqual([])
    expect((await two.client.post("/v1/webhooks", { ...given, principalId: one.app.id })).status).toBe(403)
    for (const [client, status] of [
      [reader.client, 403],
      [developer, 403],
      [kit.samarkand.visitor, 403]
    ] as const)
      expect((await client.post("/v1/webhooks", given)).status).toBe(status)
    expect((await admin().get(path)).body.id).toBe(made.body.id)
  })

  test("changes_them_by_version_and_rotates_secrets", async () => {
    const { client } = await partner()
    const made = await client.post("/v1/webhooks", { url: `${base}/versions` })
    const path = `/v1/webhooks/${made.body.id}`
    expect(made.headers.get("etag")).toBe('"1"')
    const put = (version: string) =>
      client.call("PUT", path, { body: { url: `${base}/versions`, ordered: true }, headers: { "if-match": version } })
    expectProblem("another version", await put('"7"'), { status: 412, type: "version-conflict" })
    const changed = await put('"1"')
    expect([changed.status, changed.body.ordered, changed.headers.get("etag")]).toEqual([200, true, '"2"'])
    const rotated = await client.post(`${path}/secrets`, { overlap: 2 })
    expect(rotated.status).toBe(201)
    const left = Date.parse(rotated.body.othersEndAt) - Date.now()
    expect(left).toBeGreaterThan(7_000_000)
    expect(left).toBeLessThanOrEqual(7_200_000)
    expect((await client.post(`${path}/tests`)).status).toBe(201)
    const [{ body, headers }] = (await arrived("/versions")) as [Heard]
    for (const secret of [made.body.secret, rotated.body.secret])
      expect(new Webhook(secret).verify(body, headers)).toMatchObject({ type: "webhook.test" })
    expect((await client.call("DELETE", path, { headers: { "if-match": '"1"' } })).status).toBe(412)
    expect((await client.call("DELETE", path)).status).toBe(204)
    expect((await client.get(path)).status).toBe(404)
  })

  test("is_told_what_is_wrong_with_an_address", async () => {
    const { client } = await partner()
    for (const url of [
      "nonsense",
      "ftp://1.1.1.1/",
      "http://1.1.1.1/",
      "https://10.0.0.1/",
      "https://169.254.169.254/latest",
      "https://[::1]/",
      "https://[::ffff:10.0.0.1]/",
      "https://[::ffff:a00:1]/",
      "https://0x0a.1/",
      "https://167772161/",
      "https://user:secret@1.1.1.1/",
      "https://1.1.1.1:22/",
      "https://nobody-knows-this.invalid/"
    ]) {
      const answer = await client.post("/v1/webhooks", { url })
      expect([url, answer.status, answer.body.errors?.[0]?.pointer]).toEqual([url, 400, "/url"])
    }
    for (const [change, pointer] of [
      [{ types: ["Not a type"] }, "/types/0"],
      [{ types: [] }, "/types"],
      [{ caseTypes: ["no-such-type"] }, "/caseTypes/0"],
      [{ territoryId: kit.samarkand.id }, "/territoryId"],
      [{ description: "x".repeat(201) }, "/description"]
    ] as const) {
      const answer = await client.post("/v1/webhooks", { url: `${base}/x`, ...change })
      expect([change, answer.status, answer.body.errors?.[0]?.pointer]).toEqual([change, 400, pointer])
    }
    const rows = await kit.sql("select from mahalla.webhook_endpoint where url not like $1", [`${base}%`])
    expect(rows).toEqual([])
  })
})

describe("a partner", () => {
  test("hears_of_a_report_of_a_citizen_who_lets_it_and_of_no_other", async () => {
    const phone = "+998907500002"
    const citizen = await kit.samarkand.citizen(phone)
    const other = await kit.samarkand.citizen("+998907500003")
    const app: App = await newApp(kit.samarkand, developer, {
      grantTypes: ["authorization_code", "refresh_token", "client_credentials"],
      scopes: ["openid", "offline_access", "cases.read", "webhooks.manage"]
    })
    const own = await tokenCall(app, { grant_type: "client_credentials", scope: "webhooks.manage" })
    const token = String(own.body["access_token"])
    const made = await withToken(token).post("/v1/webhooks", { url: `${base}/partner`, types: ["traffic-report.*"] })
    expect(made.status).toBe(201)
    const request = await requestOf(app, { scope: "openid offline_access cases.read" })
    const back = await consent(kit, kit.samarkand, request.url, { phone, scopes: ["offline_access", "cases.read"] })
    const tokens = await redeem(app, back, request, { resource: app.resource })
    const strange = await report(other)
    const { id } = await report(citizen)
    const [first] = (await arrived("/partner")) as [Heard]
    const event = new Webhook(made.body.secret).verify(first.body, first.headers)
    expect(event).toMatchObject({ type: "traffic-report.created", subject: `traffic-report/${id}` })
    // What the message leaves out is fetched with the rights that the citizen gave.
    expect((await withToken(tokens.access_token).get(`/v1/cases/traffic-report/${id}`)).body.id).toBe(id)
    expect(JSON.stringify(heard.filter(({ path }) => path === "/partner"))).not.toContain(strange.id)
    const messages = await withToken(token).get(`/v1/webhooks/${made.body.id}/messages?limit=1`)
    expect([messages.body.items.length, messages.status]).toEqual([1, 200])
  })

  test("sees_every_attempt_and_sends_again", async () => {
    const { client } = await partner()
    const made = await client.post("/v1/webhooks", { url: `${base}/bad` })
    const path = `/v1/webhooks/${made.body.id}`
    const sent = await client.post(`${path}/tests`)
    await arrived("/bad")
    const [attempt] = await until("written down", async () => {
      const { body } = await client.get(`${path}/attempts?message=${sent.body.id}&delivered=false`)
      return body.items.length > 0 ? body.items : undefined
    })
    expect(attempt).toMatchObject({ messageId: sent.body.id, number: 1, status: 500, delivered: false })
    expect((await client.get(`${path}/messages?state=waiting`)).body.items[0]).toMatchObject({ attempts: 1 })
    await client.call("PUT", path, { body: { url: `${base}/good` } })
    await kit.sql("update mahalla.webhook_message set state = 'failed', settled_at = now() where event_id = $1", [
      sent.body.id
    ])
    const recovery = await client.post(`${path}/recoveries`, { since: "2026-01-01T00:00:00Z" })
    expect(recovery.status).toBe(201)
    await arrived("/good")
    const done = await until("recovered", async () => {
      const { body } = await client.get(`${path}/recoveries/${recovery.body.id}`)
      return body.delivered === 1 ? body : undefined
    })
    expect(done).toMatchObject({ complete: true, delivered: 1, failed: 0, waiting: 0 })
    expect((await client.post(`${path}/messages/${sent.body.id}/resend`)).status).toBe(202)
    const ids = (await arrived("/good", 2)).map(({ headers }) => headers["webhook-id"])
    expect(new Set(ids)).toEqual(new Set([`evt_${sent.body.id}`]))
  })
})

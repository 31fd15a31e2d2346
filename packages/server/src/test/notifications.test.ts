/** What people are told, over HTTP: their choices, staff's templates and rules, broadcasts, and the links that need no sign-in. */
import { linkToken } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { type Client, until } from "./client.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let citizen: Client & { readonly id: string }
let neighbour: Client & { readonly id: string }
let admin: Client & { readonly id: string }
let stranger: Client & { readonly id: string }

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  citizen = await kit.samarkand.citizen("+998905000101")
  neighbour = await kit.samarkand.citizen("+998905000102")
  admin = kit.samarkand.staff["municipality-admin"]
  stranger = kit.bukhara.staff["municipality-admin"]
}, 300_000)
afterAll(() => kit?.close())

const choices = { quiet: "tenant", digest: "immediately", digestHour: 18, digestDay: 5, categories: {} }
const token = (meaning: Parameters<typeof linkToken>[1]) =>
  kit.city.as({ tenant: "samarkand", principal: "system" }).run(linkToken(kit.samarkand.id, meaning))

describe("messages", { timeout: 120_000 }, () => {
  test("are_seen_by_whom_they_are_for_and_by_staff_and_by_nobody_else", async () => {
    await report(citizen)
    const message = await until("a message", async () => (await citizen.get("/v1/me/messages")).body.items[0])
    expect(message).toMatchObject({ source: "event", category: "cases" })
    expect((await neighbour.get("/v1/me/messages")).body.items).toEqual([])
    const path = `/v1/messages/${message.id}`
    expect((await citizen.get(path)).status).toBe(200)
    for (const other of [neighbour, stranger, kit.samarkand.visitor]) expect((await other.get(path)).status).toBe(404)
    const sent = await until("handed over", async () => {
      const { body } = await admin.get(path)
      return body.state === "accepted" ? body : undefined
    })
    expect(sent.tries).toMatchObject([{ attempt: 1, state: "accepted" }])
    expect((await admin.get(`/v1/messages?principal=${citizen.id}&state=accepted`)).body.items.length).toBeGreaterThan(
      0
    )
    expect((await admin.get(`/v1/messages?principal=${neighbour.id}`)).body.items).toEqual([])
    expect((await citizen.get("/v1/messages")).status).toBe(403)
    expect((await stranger.get(`/v1/messages?principal=${citizen.id}`)).body.items).toEqual([])
    const totals = await admin.get("/v1/message-totals?from=2026-01-01&to=2099-01-01")
    expect(totals.body.items[0]).toMatchObject({ category: "cases", currency: "" })
    expectProblem("invalid-input", await admin.get("/v1/message-totals?from=2026-02-01&to=2026-01-01"), {
      status: 400,
      type: "invalid-input"
    })
  })
})

describe("choices", { timeout: 120_000 }, () => {
  test("are_ones_own_and_have_versions", async () => {
    const path = "/v1/me/notification-preferences"
    const first = await citizen.get(path)
    expect([first.status, first.headers.get("etag"), first.body.digest]).toEqual([200, '"0"', "immediately"])
    const put = (body: object, etag: string) => citizen.call("PUT", path, { body, headers: { "if-match": etag } })
    const categories = { cases: { channels: ["outbox"] } }
    expect((await put({ ...choices, language: "uz-Cyrl", categories }, '"0"')).body).toMatchObject({
      version: 1,
      language: "uz-Cyrl",
      categories
    })
    expectProblem("version-conflict", await put(choices, '"0"'), { status: 412, type: "version-conflict" })
    const wrong = await citizen.call("PUT", path, { body: { ...choices, quiet: "own", territoryId: kit.bukhara.id } })
    expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(["/quietFrom", "/territoryId"])
    expect((await citizen.call("PUT", path, { body: { ...choices, digestHour: 24, more: 1 } })).status).toBe(400)
    expect((await kit.samarkand.visitor.get(path)).status).toBe(401)
    expect((await neighbour.get(path)).body.version).toBe(0)
  })

  test("end_with_one_click_and_without_a_sign_in", async () => {
    const link = `/v1/notification-links/${await token({ kind: "unsubscribe", personId: neighbour.id, category: "city" })}`
    const { visitor } = kit.samarkand
    const page = await visitor.get(link)
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"])
    expect(page.text).toContain('<form method="post">')
    const categories = async () => (await neighbour.get("/v1/me/notification-preferences")).body.categories
    expect(await categories()).toEqual({})
    // As mail programs do it (RFC 8058).
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    const done = await visitor.call("POST", link, {
      body: new TextEncoder().encode("List-Unsubscribe=One-Click"),
      headers
    })
    expect([done.status, done.text.includes("<form")]).toEqual([200, false])
    expect(await categories()).toEqual({ city: { channels: [] } })
    for (const wrong of [
      `${link}x`,
      link.replace(neighbour.id, citizen.id),
      link.replace(".city.", ".cases."),
      "/v1/notification-links/u",
      "/v1/notification-links/.."
    ])
      expect([wrong, (await visitor.call("POST", wrong)).status >= 400]).toEqual([wrong, true])
    expect((await kit.bukhara.visitor.call("POST", link)).status).toBe(404)
  })

  test("name_a_mailbox_that_is_used_when_it_was_proved", async () => {
    const path = "/v1/me/notification-email"
    for (const address of ["me", "me@", '"a b"@example.org', "me@example.org\r\nBcc: x@y.zz", "(c)me@example.org"])
      expect([address, (await citizen.call("PUT", path, { body: { address } })).status]).toEqual([address, 400])
    const set = await citizen.call("PUT", path, { body: { address: "Me@Example.org" } })
    expect(set.body).toEqual({ address: "Me@example.org", verified: false })
    const rows = await kit.sql<{ id: string; address_sealed: string }>(
      "select id, address_sealed from mahalla.notification_address where principal_id = $1",
      [citizen.id]
    )
    expect(rows[0]!.address_sealed).not.toContain("xample")
    const link = await token({ kind: "confirm-email", addressId: rows[0]!.id })
    expect((await kit.samarkand.visitor.post(`/v1/notification-links/${link}`)).status).toBe(200)
    expect((await citizen.get(path)).body.verified).toBe(true)
    expect((await citizen.call("DELETE", path)).status).toBe(204)
    expect((await citizen.get(path)).body).toEqual({ address: null, verified: false })
    // The city sends no push.
    expectProblem(
      "invalid-input",
      await citizen.post("/v1/me/push-subscriptions", { token: "a token of some app 1".replaceAll(" ", "-") }),
      { status: 400, type: "invalid-input" }
    )
    expectProblem("invalid-input", await citizen.post("/v1/me/push-subscriptions", {}), {
      status: 400,
      type: "invalid-input"
    })
  })
})

describe("staff", { timeout: 120_000 }, () => {
  test("writes_previews_and_tries_templates_and_rules", async () => {
    const path = "/v1/notification-templates/case-created/any"
    const built = await admin.get(path)
    expect([built.headers.get("etag"), built.body.builtIn]).toEqual(['"0"', true])
    const texts = { en: { text: "{title} {reference}: thank you, {city}." } }
    const stored = await admin.call("PUT", path, { body: { texts }, headers: { "if-match": '"0"' } })
    expect(stored.body).toMatchObject({ version: 1, builtIn: false, texts })
    expectProblem(
      "version-conflict",
      await admin.call("PUT", path, { body: { texts }, headers: { "if-match": '"0"' } }),
      { status: 412, type: "version-conflict" }
    )
    const wrong = await admin.call("PUT", path, { body: { texts: { en: { text: "{nmae}", html: "<script>" } } } })
    expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      "/texts/en/text",
      "/texts/en/html"
    ])
    const shown = await admin.post(`${path}/preview`, { language: "en", values: { title: "Lamp" } })
    expect(shown.body).toEqual({
      language: "en",
      subject: null,
      text: "Lamp 7F3K-9QXZ: thank you, Samarkand.",
      html: null
    })
    expect((await citizen.get("/v1/notification-templates")).status).toBe(403)
    expect((await stranger.get(path)).body.builtIn).toBe(true)
    expect((await admin.call("DELETE", path)).status).toBe(204)
    expect((await admin.get(path)).body).toMatchObject({ version: 2, builtIn: true })

    const rules = await admin.get("/v1/notification-rules")
    expect(rules.body.items.map(({ key }: { key: string }) => key)).toEqual([
      "case-changed",
      "case-created",
      "case-notice"
    ])
    const rule = { ...rules.body.items[1].definition, enabled: false }
    const replaced = await admin.call("PUT", "/v1/notification-rules/case-created", {
      body: rule,
      headers: { "if-match": '"0"' }
    })
    expect([replaced.status, replaced.headers.get("etag")]).toEqual([200, '"1"'])
    expect((await admin.call("DELETE", "/v1/notification-rules/case-created")).status).toBe(204)
    expect((await citizen.call("PUT", "/v1/notification-rules/mine", { body: rule })).status).toBe(403)
  })

  test("tells_everybody_what_it_has_looked_at", async () => {
    const texts = { en: { text: "{city}: no water tomorrow." } }
    const made = await admin.post("/v1/broadcasts", { category: "news", urgency: "normal", texts })
    expect([made.status, made.headers.get("location")]).toEqual([
      201,
      expect.stringMatching(`/v1/broadcasts/${made.body.id}$`)
    ])
    const path = `/v1/broadcasts/${made.body.id}`
    expect((await stranger.get(path)).status).toBe(404)
    expect((await citizen.get(path)).status).toBe(403)
    const { recipients } = (await admin.get(`${path}/estimate`)).body
    expect(recipients).toBe(2)
    expectProblem("refused", await admin.post(`${path}/start`, { recipients: 200 }), { status: 422, type: "refused" })
    expect((await admin.post(`${path}/start`, { recipients })).body.state).toBe("running")
    await until("told", async () => {
      const { body } = await admin.get(`${path}/results`)
      return body.items.some(
        ({ amount, state }: { amount: number; state: string }) => state === "accepted" && amount === 2
      )
    })
    const { body } = await neighbour.get("/v1/me/messages")
    expect(body.items[0]).toMatchObject({ source: "broadcast", text: expect.stringMatching(/: no water tomorrow\.$/) })
    expect((await admin.get("/v1/broadcasts")).body.items).toHaveLength(1)
    expect((await admin.post(`${path}/cancel`)).body.state).toBe("cancelled")
    expectProblem("refused", await admin.post(`${path}/resume`), { status: 422, type: "refused" })
  })
})

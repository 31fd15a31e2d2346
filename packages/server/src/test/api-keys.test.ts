/** Keys of servers over HTTP: what they open, and how they end. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient, newKey } from "./client.ts"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let admin: Client
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
})
afterAll(() => kit?.close())

interface Made {
  readonly id: string
  readonly key: string
  readonly principalId: string
  readonly client: Client
}

const withKey = (key: string, base = kit.samarkand.visitor.base) => makeClient(base, { authorization: `Bearer ${key}` })

const make = async (scopes: ReadonlyArray<string>, roles: ReadonlyArray<string> = []): Promise<Made> => {
  const { body, status } = await admin.post("/v1/api-keys", { name: "A partner", scopes })
  expect(status).toBe(201)
  for (const role of roles)
    expect((await admin.post(`/v1/principals/${body.principalId}/grants`, { role })).status).toBe(201)
  return { id: body.id, key: body.key, principalId: body.principalId, client: withKey(body.key) }
}

const invalid = { status: 401, type: "unauthorized" } as const
const forbidden = { status: 403, type: "forbidden" } as const

describe("a key", () => {
  test("does_no_more_than_its_app_may_and_its_scopes_say", async () => {
    const { id } = await report(await kit.samarkand.citizen("+998909000001"))
    const address = `/v1/cases/traffic-report/${id}`
    const { client, principalId } = await make(["traffic-report.*"])
    expect((await client.get("/v1/me")).body).toMatchObject({ id: principalId, kind: "app" })
    expectProblem("no role, whatever the scopes say", await client.get(address), { status: 404, type: "not-found" })
    expect((await admin.post(`/v1/principals/${principalId}/grants`, { role: "inspector" })).status).toBe(201)
    expect((await client.get(address)).status).toBe(200)
    const listed = async (query: string) => (await client.get(`/v1/cases?${query}`)).body.items.length as number
    expect([await listed("type=traffic-report"), await listed("type=traffic-violation")]).toEqual([1, 0])
    // An inspector may read violations too, but the key says nothing of them.
    const narrow = await make(["traffic-report.create"], ["inspector"])
    expectProblem("read", await narrow.client.get(address), { status: 404, type: "not-found" })
    expect((await narrow.client.get("/v1/cases")).body.items).toEqual([])
  })

  test("of_an_app_that_may_do_everything_opens_its_scopes_and_nothing_else", async () => {
    const { client, principalId } = await make(["principal.read"], ["municipality-admin"])
    const { body } = await client.get("/openapi.json")
    const open: Array<string> = []
    for (const [path, item] of Object.entries(body.paths as Record<string, object>)) {
      for (const method of Object.keys(item)) {
        // Signing in is for everybody, and so is what a visitor sees.
        if (path.startsWith("/v1/auth/") || path === "/v1/events" || path === "/v1/readings/live") continue
        const target = path.replaceAll("{type}", "traffic-report").replaceAll(/\{[^}]+\}/g, principalId)
        const [asKey, asVisitor] = [client, kit.samarkand.visitor].map((who) =>
          who.call(method.toUpperCase(), target, method === "get" ? {} : { body: {} })
        )
        const [key, visitor] = [await asKey!, await asVisitor!]
        if (key.status < 300 && key.text !== visitor.text) open.push(`${method} ${path}`)
      }
    }
    expect(open.sort()).toEqual(["get /v1/me", "get /v1/principals", "get /v1/principals/{id}"])
  })

  test("case_19_is_worth_nothing_cut_changed_revoked_run_out_in_the_address_or_in_another_city", async () => {
    const { client, id, key, principalId } = await make(["principal.read"], ["municipality-admin"])
    expect((await client.get("/v1/principals")).status).toBe(200)
    const last = key.at(-1) === "0" ? "1" : "0"
    const wrong: Readonly<Record<string, string>> = {
      "its prefix": key.slice(0, 12),
      "cut by one": key.slice(0, -1),
      "changed by one": key.slice(0, -1) + last,
      "another with a right checksum": "mak_" + "A".repeat(43) + "5a5a5a5a",
      "in small letters": key.toLowerCase()
    }
    const texts = new Set<string>()
    for (const [name, text] of Object.entries(wrong)) {
      const answer = await withKey(text).get("/v1/principals")
      expectProblem(name, answer, invalid)
      texts.add(String(answer.body.detail))
    }
    expect(texts.size).toBe(1)
    for (const query of [`access_token=${key}`, `api_key=${key}`, `key=${key}`])
      expect((await kit.samarkand.visitor.get(`/v1/principals?${query}`)).status).toBeGreaterThanOrEqual(400)
    expectProblem("another city", await withKey(key, kit.bukhara.visitor.base).get("/v1/principals"), invalid)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [principalId])
    expectProblem("its app is blocked", await client.get("/v1/principals"), invalid)
    await kit.sql("update mahalla.principal set status = 'active' where id = $1", [principalId])
    expect((await client.get("/v1/principals")).status).toBe(200)
    await kit.sql("update mahalla.api_key set expires_at = now() - interval '1 second' where id = $1", [id])
    expectProblem("run out", await client.get("/v1/principals"), invalid)
    const other = await make(["principal.read"], ["municipality-admin"])
    expect((await admin.call("DELETE", `/v1/api-keys/${other.id}`)).status).toBe(204)
    expectProblem("revoked", await other.client.get("/v1/principals"), invalid)
    expectProblem("revoked twice", await admin.call("DELETE", `/v1/api-keys/${other.id}`), {
      status: 404,
      type: "not-found"
    })
  })

  test("is_shown_once_and_kept_as_a_hash", async () => {
    const headers = { "idempotency-key": newKey() }
    const payload = { name: "Shown once", scopes: ["event.read"], days: 7 }
    const first = await admin.post("/v1/api-keys", payload, headers)
    const again = await admin.post("/v1/api-keys", payload, headers)
    expect([again.status, again.body]).toEqual([201, { ...first.body, key: null }])
    const listed = await admin.get(`/v1/api-keys?principal=${first.body.principalId}`)
    expect(listed.body.items).toMatchObject([
      { id: first.body.id, prefix: first.body.key.slice(0, 12), scopes: ["event.read"] }
    ])
    expect(listed.text).not.toContain(first.body.key)
    const tables = await kit.sql<{ name: string }>(
      "select relname as name from pg_class where relnamespace = 'mahalla'::regnamespace and relkind in ('r', 'p')"
    )
    for (const { name } of tables) {
      const rows = await kit.sql<{ text: string }>(`select row_to_json(t)::text as text from mahalla.${name} t`)
      expect([name, rows.some((row) => row.text.includes(first.body.key.slice(12)))]).toEqual([name, false])
    }
    const events = await kit.sql<{ payload: object }>(
      "select payload from mahalla.event where type = 'identity.api-key-created' and payload ->> 'keyId' = $1",
      [first.body.id]
    )
    expect(events).toMatchObject([{ payload: { principalId: first.body.principalId, scopes: ["event.read"] } }])
  })

  test("writes_its_use_down_once_a_minute", async () => {
    const { client, id } = await make(["principal.read"], ["municipality-admin"])
    const used = async () =>
      (await kit.sql<{ at: string }>("select last_used_at::text as at from mahalla.api_key where id = $1", [id]))[0]!.at
    expect(await used()).toBeNull()
    await client.get("/v1/me")
    const first = await used()
    expect(first).not.toBeNull()
    await client.get("/v1/me")
    expect(await used()).toBe(first)
    await kit.sql("update mahalla.api_key set last_used_at = last_used_at - interval '61 seconds' where id = $1", [id])
    await client.get("/v1/me")
    expect(Date.parse(await used())).toBeGreaterThanOrEqual(Date.parse(first))
  })

  test("is_made_by_people_out_of_what_they_may_themselves", async () => {
    const { auditor, inspector } = kit.samarkand.staff
    expectProblem("no right", await inspector.post("/v1/api-keys", { name: "x", scopes: ["job.read"] }), forbidden)
    expectProblem("no right to see", await auditor.get("/v1/api-keys"), forbidden)
    const { client } = await make(["api-key.create", "job.read"], ["municipality-admin"])
    expectProblem("by a key", await client.post("/v1/api-keys", { name: "x", scopes: ["job.read"] }), forbidden)
    for (const scopes of [["*.*"], ["*.read"], ["job"], [], ["Job.read"], ["job.read", "job.read"]]) {
      const answer = await admin.post("/v1/api-keys", { name: "x", scopes })
      expect([JSON.stringify(scopes), answer.status]).toEqual([JSON.stringify(scopes), 400])
    }
    // Somebody who has the role for a while makes no key of an app that has it for good.
    const app = await make(["principal.read"], ["municipality-admin"])
    const guest = await kit.samarkand.staffMember([])
    const until = new Date(Date.now() + 3 * 86_400_000).toISOString()
    const given = await admin.post(`/v1/principals/${guest.id}/grants`, { role: "municipality-admin", until })
    expect(given.status).toBe(201)
    const asked = { name: "x", scopes: ["principal.read"], principalId: app.principalId }
    expectProblem("longer than the role", await guest.post("/v1/api-keys", asked), forbidden)
    expect((await guest.post("/v1/api-keys", { ...asked, days: 2 })).status).toBe(201)
    const person = await kit.samarkand.citizen("+998909000002")
    expectProblem(
      "as a person",
      await admin.post("/v1/api-keys", { name: "x", scopes: ["job.read"], principalId: person.id }),
      { status: 400, type: "invalid-input", pointers: ["/principalId"] }
    )
    expectProblem("no profile", await client.call("PATCH", "/v1/me", { body: { name: "x" } }), invalid)
    expectProblem("no sessions", await client.get("/v1/me/sessions"), invalid)
  })
})

/** The platform's own people: what they may do across cities, that it is written down, and that nothing else crosses. */
import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"

let kit: CityKit
let other: Awaited<ReturnType<CityKit["another"]>>
let root: Client & { readonly id: string }

const later = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
const reason = "A ticket of the city's asks us to look"

const signIn = async (name: string) => {
  const { id } = await kit.city.admin.platform.createAdmin(name)
  const token = await kit.city.admin.platform.link(id)
  const door = makeClient(kit.url)
  const { body } = await door.post("/v1/platform/session", { token })
  return { ...door.with({ authorization: `Bearer ${body.accessToken}` }), id, token }
}

const log = () =>
  kit.sql<{ operation: string; admin_id: string | null; city: string | null; detail: Record<string, unknown> }>(
    "select operation, admin_id, city, detail from mahalla.platform_log order by position"
  )
const told = (tenantId: string) =>
  kit.sql<{ payload: Record<string, string> }>(
    "select payload from mahalla.event where tenant_id = $1 and type = 'platform.acted' order by id",
    [tenantId]
  )

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  other = await kit.another()
  root = await signIn("Rustam Platform")
})
afterAll(async () => {
  await other?.close()
  await kit?.close()
})

describe("a super-admin", () => {
  test("signs_in_once_by_a_link_that_is_kept_as_a_hash", async () => {
    const { id } = await kit.city.admin.platform.createAdmin("Second")
    const token = await kit.city.admin.platform.link(id)
    const [kept] = await kit.sql<{ token_hash: string }>(
      "select token_hash from mahalla.platform_link where admin_id = $1",
      [id]
    )
    expect(kept!.token_hash).toBe(createHash("sha256").update(token).digest("base64url"))
    const door = makeClient(kit.url)
    expect((await door.post("/v1/platform/session", { token })).status).toBe(200)
    expect((await door.post("/v1/platform/session", { token })).status).toBe(401)
    const late = await kit.city.admin.platform.link(id)
    await kit.sql("update mahalla.platform_link set expires_at = now() - interval '1 second' where admin_id = $1", [id])
    expect((await door.post("/v1/platform/session", { token: late })).status).toBe(401)
  })

  test("who_is_blocked_is_out_with_the_next_request", async () => {
    const person = await signIn("Blocked")
    expect((await person.get("/v1/platform/tenants")).status).toBe(200)
    await kit.sql("update mahalla.platform_admin set status = 'blocked' where id = $1", [person.id])
    expect((await person.get("/v1/platform/tenants")).status).toBe(401)
    await expect(kit.city.admin.platform.link(person.id)).rejects.toMatchObject({ _tag: "NotFound" })
  })

  test("founds_a_city_and_lists_all_of_them", async () => {
    const settings = (await kit.city.admin.tenants.list())[0]!.settings
    const made = await root.post("/v1/platform/tenants", { slug: "khiva", name: "Khiva", settings })
    expect([made.status, made.body.slug]).toEqual([201, "khiva"])
    const listed = (await root.get("/v1/platform/tenants")).body.items as ReadonlyArray<{ slug: string }>
    expect(listed.map(({ slug }) => slug)).toEqual(["bukhara", "khiva", "samarkand"])
    expect((await root.post("/v1/platform/tenants", { slug: "khiva", name: "Khiva", settings })).status).toBe(400)
    expect((await told(made.body.tenantId)).map(({ payload }) => payload["operation"])).toEqual(["tenant.created"])
    expect(await log()).toContainEqual({
      operation: "tenant.created",
      admin_id: root.id,
      city: made.body.tenantId,
      detail: {}
    })
  })

  test("closes_a_city_with_the_next_request_in_every_server_and_opens_it_again", async () => {
    const admin = kit.bukhara.staff["municipality-admin"]
    const doors = [
      admin,
      makeClient(`${other.url}/t/bukhara`, { authorization: admin.headers["authorization"]! }),
      makeClient(`${other.url}/t/bukhara`)
    ]
    const statuses = async () =>
      (await Promise.all(doors.map((door) => door.get("/v1/case-types")))).map((a) => a.status)
    expect(await statuses()).toEqual([200, 200, 200])
    expect((await root.post("/v1/platform/tenants/bukhara/suspend", { reason: "short" })).status).toBe(400)
    const closed = await root.post("/v1/platform/tenants/bukhara/suspend", { reason })
    expect([closed.status, closed.body.suspendedBecause]).toEqual([200, reason])
    expect(await statuses()).toEqual([503, 503, 503])
    expect((await admin.get("/v1/case-types")).body.type).toBe("urn:mahalla:problem:suspended")
    expect((await kit.samarkand.staff["municipality-admin"].get("/v1/case-types")).status).toBe(200)
    expect((await root.post("/v1/platform/tenants/bukhara/resume", { reason })).body.suspendedAt).toBeNull()
    expect(await statuses()).toEqual([200, 200, 200])
    expect((await told(kit.bukhara.id)).map(({ payload }) => payload["operation"])).toEqual([
      "tenant.suspended",
      "tenant.resumed"
    ])
    // People write reasons: they are kept as personal values, not in the event.
    expect(JSON.stringify(await told(kit.bukhara.id))).not.toContain(reason)
  })

  test("reads_counts_of_every_city_and_each_of_them_learns_of_it", async () => {
    const before = (await told(kit.samarkand.id)).length
    const { items } = (await root.get("/v1/platform/figures")).body
    const mine = items.find((one: { slug: string }) => one.slug === "samarkand")
    expect(mine).toMatchObject({ suspended: false, cases: 0, people: 0, deadJobs: 0 })
    expect(mine.staff).toBeGreaterThanOrEqual(5)
    expect((await told(kit.samarkand.id)).slice(before).map(({ payload }) => payload)).toEqual([
      { operation: "tenant.figures-read", adminId: root.id }
    ])
  })

  test("breaks_the_glass_of_one_city_for_a_reason_and_for_a_time", async () => {
    const ask = (body: object) => root.post("/v1/platform/tenants/samarkand/access", body)
    expect((await ask({ reason, until: later(-1) })).body.errors[0].pointer).toBe("/until")
    expect((await ask({ reason, until: later(25 * 60) })).body.errors[0].pointer).toBe("/until")
    expect((await ask({ until: later(10) })).status).toBe(400)
    const opened = await ask({ reason, until: later(30) })
    expect(opened.status).toBe(201)
    const inside = makeClient(`${kit.url}/t/samarkand`, { authorization: `Bearer ${opened.body.accessToken}` })
    expect((await inside.get("/v1/event-log")).status).toBe(200)
    const elsewhere = makeClient(`${kit.url}/t/bukhara`, { authorization: `Bearer ${opened.body.accessToken}` })
    expect((await elsewhere.get("/v1/event-log")).status).toBe(401)
    // The city sees who came, and what for; nothing it gives away outlasts it.
    const admin = kit.samarkand.staff["municipality-admin"]
    const seen = (await admin.get(`/v1/principals/${opened.body.principalId}`)).body
    expect([seen.name, seen.grants[0].role, seen.grants[0].until]).toEqual([
      "Platform: Rustam Platform",
      "super-admin",
      opened.body.until
    ])
    const friend = await kit.samarkand.staffMember([])
    expect((await inside.post(`/v1/principals/${friend.id}/grants`, { role: "auditor" })).status).toBe(403)
    expect((await told(kit.samarkand.id)).at(-1)!.payload).toEqual({
      operation: "access.opened",
      adminId: root.id,
      principalId: opened.body.principalId,
      until: opened.body.until
    })
    expect(await log()).toContainEqual({
      operation: "access.opened",
      admin_id: root.id,
      city: kit.samarkand.id,
      detail: { reason, principalId: opened.body.principalId, until: opened.body.until }
    })
    const path = `/v1/platform/tenants/samarkand/access/${opened.body.principalId}`
    // Somebody else's access is nobody's to renew.
    const stranger = await signIn("Somebody else")
    expect((await stranger.post(`${path}/token`)).status).toBe(404)
    expect((await root.post(`${path.replace("samarkand", "bukhara")}/token`)).status).toBe(404)
    expect((await root.post(`/v1/platform/tenants/samarkand/access/${friend.id}/token`)).status).toBe(404)
    expect((await root.post(`${path}/token`)).status).toBe(200)
    await kit.sql("update mahalla.role_grant set until = now() - interval '1 second' where principal_id = $1", [
      opened.body.principalId
    ])
    expect((await inside.get("/v1/event-log")).status).toBe(403)
    expect((await root.post(`${path}/token`)).status).toBe(404)
    const second = await ask({ reason, until: later(30) })
    const again = makeClient(`${kit.url}/t/samarkand`, { authorization: `Bearer ${second.body.accessToken}` })
    expect((await root.call("DELETE", path.replace(opened.body.principalId, second.body.principalId))).status).toBe(204)
    expect((await again.get("/v1/event-log")).status).toBe(401)
  })
})

describe("nothing else crosses", () => {
  const routes = async () => {
    const { body } = await kit.samarkand.visitor.get("/openapi.json")
    return Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => ({ method: method.toUpperCase(), path }))
    )
  }
  const filled = (path: string) =>
    path.replace("{slug}", "samarkand").replaceAll(/\{[^}]+\}/g, "00000000-0000-7000-8000-000000000000")

  test("a_platform_token_opens_no_door_of_a_city", async () => {
    const token = { authorization: root.headers["authorization"]! }
    const inCity = makeClient(`${kit.url}/t/samarkand`, token)
    const all = (await routes()).filter(({ path }) => !path.startsWith("/v1/platform"))
    expect(all.length).toBeGreaterThan(50)
    for (const { method, path } of all) {
      const { status } = await inCity.call(method, filled(path), method === "GET" ? {} : { body: {} })
      expect([method, path, [400, 401, 404].includes(status)]).toEqual([method, path, true])
      if (method === "GET") expect([path, status]).toEqual([path, 401])
    }
  })

  test("no_other_token_opens_a_door_of_the_platform", async () => {
    const doors = (await routes()).filter(
      ({ path }) => path.startsWith("/v1/platform") && path !== "/v1/platform/session"
    )
    expect(doors.length).toBe(9)
    const admin = kit.samarkand.staff["municipality-admin"]
    const before = await log()
    const bodies: Readonly<Record<string, unknown>> = {
      suspend: { reason },
      resume: { reason },
      access: { reason, until: later(5) }
    }
    for (const headers of [{ authorization: admin.headers["authorization"]! }, {} as Record<string, string>]) {
      for (const client of [makeClient(kit.url, headers), makeClient(`${kit.url}/t/samarkand`, headers)]) {
        for (const { method, path } of doors) {
          const body = bodies[path.split("/").at(-1)!]
          const { status } = await client.call(method, filled(path), body === undefined ? {} : { body })
          expect([method, path, status]).toEqual([
            method,
            path,
            path.endsWith("/tenants") && method === "POST" ? status : 401
          ])
          expect(status).toBeGreaterThanOrEqual(400)
        }
      }
    }
    expect(await log()).toEqual(before)
  })

  test("its_log_is_only_added_to_and_only_by_the_platform", async () => {
    const { items } = (await root.get("/v1/platform/log?limit=200")).body
    const stored = await log()
    // Reading it is an operation of its own.
    expect(items.length).toBe(stored.length - 1)
    expect(new Set(stored.map(({ operation }) => operation))).toContain("admin.created")
    const rights = await kit.sql<{ who: string; verb: string }>(
      `select who, verb from unnest(array['mahalla_app', 'mahalla_platform']) who, unnest(array['select', 'insert', 'update', 'delete']) verb
       where has_table_privilege(who, 'mahalla.platform_log', verb) order by 1, 2`
    )
    expect(rights).toEqual([
      { who: "mahalla_platform", verb: "insert" },
      { who: "mahalla_platform", verb: "select" }
    ])
  })
})

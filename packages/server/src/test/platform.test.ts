/** The platform's own people: what they may do across cities, that it is written down, and that nothing else crosses. */
import { createHash } from "node:crypto"
import { Secret, TOTP } from "otpauth"
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
    const apps = await admin.get("/oauth/.well-known/openid-configuration")
    expect([apps.status, apps.body.type]).toEqual([503, "urn:mahalla:problem:suspended"])
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

  test("acts_on_a_city_that_was_founded_a_moment_ago_and_has_no_keys_yet", async () => {
    const settings = (await kit.city.admin.tenants.list())[0]!.settings
    for (const slug of ["nukus", "termez"]) await root.post("/v1/platform/tenants", { slug, name: slug, settings })
    const made = await kit.sql(
      "select from mahalla.tenant_key k join mahalla.tenant using (tenant_id) where slug = any ($1)",
      [["nukus", "termez"]]
    )
    expect(made).toEqual([])
    expect((await root.post("/v1/platform/tenants/nukus/suspend", { reason })).status).toBe(200)
    const opened = await root.post("/v1/platform/tenants/termez/access", { reason, until: later(10) })
    expect(opened.status).toBe(201)
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

describe("the second factor of a super-admin", () => {
  let strict: CityKit
  // Outside of dev everybody needs one.
  beforeAll(async () => {
    strict = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { mode: "production" } })
  })
  afterAll(() => strict?.close())

  const codeOf = (secret: string, steps = 0) =>
    new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * 30_000 })
  const enter = async (id: string) => {
    const token = await strict.city.admin.platform.link(id)
    const door = makeClient(strict.url)
    const { body } = await door.post("/v1/platform/session", { token })
    return { step: body.secondFactor as string, client: door.with({ authorization: `Bearer ${body.accessToken}` }) }
  }
  const cities = async ({ client }: { readonly client: Client }) => {
    const { body, status } = await client.get("/v1/platform/tenants")
    return status === 403 ? [status, body.type, body.code] : [status]
  }
  const needs = (step: string) => [403, "urn:mahalla:problem:second-factor-required", step]
  const enrolled = async (name: string) => {
    const { id } = await strict.city.admin.platform.createAdmin(name)
    const first = await enter(id)
    const { secret } = (await first.client.post("/v1/platform/factors/totp")).body as { secret: string }
    const confirmed = await first.client.post("/v1/platform/factors/totp/confirm", { code: codeOf(secret) })
    expect([confirmed.status, confirmed.body]).toEqual([200, { secondFactor: "passed" }])
    return { id, secret, first }
  }
  const said = (operation: string, id: string) =>
    strict.sql<{ admin_id: string | null; detail: Record<string, unknown> }>(
      "select admin_id, detail from mahalla.platform_log where operation = $1 and (admin_id = $2 or detail ->> 'principalId' = $2::text)",
      [operation, id]
    )

  test("is_set_up_before_anything_else_and_shown_at_every_sign_in_afterwards", async () => {
    const { id } = await strict.city.admin.platform.createAdmin("Rustam")
    const first = await enter(id)
    const besides = await enter(id)
    expect([first.step, await cities(first)]).toEqual(["enrol", needs("enrol")])
    expect((await first.client.post("/v1/platform/second-factor", { code: "000000" })).status).toBe(401)
    const begun = await first.client.post("/v1/platform/factors/totp")
    expect([begun.status, begun.body.uri]).toEqual([200, expect.stringContaining("otpauth://totp/")])
    const { secret } = begun.body as { secret: string }
    expect(await cities(first)).toEqual(needs("enrol"))
    const code = codeOf(secret)
    expect((await first.client.post("/v1/platform/factors/totp/confirm", { code })).status).toBe(200)
    expect(await cities(first)).toEqual([200])
    // Who had signed in elsewhere shows it too.
    expect(await cities(besides)).toEqual(needs("verify"))
    expect((await first.client.post("/v1/platform/factors/totp")).body.code).toBe("factor-exists")

    const again = await enter(id)
    expect([again.step, await cities(again)]).toEqual(["verify", needs("verify")])
    const show = (code: string, { client } = again) => client.post("/v1/platform/second-factor", { code })
    expect((await show(code)).status).toBe(401)
    // The next one is good already.
    const now = codeOf(secret, 1)
    const both = await Promise.all([show(now), show(now, besides)])
    // Nothing is taken twice, not even at once.
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 401]))
    expect(new Set([await cities(again), await cities(besides)].map(([status]) => status))).toEqual(new Set([200, 403]))
    expect(await said("admin.factor-added", id)).toHaveLength(1)
    expect(await said("admin.factor-refused", id)).toHaveLength(3)
    // What works stands nowhere in the database.
    const kept = JSON.stringify(await strict.sql("select * from mahalla.platform_admin"))
    expect(kept).not.toContain(secret)
  })

  test("takes_five_codes_of_a_sign_in_however_many_come_at_once", async () => {
    const { id, secret } = await enrolled("Guessed")
    const { client } = await enter(id)
    const show = (code: string) => client.post("/v1/platform/second-factor", { code })
    const right = codeOf(secret, 1)
    const wrong = right === "000000" ? "000001" : "000000"
    const guesses = await Promise.all(Array.from({ length: 20 }, () => show(wrong)))
    expect(guesses.every(({ status }) => status === 401)).toBe(true)
    expect((await said("admin.factor-refused", id)).length).toBe(5)
    expect((await show(right)).status).toBe(401)
    const next = await enter(id)
    expect((await next.client.post("/v1/platform/second-factor", { code: right })).status).toBe(200)
  })

  test("is_taken_away_on_the_machine_and_every_sign_in_with_it", async () => {
    const { first, id } = await enrolled("Lost her phone")
    expect(await cities(first)).toEqual([200])
    await strict.city.admin.platform.resetSecondFactor(id)
    expect(await cities(first)).toEqual([401])
    expect((await enter(id)).step).toBe("enrol")
    expect(await said("admin.factor-reset", id)).toEqual([{ admin_id: null, detail: { principalId: id } }])
  })

  test("stands_between_a_blocked_one_and_everything_from_the_next_request_on", async () => {
    const guard = (await enrolled("Guard")).first.client
    const { first, id } = await enrolled("Thief")
    const beside = await enter(id)
    const unused = await strict.city.admin.platform.link(id)
    const opened = await first.client.post("/v1/platform/tenants/samarkand/access", { reason, until: later(30) })
    const inside = makeClient(`${strict.url}/t/samarkand`, { authorization: `Bearer ${opened.body.accessToken}` })
    expect((await inside.get("/v1/event-log")).status).toBe(200)

    expect((await guard.post(`/v1/platform/admins/${id}/block`, { reason: "short" })).body.errors[0].pointer).toBe(
      "/reason"
    )
    const nobody = "00000000-0000-7000-8000-000000000000"
    expect((await guard.post(`/v1/platform/admins/${nobody}/block`, { reason })).status).toBe(404)
    const blocked = await guard.post(`/v1/platform/admins/${id}/block`, { reason })
    expect([blocked.status, blocked.body.status, blocked.body.secondFactor]).toEqual([200, "blocked", true])

    expect([await cities(first), await cities(beside)]).toEqual([[401], [401]])
    expect((await inside.get("/v1/event-log")).status).toBe(401)
    expect((await makeClient(strict.url).post("/v1/platform/session", { token: unused })).status).toBe(401)
    expect(
      (await first.client.post(`/v1/platform/tenants/samarkand/access/${opened.body.principalId}/token`)).status
    ).toBe(401)
    const listed = (await guard.get("/v1/platform/admins")).body.items as ReadonlyArray<{ id: string; status: string }>
    expect(listed.find((one) => one.id === id)!.status).toBe("blocked")
    const [line] = await said("admin.blocked", id)
    expect(line!.detail).toEqual({ principalId: id, reason })
    // The city reads that the access has ended.
    const [told] = await strict.sql<{ payload: Record<string, string> }>(
      "select payload from mahalla.event where tenant_id = $1 and type = 'platform.acted' order by id desc limit 1",
      [strict.samarkand.id]
    )
    expect(told!.payload).toMatchObject({ operation: "access.closed", principalId: opened.body.principalId })

    // What they held does not come back with them.
    await strict.city.admin.platform.unblock(id)
    expect([await cities(first), (await enter(id)).step]).toEqual([[401], "verify"])
  })

  test("is_asked_for_again_after_all_sign_ins_were_ended", async () => {
    const guard = (await enrolled("Second guard")).first.client
    const { first, id } = await enrolled("Forgot to sign out")
    expect((await guard.post(`/v1/platform/admins/${id}/sign-out`, { reason })).status).toBe(204)
    expect([await cities(first), (await enter(id)).step]).toEqual([[401], "verify"])
  })

  test("leaves_nobody_an_access_who_is_blocked_while_they_open_one", async () => {
    const { id, first } = await enrolled("Quick")
    const opening = Promise.all(
      Array.from({ length: 6 }, () =>
        first.client.post("/v1/platform/tenants/bukhara/access", { reason, until: later(30) })
      )
    )
    await strict.city.admin.platform.block(id, reason)
    const opened = (await opening).filter(({ status }) => status === 201)
    for (const { body } of opened) {
      const inside = makeClient(`${strict.url}/t/bukhara`, { authorization: `Bearer ${body.accessToken}` })
      expect((await inside.get("/v1/event-log")).status).toBe(401)
    }
    expect(
      await strict.sql(
        "select from mahalla.role_grant g join mahalla.platform_log l on l.detail ->> 'principalId' = g.principal_id::text where l.admin_id = $1",
        [id]
      )
    ).toEqual([])
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
    expect(doors.length).toBe(15)
    const admin = kit.samarkand.staff["municipality-admin"]
    const before = await log()
    const bodies: Readonly<Record<string, unknown>> = {
      suspend: { reason },
      resume: { reason },
      access: { reason, until: later(5) },
      block: { reason },
      "sign-out": { reason },
      "second-factor": { code: "000000" },
      confirm: { code: "000000" }
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

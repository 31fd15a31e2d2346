/** Roles as data: a city makes and changes its own, gives them in territories, and hands them on for a while. */
import { addTerritory } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"

let kit: CityKit
let other: Awaited<ReturnType<CityKit["another"]>>
let admin: Client & { readonly id: string }
let tree: { readonly city: string; readonly east: string; readonly west: string; readonly garden: string }

const later = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
const member = () => kit.samarkand.staffMember([])
const pointers = (answer: { readonly body: { readonly errors?: ReadonlyArray<{ pointer: string }> } }) =>
  answer.body.errors?.map((error) => error.pointer)
const events = async (type: string) =>
  (
    await kit.sql<{ payload: Record<string, unknown> }>(
      "select payload from mahalla.event where tenant_id = $1 and type = $2 order by id",
      [kit.samarkand.id, type]
    )
  ).map(({ payload }) => payload)

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  other = await kit.another()
  admin = kit.samarkand.staff["municipality-admin"]
  const engine = kit.city.as({ tenant: "samarkand", principal: "system" })
  const add = async (kind: string, parentId: string | null) =>
    (await engine.run(addTerritory({ kind, name: { en: kind }, parentId }))).id
  const city = await add("city", null)
  const east = await add("district", city)
  const west = await add("district", city)
  tree = { city, east, west, garden: await add("mahalla", east) }
})
afterAll(async () => {
  await other?.close()
  await kit?.close()
})

describe("a city's own roles", () => {
  test("are_made_changed_and_removed_with_a_version", async () => {
    const body = { id: "night-desk", title: "Night desk", permissions: ["*.read", "traffic-report.claim"] }
    const made = await admin.post("/v1/roles", body, { "idempotency-key": "night" })
    expect([made.status, made.body, made.headers.get("etag")]).toEqual([
      201,
      { ...body, version: 1, preset: false },
      '"1"'
    ])
    expect((await admin.post("/v1/roles", body, { "idempotency-key": "night" })).body).toEqual(made.body)
    expect(pointers(await admin.post("/v1/roles", body))).toEqual(["/id"])
    const change = (version: string, permissions: ReadonlyArray<string>) =>
      admin.call("PATCH", "/v1/roles/night-desk", { body: { permissions }, headers: { "if-match": version } })
    expect((await change('"7"', ["*.read"])).status).toBe(412)
    expect((await change('"1"', ["*.read"])).body).toMatchObject({ version: 2, permissions: ["*.read"] })
    expect((await admin.get("/v1/roles/night-desk")).headers.get("etag")).toBe('"2"')
    const holder = await member()
    const grant = await admin.post(`/v1/principals/${holder.id}/grants`, { role: "night-desk" })
    const inUse = await admin.call("DELETE", "/v1/roles/night-desk")
    expect([inUse.status, inUse.body.type]).toEqual([409, "urn:mahalla:problem:role-in-use"])
    await admin.call("DELETE", `/v1/principals/${holder.id}/grants/${grant.body.id}`)
    expect((await admin.call("DELETE", "/v1/roles/night-desk", { headers: { "if-match": '"1"' } })).status).toBe(412)
    expect((await admin.call("DELETE", "/v1/roles/night-desk")).status).toBe(204)
    expect((await admin.get("/v1/roles/night-desk")).status).toBe(404)
    expect(await events("role.created")).toContainEqual({
      role: "night-desk",
      title: "Night desk",
      permissions: body.permissions
    })
    expect(await events("role.removed")).toContainEqual({ role: "night-desk" })
    // The other city has heard of none of it.
    expect((await kit.bukhara.staff["municipality-admin"].get("/v1/roles/night-desk")).status).toBe(404)
  })

  test("are_made_of_permissions_that_exist", async () => {
    const refused = await admin.post("/v1/roles", {
      id: "odd",
      title: "Odd",
      permissions: ["traffic-report.read", "traffic-report.fly", "*.fly", "payout.*", "nothing.*", "*.read:own"]
    })
    expect([refused.status, pointers(refused)]).toEqual([400, ["/permissions/1", "/permissions/2", "/permissions/4"]])
    expect(refused.body.errors[0].detail).toContain("traffic-report.fly")
    const { items } = (await admin.get("/v1/permissions")).body
    expect(items).toContain("role.manage")
    expect(items).toContain("traffic-violation.decide")
  })

  test("change_on_the_next_request_in_every_server", async () => {
    const holder = await member()
    const here = kit.samarkand.visitor.with({ authorization: holder.headers["authorization"]! })
    const there = makeClient(`${other.url}/t/samarkand`, { authorization: holder.headers["authorization"]! })
    await admin.post("/v1/roles", { id: "reader", title: "Reader", permissions: ["event.read"] })
    await admin.post(`/v1/principals/${holder.id}/grants`, { role: "reader" })
    for (const [permissions, status] of [
      [["event.read"], 200],
      [["job.read"], 403],
      [["event.read", "job.read"], 200],
      [[], 403]
    ] as const) {
      await admin.call("PATCH", "/v1/roles/reader", { body: { permissions } })
      const seen = await Promise.all([there, here].map((client) => client.get("/v1/event-log")))
      expect(seen.map((answer) => answer.status)).toEqual([status, status])
    }
  })

  test("are_each_persons_own_however_many_ask_at_the_same_moment", async () => {
    const roles = ["inspector", "dispatcher", "treasurer", "auditor"]
    const people = await Promise.all(
      [kit.samarkand, kit.bukhara].flatMap((tenant) =>
        roles.map(async (role) => ({ role, client: await tenant.staffMember([role]) }))
      )
    )
    const asked = Array.from({ length: 15 }, () => people).flat()
    const answers = await Promise.all(asked.map(({ client }) => client.get("/v1/me")))
    expect(answers.map(({ body }) => [body.id, body.roles])).toEqual(
      asked.map(({ client, role }) => [client.id, [{ role, territoryId: null }]])
    )
  })

  test("of_visitors_change_on_the_next_request_too", async () => {
    const there = makeClient(`${other.url}/t/samarkand`)
    const before = await admin.get("/v1/roles/anonymous")
    expect((await there.get("/v1/event-log")).status).toBe(403)
    const opened = await admin.call("PATCH", "/v1/roles/anonymous", {
      body: { permissions: [...before.body.permissions, "event.read"] },
      headers: { "if-match": '"0"' }
    })
    expect([opened.status, opened.body.version, opened.body.preset]).toEqual([200, 1, true])
    expect((await there.get("/v1/event-log")).status).toBe(200)
    expect((await makeClient(`${other.url}/t/bukhara`).get("/v1/event-log")).status).toBe(403)
    // Removing what the city made of it brings the deployment's back.
    expect((await admin.call("DELETE", "/v1/roles/anonymous")).status).toBe(204)
    expect((await there.get("/v1/event-log")).status).toBe(403)
    expect((await admin.call("DELETE", "/v1/roles/anonymous")).body.code).toBe("role-preset")
  })

  test("give_nobody_what_the_giver_does_not_hold", async () => {
    const chief = await member()
    await admin.post("/v1/roles", {
      id: "chief",
      title: "Chief",
      permissions: ["role.read", "role.manage", "role.grant", "event.read", "traffic-report.read"]
    })
    await admin.post(`/v1/principals/${chief.id}/grants`, { role: "chief" })
    const make = (permissions: ReadonlyArray<string>) =>
      chief.post("/v1/roles", {
        id: permissions[0] === "event.read" ? "made-by-chief" : "not-made",
        title: "Made",
        permissions
      })
    expect((await make(["event.read"])).status).toBe(201)
    for (const permissions of [["job.read", "event.read"], ["*.*"], ["*.read"], ["traffic-report.*"]]) {
      const refused = await make(permissions)
      expect([permissions, refused.status, refused.body.type]).toEqual([
        permissions,
        403,
        "urn:mahalla:problem:forbidden"
      ])
    }
    // What is taken away is taken from others.
    const change = (id: string, permissions: ReadonlyArray<string>) =>
      chief.call("PATCH", `/v1/roles/${id}`, { body: { permissions } })
    expect((await change("made-by-chief", ["traffic-report.read"])).status).toBe(200)
    expect((await change("auditor", ["event.read"])).status).toBe(403)
    const other = await member()
    expect((await chief.post(`/v1/principals/${other.id}/grants`, { role: "auditor" })).status).toBe(403)
    expect((await chief.post(`/v1/principals/${other.id}/grants`, { role: "made-by-chief" })).status).toBe(201)
  })

  test("that_end_give_nothing_that_lasts_longer", async () => {
    const [deputy, friend] = [await member(), await member()]
    const end = later(60)
    await admin.post(`/v1/principals/${deputy.id}/grants`, { role: "municipality-admin", until: end })
    const give = (until: string | null) =>
      deputy.post(`/v1/principals/${friend.id}/grants`, { role: "inspector", until })
    expect((await give(null)).status).toBe(403)
    expect((await give(later(61))).status).toBe(403)
    expect((await give(end)).status).toBe(201)
    expect((await deputy.post("/v1/roles", { id: "x", title: "X", permissions: ["event.read"] })).status).toBe(403)
    expect(
      pointers(await admin.post(`/v1/principals/${friend.id}/grants`, { role: "inspector", until: later(-1) }))
    ).toEqual(["/until"])
  })

  test("leave_the_city_an_administrator", async () => {
    const grantOf = async (id: string) =>
      (await admin.get(`/v1/principals/${id}`)).body.grants.find(
        (grant: { role: string }) => grant.role === "municipality-admin"
      ).id as string
    const own = `/v1/principals/${admin.id}/grants`
    const refused = await admin.call("DELETE", `${own}/${await grantOf(admin.id)}`)
    expect([refused.status, refused.body.code]).toEqual([422, "last-administrator"])
    expect((await admin.post(own, { role: "municipality-admin", until: later(5) })).body.code).toBe(
      "last-administrator"
    )
    for (const id of ["municipality-admin", "super-admin"])
      for (const answer of [
        await admin.call("PATCH", `/v1/roles/${id}`, { body: { permissions: ["event.read"] } }),
        await admin.call("DELETE", `/v1/roles/${id}`)
      ])
        expect([answer.status, answer.body.code]).toEqual([422, "role-fixed"])
    expect(pointers(await admin.post(own, { role: "super-admin" }))).toEqual(["/role"])
    // Two who dismiss each other at the same moment: one of them stays.
    const second = await kit.samarkand.staffMember(["municipality-admin"])
    const mine = await grantOf(admin.id)
    const theirs = await grantOf(second.id)
    const both = await Promise.all([
      admin.call("DELETE", `/v1/principals/${second.id}/grants/${theirs}`),
      second.call("DELETE", `${own}/${mine}`)
    ])
    expect(both.some((answer) => answer.status === 204)).toBe(true)
    const left = await kit.sql<{ principal_id: string }>(
      "select principal_id from mahalla.role_grant where tenant_id = $1 and role = 'municipality-admin' and until is null",
      [kit.samarkand.id]
    )
    expect(left.length).toBe(1)
    if (left[0]!.principal_id === second.id)
      await second.post(`/v1/principals/${admin.id}/grants`, { role: "municipality-admin" })
  })
})

describe("a delegation", () => {
  const inspectorOf = async (territoryId: string | null, until: string | null = null) => {
    const somebody = await member()
    const grant = await admin.post(`/v1/principals/${somebody.id}/grants`, { role: "dispatcher", territoryId, until })
    expect(grant.status).toBe(201)
    return { ...somebody, grant: String(grant.body.id) }
  }
  const rolesOf = async (client: Client) =>
    (await client.get("/v1/me")).body.roles as ReadonlyArray<{ role: string; territoryId: string | null }>

  test("hands_on_what_one_holds_there_or_below_until_a_date", async () => {
    const giver = await inspectorOf(tree.east)
    const stand = await member()
    const hand = (more: object) =>
      giver.post("/v1/delegations", { principalId: stand.id, role: "dispatcher", until: later(60), ...more })
    expect((await hand({ territoryId: tree.west })).status).toBe(403)
    expect((await hand({ territoryId: tree.city })).status).toBe(403)
    expect((await hand({})).status).toBe(403)
    expect((await hand({ role: "auditor", territoryId: tree.east })).status).toBe(403)
    expect(pointers(await hand({ territoryId: tree.east, until: later(-1) }))).toEqual(["/until"])
    expect(pointers(await hand({ territoryId: tree.east, permissions: ["*.read", "*.decide"] }))).toEqual([
      "/permissions/1"
    ])
    expect(pointers(await hand({ territoryId: tree.east, principalId: giver.id }))).toEqual(["/principalId"])
    const made = await hand({ territoryId: tree.garden, permissions: ["traffic-report.read"] })
    expect([made.status, made.body.state]).toEqual([201, "active"])
    expect(await rolesOf(stand)).toEqual([{ role: "dispatcher", territoryId: tree.garden }])
    // Who has it on loan cannot lend it.
    const again = await stand.post("/v1/delegations", {
      principalId: giver.id,
      role: "dispatcher",
      territoryId: tree.garden,
      until: later(10)
    })
    expect(again.status).toBe(403)
    // Those concerned see it, the administration does, others do not.
    const seenBy = async (client: Client) =>
      ((await client.get("/v1/delegations?active=true")).body.items as ReadonlyArray<{ id: string }>).map(
        ({ id }) => id
      )
    for (const client of [giver, stand, admin]) expect(await seenBy(client)).toContain(made.body.id)
    const stranger = await member()
    expect(await seenBy(stranger)).not.toContain(made.body.id)
    expect((await stranger.call("DELETE", `/v1/delegations/${made.body.id}`)).status).toBe(404)
    expect((await admin.get(`/v1/principals/${stand.id}`)).body.delegations).toMatchObject([{ id: made.body.id }])
    expect((await giver.call("DELETE", `/v1/delegations/${made.body.id}`)).status).toBe(204)
    expect(await rolesOf(stand)).toEqual([])
    expect((await giver.get("/v1/delegations")).body.items).toMatchObject([{ id: made.body.id, state: "revoked" }])
    expect(await events("principal.role-delegated")).toContainEqual(
      expect.objectContaining({ delegationId: made.body.id, giverId: giver.id, permissions: ["traffic-report.read"] })
    )
    expect(await events("principal.delegation-ended")).toContainEqual(
      expect.objectContaining({ delegationId: made.body.id, because: "revoked" })
    )
  })

  test("ends_when_its_giver_loses_the_role_and_when_its_time_is_over", async () => {
    const giver = await inspectorOf(null, later(120))
    const [first, second] = [await member(), await member()]
    const hand = async (to: string, until: string) =>
      giver.post("/v1/delegations", { principalId: to, role: "dispatcher", until })
    expect(pointers(await hand(first.id, later(121)))).toEqual(["/until"])
    const lasting = await hand(first.id, later(100))
    const short = await hand(second.id, later(90))
    expect((await rolesOf(second)).length).toBe(1)
    await kit.sql(
      "update mahalla.delegation set given_at = now() - interval '2 hours', until = now() - interval '1 second' where id = $1",
      [short.body.id]
    )
    const overdue = await second.get("/v1/event-log")
    expect(overdue.status).toBe(403)
    // A role that only covers a part is not enough for a delegation of the whole.
    expect((await first.get("/v1/cases?limit=1")).status).toBe(200)
    await admin.call("DELETE", `/v1/principals/${giver.id}/grants/${giver.grant}`)
    expect(await rolesOf(first)).toEqual([])
    await admin.post(`/v1/principals/${giver.id}/grants`, { role: "dispatcher" })
    expect(await rolesOf(first)).toEqual([])
    const states = (await giver.get("/v1/delegations")).body.items as ReadonlyArray<{ id: string; state: string }>
    expect(new Map(states.map(({ id, state }) => [id, state]))).toEqual(
      new Map([
        [lasting.body.id, "role-lost"],
        [short.body.id, "ended"]
      ])
    )
    expect(await events("principal.delegation-ended")).toContainEqual(
      expect.objectContaining({ delegationId: lasting.body.id, because: "role-lost" })
    )
  })

  test("of_a_blocked_giver_is_worth_nothing", async () => {
    const giver = await inspectorOf(null)
    const stand = await member()
    await giver.post("/v1/delegations", { principalId: stand.id, role: "dispatcher", until: later(60) })
    expect((await rolesOf(stand)).length).toBe(1)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [giver.id])
    expect(await rolesOf(stand)).toEqual([])
  })
})

/**
 * Attacks on tenants, territories, roles and ids, each under its number in the list of cases. 24 and 25 are in the kernel: matrix.test.ts and
 * pool.test.ts.
 */
import { randomUUID } from "node:crypto"
import { addTerritory, decide, type Principal, presetRoles, rolesOf } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { phantom, type Things } from "./isolation/things.ts"
import { crawl } from "./isolation/crawl.ts"

let kit: CityKit
let admin: Client & { readonly id: string }
let areas: { readonly parent: string; readonly self: string; readonly child: string; readonly sibling: string }

const mark = "ANJIR3"
type Relation = keyof typeof areas

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string }>
  readonly takesBody: boolean
}

const operations = async (): Promise<ReadonlyArray<Operation>> => {
  const { body } = await kit.samarkand.visitor.get("/openapi.json")
  type Entry = { readonly parameters?: Operation["parameters"]; readonly requestBody?: object }
  return Object.entries(body.paths as Record<string, Record<string, Entry>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      takesBody: requestBody !== undefined
    }))
  )
}

/** With something in the place of every parameter. */
const filled = (path: string, id: string = randomUUID()) =>
  path
    .replace("/case-types/{type}", "/case-types/traffic-report")
    .replace("{type}", "traffic-report")
    .replaceAll("{kind}", "parent")
    .replaceAll(/\{[^}]+\}/g, id)

/** A case that is simply there, in a territory. */
const caseIn = async (territoryId: string | null, state = "in-review") => {
  const id = randomUUID()
  await kit.sql(
    `insert into mahalla.civic_case (tenant_id, id, type, type_version, reference, state, phase, data, territory_id, search, created_at, updated_at)
     values ($1, $2, 'traffic-report', (select max(version) from mahalla.case_type where id = 'traffic-report'), $3, $4, 'open', $5, $6,
             to_tsvector('simple', $7), now(), now())`,
    [kit.samarkand.id, id, id, state, { offence: "red-light", description: mark }, territoryId, mark]
  )
  return id
}

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
  const engine = kit.city.as({ tenant: "samarkand", principal: "system" })
  const add = async (parentId: string | null) =>
    (await engine.run(addTerritory({ kind: "area", name: { en: "Area" }, parentId }))).id
  const parent = await add(null)
  const self = await add(parent)
  areas = { parent, self, child: await add(self), sibling: await add(parent) }
})
afterAll(() => kit?.close())

describe("attacks", () => {
  test("case_07_a_token_of_one_tenant_used_in_another", async () => {
    const elsewhere = makeClient(`${kit.url}/t/bukhara`, { authorization: admin.headers["authorization"]! })
    for (const { method, path } of await operations()) {
      // The platform has tokens of its own.
      if (path.startsWith("/v1/platform")) continue
      const { body, status } = await elsewhere.call(method, filled(path), method === "GET" ? {} : { body: {} })
      // What is wrong in itself may be refused before anybody is asked for.
      const before = status === 400 && method !== "GET"
      expect([method, path, before || status === 401, body?.items]).toEqual([method, path, true, undefined])
    }
  })

  test("case_20_every_id_of_another_territory_on_every_route", async () => {
    const inspector = await kit.samarkand.staffMember([])
    await admin.post(`/v1/principals/${inspector.id}/grants`, { role: "inspector", territoryId: areas.self })
    const hidden = await caseIn(areas.sibling)
    const own = await caseIn(areas.child)
    const nobodys = phantom({ citizen: inspector } as unknown as Things)
    const things: Things = { ...nobodys, mark, report: hidden }
    const steps = await crawl(kit, [["an inspector of another district", inspector]], things, kit.samarkand)
    const about = steps.filter(({ address }) => address.includes(hidden))
    expect(about.length).toBeGreaterThan(15)
    for (const { address, answer, method, names } of steps) {
      expect([method, address, answer.text.includes(mark)]).toEqual([method, address, false])
      if (!names || !address.includes(hidden) || (method === "DELETE" && address.endsWith("/subscription"))) continue
      expect([method, address, answer.status >= 400]).toEqual([method, address, true])
    }
    // The same walk shows what is theirs.
    expect((await inspector.get(`/v1/cases/traffic-report/${own}`)).text).toContain(mark)
    expect((await inspector.get(`/v1/cases?q=${mark}`)).body.items.map((one: { id: string }) => one.id)).toEqual([own])
  })

  test("case_21_properties_that_are_nobodys_to_set", async () => {
    const extra = {
      role: "municipality-admin",
      roles: ["municipality-admin"],
      tenant_id: kit.bukhara.id,
      tenantId: kit.bukhara.id,
      balance: 1_000_000,
      status: "active",
      kind: "staff",
      ownerId: admin.id,
      version: 99,
      preset: true
    }
    const citizen = await kit.samarkand.citizen("+998900000071")
    const row = async () => JSON.stringify(await kit.sql("select * from mahalla.principal where id = $1", [citizen.id]))
    const before = await row()
    expect((await citizen.call("PATCH", "/v1/me", { body: { name: "N", ...extra } })).status).toBe(400)
    expect(await row()).toBe(before)
    const taken: Array<string> = []
    for (const { method, path, takesBody } of await operations()) {
      if (!takesBody) continue
      for (const client of [citizen, admin]) {
        const { status } = await client.call(method, filled(path), { body: extra })
        if (status < 400 || status >= 500) taken.push(`${method} ${path}: ${status}`)
      }
    }
    expect(taken).toEqual([])
    expect(await row()).toBe(before)
  })

  test("case_22_each_role_on_each_route_in_each_relation_of_territories", async () => {
    const roles = rolesOf(presetRoles, ["traffic-report", "traffic-violation"])
    const doors: ReadonlyArray<readonly [string, string, (id: string) => readonly [string, string, unknown]]> = [
      ["read", "traffic-report.read", (id) => ["GET", `/v1/cases/traffic-report/${id}`, undefined]],
      ["timeline", "traffic-report.read", (id) => ["GET", `/v1/cases/traffic-report/${id}/timeline`, undefined]],
      ["comments", "traffic-report.read", (id) => ["GET", `/v1/cases/traffic-report/${id}/comments`, undefined]],
      ["links", "traffic-report.read", (id) => ["GET", `/v1/cases/traffic-report/${id}/links`, undefined]],
      ["duplicates", "traffic-report.link", (id) => ["GET", `/v1/cases/traffic-report/${id}/duplicates`, undefined]],
      ["comment", "traffic-report.comment", (id) => ["POST", `/v1/cases/traffic-report/${id}/comments`, { text: "x" }]],
      [
        "internal comment",
        "traffic-report.comment-internal",
        (id) => ["POST", `/v1/cases/traffic-report/${id}/comments`, { text: "x", visibility: "internal" }]
      ],
      ["claim", "traffic-report.claim", (id) => ["POST", `/v1/cases/traffic-report/${id}/claim`, {}]],
      [
        "assign",
        "traffic-report.assign",
        (id) => ["PUT", `/v1/cases/traffic-report/${id}/assignee`, { assigneeId: null }]
      ],
      [
        "subscribe",
        "traffic-report.subscribe",
        (id) => ["PUT", `/v1/cases/traffic-report/${id}/subscription`, undefined]
      ],
      [
        "decide",
        "traffic-report.decide",
        (id) => ["POST", `/v1/cases/traffic-report/${id}/transitions/close`, { reason: "duplicate" }]
      ]
    ]
    let asked = 0
    let yes = 0
    const wrong: Array<string> = []
    for (const role of ["inspector", "dispatcher", "treasurer", "auditor", "municipality-admin"]) {
      const person = await kit.samarkand.staffMember([])
      await admin.post(`/v1/principals/${person.id}/grants`, { role, territoryId: areas.self })
      const principal: Principal = {
        id: person.id,
        kind: "staff",
        tenantId: kit.samarkand.id,
        grants: [{ role, territoryId: areas.self, until: null }]
      }
      const paths: Readonly<Record<Relation, ReadonlyArray<string>>> = {
        parent: [areas.parent],
        self: [areas.self, areas.parent],
        child: [areas.child, areas.self, areas.parent],
        sibling: [areas.sibling, areas.parent]
      }
      for (const relation of Object.keys(paths) as ReadonlyArray<Relation>)
        for (const [name, permission, door] of doors) {
          const id = await caseIn(areas[relation])
          const may = (one: string) =>
            decide(roles, {
              principal,
              permission: one,
              tenantId: kit.samarkand.id,
              now: Date.now(),
              subject: { territoryPath: paths[relation], ownerId: null }
            }).allowed
          const expected = !may("traffic-report.read") ? "404" : may(permission) ? "passes" : "403"
          const [method, path, body] = door(id)
          const { status } = await person.call(method, path, body === undefined ? {} : { body })
          // A body that the transition does not like has passed the policy.
          const seen = status === 404 || status === 403 ? String(status) : status < 500 ? "passes" : "fails"
          asked++
          if (expected === "passes") yes++
          if (seen !== expected) wrong.push(`${role} ${name} in ${relation}: ${status}, policy ${expected}`)
        }
    }
    expect(wrong).toEqual([])
    expect([asked, yes > 40]).toEqual([5 * 4 * doors.length, true])
  })

  test("case_23_a_role_changed_or_a_person_blocked_in_a_living_session", async () => {
    const person = await kit.samarkand.staffMember([])
    const look = async () => (await person.get("/v1/event-log?limit=1")).status
    expect(await look()).toBe(403)
    const grant = await admin.post(`/v1/principals/${person.id}/grants`, { role: "auditor" })
    expect(await look()).toBe(200)
    await admin.call("PATCH", "/v1/roles/auditor", { body: { permissions: ["role.read"] } })
    expect(await look()).toBe(403)
    expect((await person.get("/v1/roles")).status).toBe(200)
    await admin.call("DELETE", "/v1/roles/auditor")
    expect(await look()).toBe(200)
    await admin.call("DELETE", `/v1/principals/${person.id}/grants/${grant.body.id}`)
    expect(await look()).toBe(403)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [person.id])
    expect(await look()).toBe(401)
  })

  /** Feeds: their answers do not end. */
  const endless: ReadonlySet<string> = new Set(["/v1/events", "/v1/readings/live"])

  test("case_26_sql_in_filters_orders_cursors_and_ids", { timeout: 240_000 }, async () => {
    const words = [
      "'",
      "' or '1'='1",
      "'; select pg_sleep(3); --",
      "1) union select phone from mahalla.principal --",
      "\\' || (select version()) || '",
      "$1",
      "%27%20or%20pg_sleep(3)",
      '{"$gt":""}',
      "a.b[0]->>'x'",
      "66.9,39.6,67,39.7);select pg_sleep(3)--"
    ]
    const answers: Array<string> = []
    const longestFirst = words.toSorted((one, other) => other.length - one.length)
    /** Without the words that we sent ourselves, which some answers repeat. */
    const said = (text: string) =>
      longestFirst.reduce(
        (all, word) => all.replaceAll(JSON.stringify(word).slice(1, -1), "").replaceAll(word, ""),
        text
      )
    const judge = (label: string, answer: { status: number; text: string }, ms: number) => {
      if (answer.status >= 500) answers.push(`${label}: ${answer.status}`)
      if (/syntax error|\bpg_[a-z]{3,}|SQLSTATE|relation \\?"|column \\?"/i.test(said(answer.text)))
        answers.push(`${label}: ${answer.text.slice(0, 200)}`)
      if (ms > 2_500) answers.push(`${label}: ${ms} ms`)
    }
    let asked = 0
    for (const { method, parameters, path } of await operations()) {
      if (method !== "GET" || endless.has(path) || path.startsWith("/v1/platform")) continue
      for (const word of words) {
        const query = parameters
          .filter((one) => one.in === "query")
          .map(({ name }) => `${name}=${encodeURIComponent(word)}`)
        for (const one of [...query, undefined]) {
          const from = performance.now()
          const target = one === undefined ? filled(path, encodeURIComponent(word)) : `${filled(path)}?${one}`
          judge(`${target}`, await admin.get(target), performance.now() - from)
          asked++
        }
      }
    }
    for (const word of words) {
      const from = performance.now()
      judge(
        word,
        await admin.post("/v1/roles", { id: word, title: word, permissions: [word] }),
        performance.now() - from
      )
      const person = `/v1/principals/${admin.id}/grants`
      judge(word, await admin.post(person, { role: word, territoryId: word, until: word }), 0)
      judge(word, await admin.post("/v1/delegations", { principalId: word, role: word, until: word }), 0)
      // A title is text, whatever it says.
      const title = await admin.post("/v1/principals", { name: word })
      expect([title.status, title.body.name]).toEqual([201, word])
    }
    expect(answers).toEqual([])
    expect(asked).toBeGreaterThan(400)
  })
})

/** Rules that the deployment's code gives to every city: listed, tried, and replaced by a city's own. */
import { defineRule } from "@mahalla/core"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"
import { above, eventually, ruleFor, rulesKit } from "./rulesKit.ts"

let kit: CityKit
let admin: Client
let city: ReturnType<typeof rulesKit>

const given = ["b-high", "d-high"].map((id) =>
  defineRule({
    ...{ id, version: 3, title: { en: "Pressure too high" } },
    scope: { kind: "each", profiles: ["profile of given-1"] },
    levels: [
      {
        severity: "major",
        condition: { kind: "compare", datastream: "pressure", is: "above", than: { kind: "constant", value: 8 } }
      }
    ]
  })
)

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), telemetry: { rules: given } })
  admin = kit.samarkand.staff["municipality-admin"]
  city = rulesKit(kit, admin)
})
afterAll(() => kit?.close())

const listed = async (query = "", client: Client = admin) => {
  const { body } = await client.get(`/v1/rules${query}`)
  const items = body.items as ReadonlyArray<{ id: string; source: string; enabled: boolean; changedAt: string | null }>
  return { cursor: body.cursor as string | undefined, items: items.map(({ id, source }) => `${id} ${source}`), body }
}

test("are_listed_in_order_with_the_citys_own_and_marked", async () => {
  const meter = await city.device("given-1")
  for (const id of ["a-own", "c-own"])
    expect((await city.put(id, ruleFor(meter.profile, above(9)))).body.source).toBe("city")
  const all = ["a-own city", "b-high deployment", "c-own city", "d-high deployment"]
  expect((await listed()).items).toEqual(all)
  const first = await listed("?limit=2")
  const second = await listed(`?limit=2&cursor=${first.cursor}`)
  expect([first.items, second.items, second.cursor]).toEqual([all.slice(0, 2), all.slice(2), undefined])
  expect((await listed("?enabled=true")).items).toEqual(all)
  expect((await listed("?enabled=false")).items).toEqual([])
  const bukhara = kit.bukhara.staff["municipality-admin"]
  expect((await listed("", bukhara)).items).toEqual(["b-high deployment", "d-high deployment"])
  const one = await admin.get("/v1/rules/b-high")
  expect([one.status, one.headers.get("etag")]).toEqual([200, '"3"'])
  expect(one.body).toMatchObject({ source: "deployment", version: 3, enabled: true, changedAt: null, versions: [] })
})

test("are_not_changed_and_can_be_tried", async () => {
  for (const answer of [
    await admin.post("/v1/rules/b-high/disable"),
    await admin.post("/v1/rules/b-high/enable"),
    await admin.call("DELETE", "/v1/rules/b-high")
  ]) {
    expectProblem("the deployment's", answer, { status: 422, type: "refused" })
    expect(answer.body.code).toBe("rule-of-the-deployment")
  }
  const { body } = await admin.get("/v1/rules/b-high")
  const meter = await city.device("given-2")
  await meter.send({ pressure: 9 }, Date.now() - 60_000)
  const tried = await admin.post("/v1/rules/dry-run", {
    definition: { ...body.definition, scope: { kind: "each", profiles: [meter.profile] } }
  })
  expect([tried.status, tried.body.raised]).toEqual([200, 1])
  expect((await admin.post("/v1/rules/dry-run", { definition: body.definition })).status).toBe(200)
})

test("give_way_to_a_citys_own_of_the_same_id_and_come_back_when_it_is_removed", async () => {
  const { body } = await admin.get("/v1/rules/b-high")
  const definition = { ...body.definition, title: { en: "Ours" } }
  expectProblem("another version", await city.put("b-high", definition, { "if-match": '"2"' }), {
    status: 412,
    type: "version-conflict"
  })
  const own = await city.put("b-high", definition, { "if-match": '"3"' })
  expect([own.status, own.body.source, own.body.version]).toEqual([201, "city", 4])
  expect((await admin.post("/v1/rules/b-high/disable")).status).toBe(200)
  expect((await listed()).items.filter((text) => text.startsWith("b-"))).toEqual(["b-high city"])
  expect((await listed("?enabled=false")).items).toEqual(["b-high city"])
  expect((await listed("?enabled=true")).items).not.toContain("b-high deployment")
  expect((await admin.call("DELETE", "/v1/rules/b-high")).status).toBe(204)
  expect((await listed()).items.filter((text) => text.startsWith("b-"))).toEqual(["b-high deployment"])
})

test("keep_the_datastreams_they_look_at", async () => {
  const { body: profiles } = await admin.get("/v1/device-profiles")
  const profile = (profiles.items as ReadonlyArray<{ id: string; name: string; definition: object }>).find(
    ({ name }) => name === "profile of given-1"
  )!
  const flow = { key: "flow", title: "Flow", unit: "m3/h" }
  const change = () =>
    admin.call("PATCH", `/v1/device-profiles/${profile.id}`, {
      body: { definition: { ...profile.definition, datastreams: [flow] } }
    })
  const refused = await change()
  expectProblem("needed", refused, {
    status: 400,
    type: "invalid-input",
    pointers: Array.from({ length: 4 }, () => "/definition/datastreams")
  })
  await eventually(async () => expect((await listed()).items).toHaveLength(4))
})

/** Rules and the profiles that they speak of: neither is changed so that a rule in force could no longer work. */
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"
import { above, ruleFor, rulesKit } from "./rulesKit.ts"

let kit: CityKit
let admin: Client
let city: ReturnType<typeof rulesKit>

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
  city = rulesKit(kit, admin)
})
afterAll(() => kit?.close())

const pressure = { key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 }
const flow = { key: "flow", title: "Flow", unit: "m3/h" }
const base = { format: "json", interval: 60, retention: 90 }

const profileOf = async (device: { readonly id: string }) =>
  String((await admin.get(`/v1/devices/${device.id}`)).body.profileId)
const change = (id: string, definition: object) =>
  admin.call("PATCH", `/v1/device-profiles/${id}`, { body: { definition } })
const definitionOf = async (id: string) => (await admin.get(`/v1/device-profiles/${id}`)).body.definition as unknown

test("a_profile_keeps_what_a_rule_in_force_looks_at_and_says_which_rule_and_where", async () => {
  const meter = await city.device("kept-1")
  const id = await profileOf(meter)
  expect((await city.put("kept", ruleFor(meter.profile, above(8)))).status).toBe(201)
  const silence = { severity: "minor", condition: { kind: "offline", intervals: 3 } }
  expect((await city.put("silent", ruleFor(meter.profile, silence))).status).toBe(201)
  const before = await definitionOf(id)

  const renamed = await change(id, { ...base, datastreams: [{ ...pressure, key: "p1" }] })
  expectProblem("renamed", renamed, { status: 400, type: "invalid-input", pointers: ["/definition/datastreams"] })
  expect(renamed.body.errors[0].detail).toMatch(
    /The rule kept needs it at \/levels\/0\/condition\/datastream: .*Change or disable/
  )
  const { interval: _interval, ...without } = base
  const deaf = await change(id, { ...without, datastreams: [pressure] })
  expectProblem("without an interval", deaf, {
    status: 400,
    type: "invalid-input",
    pointers: ["/definition/interval"]
  })
  expect(deaf.body.errors[0].detail).toContain("The rule silent needs it at /levels/0/condition")
  expect(await definitionOf(id)).toEqual(before)

  expect((await change(id, { ...base, datastreams: [pressure, flow] })).status).toBe(200)
  expect((await admin.post("/v1/rules/kept/disable")).status).toBe(200)
  expect((await change(id, { ...base, datastreams: [flow] })).status).toBe(200)
  expectProblem("what it looks at is gone", await admin.post("/v1/rules/kept/enable"), {
    status: 400,
    type: "invalid-input",
    pointers: ["/definition/levels/0/condition/datastream"]
  })
  expect((await admin.get("/v1/rules/kept")).body.enabled).toBe(false)
})

test("a_key_never_changes_its_unit_not_even_after_it_was_dropped", async () => {
  const meter = await city.device("kept-2")
  const id = await profileOf(meter)
  expect((await change(id, { ...base, datastreams: [flow] })).status).toBe(200)
  const again = await change(id, { ...base, datastreams: [flow, { ...pressure, unit: "kPa" }] })
  expectProblem("another unit", again, { status: 400, type: "invalid-input", pointers: ["/definition/datastreams"] })
  expect((await change(id, { ...base, datastreams: [flow, pressure] })).status).toBe(200)
})

test("a_device_that_a_rule_names_keeps_a_profile_that_the_rule_can_work_with", async () => {
  const meter = await city.device("kept-3")
  const other = await admin.post("/v1/device-profiles", { name: "flows", definition: { ...base, datastreams: [flow] } })
  const named = { ...ruleFor("", above(8)), scope: { kind: "each", devices: [meter.id] } }
  expect((await city.put("named", named)).status).toBe(201)
  const move = () => admin.call("PATCH", `/v1/devices/${meter.id}`, { body: { profileId: other.body.id } })
  const refused = await move()
  expectProblem("named", refused, { status: 400, type: "invalid-input", pointers: ["/profileId"] })
  expect(refused.body.errors[0].detail).toContain("The rule named")
  expect((await admin.call("DELETE", "/v1/rules/named")).status).toBe(204)
  expect((await move()).status).toBe(200)
})

test("a_rule_may_say_its_threshold_in_a_unit_that_converts", async () => {
  const meter = await city.device("kept-4")
  const inUnit = (unit: string) => {
    const level = above(800)
    return ruleFor(meter.profile, { ...level, condition: { ...level.condition, unit } })
  }
  expectProblem("a flow", await city.put("in-kpa", inUnit("m3/h")), {
    status: 400,
    type: "invalid-input",
    pointers: ["/definition/levels/0/condition/unit"]
  })
  const rule = inUnit("kPa")
  expect((await city.put("in-kpa", rule)).status).toBe(201)
  expect((await admin.get("/v1/rules/in-kpa")).body.definition).toEqual(rule)
  await meter.send({ pressure: 7.9 }, Date.now() - 60_000)
  await meter.send({ pressure: 8.1 }, Date.now() - 30_000)
  const tried = await admin.post("/v1/rules/dry-run", { definition: rule })
  expect(tried.body.raised).toBe(1)
  expect(tried.body.episodes[0].because).toBe("pressure is 810 kPa, against above 800 kPa")
})

test("a_dry_run_of_a_geofence_follows_a_device_that_moves", async () => {
  const meter = await city.device("kept-5")
  const id = await profileOf(meter)
  const degrees = ["latitude", "longitude"].map((key) => ({ key, title: key, unit: "deg" }))
  expect((await change(id, { ...base, datastreams: [pressure, ...degrees] })).status).toBe(200)
  const start = Math.floor((Date.now() - 600_000) / 60_000) * 60_000
  for (const [minute, latitude] of [39.655, 39.66, 39.67, 39.655].entries())
    await meter.send({ latitude, longitude: 66.975 }, start + minute * 60_000)
  const area = { type: "Circle", coordinates: [66.975, 39.655], radius: 1000 }
  const level = { severity: "warning", condition: { kind: "geofence", is: "outside", area } }
  const tried = await admin.post("/v1/rules/dry-run", { definition: ruleFor(meter.profile, level) })
  expect(tried.status).toBe(200)
  const at = (minute: number) => new Date(start + minute * 60_000).toISOString()
  expect(tried.body.episodes.map((one: Record<string, unknown>) => [one["from"], one["until"]])).toEqual([
    [at(2), at(3)]
  ])
})

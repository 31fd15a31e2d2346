/** Hydraulic zones as a city's own data: from a definition over HTTP and nights of readings to a leak that is alerted, shown and accepted. */
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Client, until } from "./client.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let admin: Client
let operator: Client
let foreigner: Client

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
  operator = await kit.samarkand.staffMember(["control-room-operator"])
  foreigner = kit.bukhara.staff["municipality-admin"]
})
afterAll(() => kit?.close())

const keys = ["p0", "p1", "p2", "inflow"]

/** A logger with three pressures and a meter, and a zone's sensors at them. */
const logger = async (name: string, client: Client = admin) => {
  const profile = await client.post("/v1/device-profiles", {
    name: `profile of ${name}`,
    definition: {
      datastreams: keys.map((key) => ({ key, title: key, unit: key === "inflow" ? "m3/h" : "m[H2O]" })),
      format: "json",
      retention: 365
    }
  })
  const device = await client.post("/v1/devices", {
    name,
    profileId: profile.body.id,
    longitude: 66.97,
    latitude: 39.65
  })
  const credential = await client.post(`/v1/devices/${device.body.id}/credentials`, { credential: { kind: "token" } })
  const { body } = await client.get(`/v1/devices/${device.body.id}/datastreams`)
  const idOf = (key: string) => String(body.items.find((one: { readonly key: string }) => one.key === key).datastreamId)
  const sensors = keys.map((key) => ({ datastreamId: idOf(key), role: key === "inflow" ? "inflow" : "pressure" }))
  const send = async (readings: ReadonlyArray<object>) => {
    const answer = await fetch(`${kit.url}/api/v1/${credential.body.token}/telemetry`, {
      method: "POST",
      body: JSON.stringify(readings)
    })
    expect(answer.status).toBe(200)
  }
  return { sensors, send }
}

/** What a leak of 1 m³/h at each of three houses along one pipe does to the sensors there. */
const loss = (sensor: number, house: number) => 0.02 * (1 + Math.min(sensor, house))
const places = [0, 1, 2].map((house) => ({
  name: `house ${house}`,
  effects: [...[0, 1, 2].map((sensor) => -loss(sensor, house)), 1]
}))

const day = 86_400_000
/** The city's nights are from 21:00 to 23:00 UTC. */
const start = Math.floor(Date.now() / day) * day - 72 * day + 20.5 * 3_600_000

/** One night at ten minutes; who draws what wanders from night to night and from minute to minute. */
const nightOf = (night: number, leak: number) =>
  Array.from({ length: 20 }, (_, step) => {
    const wave = (n: number) => Math.sin(night * (1.3 + n * 0.71) + n) + Math.sin(night * (2.9 + n * 0.37) + 2 * n)
    const drawn = [0, 1, 2].map(
      (house) => 3 * (1 + 0.06 * wave(7) + 0.05 * wave(house) + 0.05 * Math.sin(step * (5 + house) + night))
    )
    drawn[2]! += leak
    const pressure = (sensor: number) =>
      50 -
      drawn.reduce((sum, flow, house) => sum + flow * loss(sensor, house), 0) +
      0.004 * Math.sin(night * 17.3 + step * 7.7 + sensor * 3.1)
    return {
      ts: start + night * day + step * 600_000,
      values: { p0: pressure(0), p1: pressure(1), p2: pressure(2), inflow: drawn[0]! + drawn[1]! + drawn[2]! }
    }
  })

test("a_leak_is_alerted_once_at_its_place_and_is_over_when_it_is_accepted", async () => {
  const { send, sensors } = await logger("north")
  const made = await admin.post("/v1/hydraulic-zones", { name: "North", sensors, places })
  expect([made.status, made.headers.get("etag")]).toEqual([201, '"1"'])
  expect(made.body).toMatchObject({ name: "North", sensors, places, version: 1, nights: 0, judgedAt: null, silent: [] })
  const zone = `/v1/hydraulic-zones/${made.body.id}`
  // The same readings in another city, which watches no such zone, are nobody's business here.
  const theirs = await logger("north", foreigner)
  await foreigner.post("/v1/hydraulic-zones", { name: "North", sensors: theirs.sensors })
  for (let night = 0; night < 70; night++) await send(nightOf(night, night < 58 ? 0 : 2))
  const known = await until(
    "a known leak",
    async () => {
      const { body } = await operator.get(`${zone}/leaks`)
      return body.items[0] === undefined ? undefined : body.items
    },
    30
  )
  expect(known).toHaveLength(1)
  expect(known[0]).toMatchObject({ place: "house 2", places: expect.arrayContaining(["house 2"]) })
  expect(Date.parse(known[0].foundAt)).toBeGreaterThan(start + 58 * day)
  await until("all nights", async () => ((await operator.get(zone)).body.nights >= 42 ? true : undefined))
  const { body: alerts } = await operator.get("/v1/alerts?rule=leak")
  expect(alerts.items).toHaveLength(1)
  const [alert] = alerts.items
  expect(alert).toMatchObject({
    id: known[0].alertId,
    state: "open",
    data: {
      severity: "major",
      status: "ACTIVE_UNACK",
      originatorKind: "set",
      originatorName: "North",
      details: { kind: "leak", zoneId: made.body.id, place: "house 2" }
    }
  })
  expect(alert.data.summary).toMatch(
    /^North: For \d+ nights? the pressures together have been as a leak of about .* near house 2/
  )
  expect(alert.place).toEqual({ longitude: 66.97, latitude: 39.65 })
  expect((await foreigner.get("/v1/alerts?rule=leak")).body.items).toEqual([])
  for (const answer of [
    await foreigner.get(zone),
    await foreigner.get(`${zone}/leaks`),
    await foreigner.post(`${zone}/leaks/accept`),
    await foreigner.call("DELETE", zone)
  ])
    expectProblem("another city's", answer, { status: 404, type: "not-found" })

  expect((await operator.post(`${zone}/leaks/accept`)).body).toEqual({ accepted: 1 })
  expect((await operator.get(`${zone}/leaks`)).body.items).toEqual([])
  const { body: after } = await operator.get("/v1/alerts?rule=leak")
  expect(after.items.map(({ data }: { data: { status: string } }) => data.status)).toEqual(["CLEARED_UNACK"])
}, 120_000)

test("a_zone_is_listed_replaced_by_its_version_and_removed", async () => {
  const { sensors } = await logger("south")
  const key = { "idempotency-key": "a-zone-once" }
  const made = await admin.post("/v1/hydraulic-zones", { name: "South", sensors, places }, key)
  const again = await admin.post("/v1/hydraulic-zones", { name: "South", sensors, places }, key)
  expect(again.body).toEqual(made.body)
  const address = `/v1/hydraulic-zones/${made.body.id}`
  expect(made.headers.get("location")).toBe(`/t/samarkand${address}`)
  const { body: list } = await operator.get("/v1/hydraulic-zones")
  expect(list.items.find(({ name }: { name: string }) => name === "South")).toEqual({
    ...{ id: made.body.id, name: "South", sensors: 4, places: 3, version: 1, changedAt: made.body.changedAt },
    ...{ nights: 0, judgedAt: null, silent: [] }
  })
  const put = (body: object, version: number) =>
    admin.call("PUT", address, { body, headers: { "if-match": `"${version}"` } })
  const second = await put({ name: "Far south", sensors }, 1)
  expect([second.status, second.body.version, "places" in second.body]).toEqual([200, 2, false])
  expectProblem("an old version", await put({ name: "South", sensors }, 1), { status: 412, type: "version-conflict" })
  expectProblem("an old version", await admin.call("DELETE", address, { headers: { "if-match": '"1"' } }), {
    status: 412,
    type: "version-conflict"
  })
  expectProblem("not theirs to change", await operator.call("DELETE", address), { status: 403, type: "forbidden" })
  expect((await admin.call("DELETE", address, { headers: { "if-match": '"2"' } })).status).toBe(204)
  expectProblem("gone", await admin.get(address), { status: 404, type: "not-found" })
  const events = await kit.sql<{ what: string }>(
    `select payload ->> 'what' as what from mahalla.event where type = 'hydraulic-zone.changed' and payload ->> 'zoneId' = $1 order by id`,
    [made.body.id]
  )
  expect(events.map(({ what }) => what)).toEqual(["created", "replaced", "removed"])
})

test("what_is_wrong_with_a_zone_is_told_by_its_place", async () => {
  const { sensors } = await logger("west")
  const theirs = await logger("west", foreigner)
  const make = (body: object) => admin.post("/v1/hydraulic-zones", body)
  const refused = async (name: string, body: object, ...pointers: ReadonlyArray<string>) =>
    expectProblem(name, await make(body), { status: 400, type: "invalid-input", pointers })
  await refused("no sensors", { name: "West", sensors: [] }, "/sensors")
  await refused("another city's", { name: "West", sensors: theirs.sensors.slice(0, 1) }, "/sensors/0/datastreamId")
  await refused(
    "a flow is no pressure",
    { name: "West", sensors: [{ ...sensors[3], role: "pressure" }] },
    "/sensors/0/role"
  )
  await refused(
    "too few effects",
    { name: "West", sensors, places: [{ name: "x", effects: [1] }] },
    "/places/0/effects"
  )
  await refused(
    "no number",
    { name: "West", sensors, places: [{ name: "x", effects: [1, 2, 3, "4"] }] },
    "/places/0/effects/3"
  )
  await refused("a line break", { name: "We\nst", sensors }, "/name")
  expect((await make({ name: "West", sensors })).status).toBe(201)
  await refused("the same name", { name: "West", sensors }, "/name")
})

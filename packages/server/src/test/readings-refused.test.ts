/** What devices send and nobody can use, over one MQTT connection with good readings between: each ends in a dead letter or a refusal, and holds up nothing. */
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { mqtt } from "@mahalla/mqtt"
import { connectAsync } from "mqtt"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"

let kit: CityKit
let broker: string
const now = Date.now()
const year = 365 * 86_400_000

beforeAll(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  broker = `mqtt://127.0.0.1:${port}`
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), plugins: [mqtt({ tcp: { port } })] })
})
afterAll(() => kit?.close())

const pressure = { key: "pressure", title: "Pressure", unit: "bar", minimum: 0, maximum: 20 }

const device = async (name: string, definition: object, more: object = {}) => {
  const admin = kit.samarkand.staff["municipality-admin"]
  const profile = await admin.post("/v1/device-profiles", {
    name,
    definition: { datastreams: [pressure], format: "json", retention: 90, ...definition }
  })
  expect(profile.status).toBe(201)
  const made = await admin.post("/v1/devices", { name, profileId: profile.body.id, ...more })
  expect(made.status).toBe(201)
  const id: string = made.body.id
  const { body } = await admin.post(`/v1/devices/${id}/credentials`, { credential: { kind: "token" } })
  const letters = async (): Promise<ReadonlyArray<string>> => {
    const { body } = await admin.get(`/v1/readings/dead-letters?deviceId=${id}&limit=100`)
    return body.items.map(({ reason }: { reason: string }) => reason)
  }
  return { admin, id, token: body.token as string, letters, profileId: profile.body.id as string }
}

const own = (name: string, last: string) => `mahalla/samarkand/${name}/${last}`

const bad: Readonly<
  Record<string, { readonly topic: string; readonly payload: string | Buffer; readonly as: string }>
> = {
  "is no JSON": { topic: own("meter", "telemetry"), payload: "{", as: "malformed" },
  "is no text": { topic: own("meter", "telemetry"), payload: Buffer.from([0xff, 0xfe, 0x00]), as: "malformed" },
  "is NaN": { topic: own("meter", "telemetry"), payload: '{"pressure": NaN}', as: "malformed" },
  "is beyond all numbers": { topic: own("meter", "telemetry"), payload: '{"pressure": 1e999}', as: "not-a-number" },
  "has another quantity's unit": {
    topic: own("meter", "senml"),
    payload: '[{"n": "pressure", "u": "Cel", "v": 3}]',
    as: "wrong-unit"
  },
  "is of a time years ahead": {
    topic: own("meter", "telemetry"),
    payload: JSON.stringify({ ts: now + 3 * year, values: { pressure: 4 } }),
    as: "from-the-future"
  },
  "is older than readings are kept": {
    topic: own("meter", "telemetry"),
    payload: JSON.stringify({ ts: now - 3 * year, values: { pressure: 4 } }),
    as: "too-old"
  },
  "is of a datastream that nobody knows": {
    topic: own("meter", "telemetry"),
    payload: '{"level": 4}',
    as: "unknown-datastream"
  },
  "is of a child that nobody knows": {
    topic: "v1/gateway/telemetry",
    payload: '{"stranger": [{"pressure": 4}]}',
    as: "unknown-device"
  },
  "is of another device's child": {
    topic: "v1/gateway/telemetry",
    payload: '{"apart": [{"pressure": 4}]}',
    as: "not-allowed"
  },
  "has more readings than a message may": {
    topic: own("meter", "telemetry"),
    payload: JSON.stringify(Array.from({ length: 20_000 }, () => ({ ts: now, values: { pressure: 1 } }))),
    as: "too-large"
  }
}

test("what_cannot_be_used_is_a_dead_letter_and_what_comes_behind_it_is_stored", { timeout: 120_000 }, async () => {
  const meter = await device("meter", {}, { gateway: true })
  await device("apart", {})
  const client = await connectAsync(broker, { username: meter.token })
  const good: Array<number> = []
  // All under way at once, as a device sends that has a window.
  await Promise.all(
    Object.values(bad).flatMap(({ payload, topic }, place) => {
      const at = now - 60_000 + place * 1000
      good.push(at)
      const reading = JSON.stringify({ ts: at, values: { pressure: place } })
      // Twice the same is one reading.
      return [payload, reading, reading].map((one, which) =>
        client.publishAsync(which === 0 ? topic : own("meter", "telemetry"), one, { qos: 1 })
      )
    })
  )
  const rows = await kit.sql<{ at: number }>(
    "select extract(epoch from at)::float8 * 1000 as at from mahalla.reading order by at"
  )
  expect(rows.map(({ at }) => Math.round(at))).toEqual(good)
  const found = [...(await meter.letters())].sort((left, right) => left.localeCompare(right))
  const expected = Object.values(bad).map(({ as }) => as)
  expect(found).toEqual(expected.sort((left, right) => left.localeCompare(right)))
  await client.endAsync()
})

test("too_many_bytes_and_others_topics_are_refused_and_the_device_may_come_back", async () => {
  const meter = await device("valve", {})
  for (const { payload, topic } of [
    { topic: own("valve", "telemetry"), payload: Buffer.alloc(2_000_000, " ") },
    { topic: "mahalla/bukhara/valve/telemetry", payload: '{"pressure": 1}' },
    { topic: own("meter", "telemetry"), payload: '{"pressure": 1}' },
    { topic: "v1/gateway/telemetry", payload: '{"meter": [{"pressure": 4}]}' }
  ]) {
    const client = await connectAsync(broker, { username: meter.token, reconnectPeriod: 0 })
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()))
    const published = client.publishAsync(topic, payload, { qos: 1 }).then(
      () => "acknowledged",
      () => "refused"
    )
    const outcome = await Promise.race([published, closed.then(() => "refused")])
    expect([topic, outcome]).toEqual([topic, "refused"])
    await client.endAsync(true)
  }
  const client = await connectAsync(broker, { username: meter.token })
  await client.publishAsync(own("valve", "telemetry"), '{"pressure": 7}', { qos: 1 })
  const rows = await kit.sql<{ value: number }>(
    "select value from mahalla.reading where value = 7 and at > now() - interval '1 minute'"
  )
  expect(rows.length).toBeGreaterThan(0)
  await client.endAsync()
})

test("a_codec_that_never_ends_costs_its_own_messages_only", { timeout: 120_000 }, async () => {
  const source =
    "function decodeUplink(input) { if (input.bytes[0] === 1) while (true) {} return { data: { pressure: input.bytes[1] } } }"
  const sensor = await device("sensor", { format: "codec", codec: { source, version: "1" } })
  const client = await connectAsync(broker, { username: sensor.token })
  const send = (...bytes: ReadonlyArray<number>) =>
    client.publishAsync(own("sensor", "telemetry"), Buffer.from(bytes), { qos: 1 })
  await Promise.all([send(0, 3), send(1, 4), send(0, 5)])
  expect(await sensor.letters()).toEqual(["codec-too-slow"])
  const { body } = await sensor.admin.get(`/v1/readings/dead-letters?deviceId=${sensor.id}`)
  expect(body.items[0]).toMatchObject({ codecVersion: "1" })
  await until("its values", async () => {
    const { body: latest } = await sensor.admin.post("/v1/readings/latest", { devices: [sensor.id] })
    return latest.items.some(({ value }: { value: number | null }) => value === 5 || value === 3)
  })
  await client.endAsync()
})

test("a_gateway_that_sends_an_old_value_with_new_times_is_found_out", { timeout: 120_000 }, async () => {
  const gateway = await device("gateway", {}, { gateway: true })
  const definition = { datastreams: [{ ...pressure, flatAfter: 600 }], interval: 60 }
  const child = await device("stuck", definition, { parentId: gateway.id })
  const client = await connectAsync(broker, { username: gateway.token })
  const readings = Array.from({ length: 20 }, (_, place) => ({
    ts: now - (20 - place) * 60_000,
    values: { pressure: place < 5 ? 4 + place / 10 : 4.4 }
  }))
  await client.publishAsync("v1/gateway/telemetry", JSON.stringify({ stuck: readings }), { qos: 1 })
  const explained = await until("an anomaly", async () => {
    const { body } = await child.admin.get("/v1/anomalies")
    return body.items.find(({ kind }: { kind: string }) => kind === "flat")?.explanation as string | undefined
  })
  expect(explained).toContain("exactly 4.4 bar since")
  await client.endAsync()
})

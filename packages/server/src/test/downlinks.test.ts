/** Commands to devices behind gateways and networks, and what comes back: by ThingsBoard's gateway API at the own broker, by ChirpStack, The Things Stack and Sparkplug at Mosquitto. */
import { mqtt, mqttConsumer } from "@mahalla/mqtt"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { connectAsync, type MqttClient } from "mqtt"
import { get } from "sparkplug-payload"
import type { UMetric } from "sparkplug-payload/lib/sparkplugbpayload.js"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { mosquitto } from "../../../../scripts/services/mosquitto.ts"
import { freePort } from "../../../../scripts/services/port.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { eventually } from "./telemetry/process.ts"

const scope = Scope.makeUnsafe()
const clients: Array<MqttClient> = []
let kit: CityKit
let admin: Client
let own: string
let outside: string

beforeAll(async () => {
  const port = await freePort()
  own = `mqtt://127.0.0.1:${port}`
  outside = (await Effect.runPromise(Scope.provide(mosquitto(), scope))).url
  const kinds = ["chirpstack", "things-stack", "sparkplug"] as const
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    plugins: [
      mqtt({ tcp: { port } }),
      mqttConsumer({ url: outside, clientId: "city-1", tenant: "samarkand", kinds, prefix: "field/" })
    ]
  })
  admin = kit.samarkand.staff["municipality-admin"]
})
afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)))
  await kit?.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const datastreams = [{ key: "level", title: "Level", unit: "m" }]
const profile = async (name: string, more: object = {}) => {
  const definition = { datastreams, format: "json", retention: 90, ...more }
  const { body } = await admin.post("/v1/device-profiles", { name, definition })
  return String(body.id)
}
const device = async (name: string, profileId: string, more: object = {}) => {
  const { body, status } = await admin.post("/v1/devices", { name, profileId, ...more })
  expect(status).toBe(201)
  return String(body.id)
}

interface Heard {
  readonly topic: string
  readonly payload: Buffer
}

/** A client that remembers what it hears on a filter. */
const listener = async (url: string, filter: string, username?: string) => {
  const client = await connectAsync(url, username === undefined ? {} : { username })
  clients.push(client)
  const heard: Array<Heard> = []
  client.on("message", (topic, payload) => void heard.push({ topic, payload }))
  await client.subscribeAsync(filter, { qos: 1 })
  const next = async () => {
    await eventually(
      async () => heard.length,
      (count) => count > 0
    )
    return heard.shift()!
  }
  return { client, next }
}

const command = async (id: string, method: string, params: unknown) => {
  const { body, status } = await admin.post(`/v1/devices/${id}/commands`, { method, params })
  expect(status).toBe(201)
  const path = `/v1/devices/${id}/commands/${body.id}`
  const becomes = (state: string) =>
    eventually(
      async () => (await admin.get(path)).body,
      (known) => known.state === state
    )
  return { id: String(body.id), becomes }
}

const say = (client: MqttClient, topic: string, body: object) =>
  client.publishAsync(topic, JSON.stringify(body), { qos: 1 })

test("a_gateway_of_thingsboard_brings_attributes_and_carries_commands_and_answers", async () => {
  const profileId = await profile("thermometer")
  const gatewayId = await device("gateway", profileId, { gateway: true })
  const child = await device("cellar", profileId, { parentId: gatewayId })
  const other = await device("roof", profileId)
  const { body } = await admin.post(`/v1/devices/${gatewayId}/credentials`, { credential: { kind: "token" } })
  const { client, next } = await listener(own, "v1/gateway/rpc", body.token)
  await say(client, "v1/gateway/connect", { device: "cellar" })
  await say(client, "v1/gateway/attributes", { cellar: { firmware: "1.4" }, roof: { firmware: "9" } })
  await eventually(
    async () => (await admin.get(`/v1/devices/${child}`)).body,
    ({ attributes }) => attributes.firmware === "1.4"
  )
  expect((await admin.get(`/v1/devices/${other}`)).body.attributes).toEqual({})

  const asked = await command(child, "setFan", { on: true })
  const { payload } = await next()
  const told = JSON.parse(payload.toString())
  expect(told).toEqual({
    device: "cellar",
    data: { id: expect.any(Number), method: "setFan", params: { on: true } }
  })
  await asked.becomes("delivered")
  await say(client, "v1/gateway/rpc", { device: "cellar", id: told.data.id, data: { fan: "on" } })
  expect(await asked.becomes("answered")).toMatchObject({ state: "answered", answer: { fan: "on" } })
})

const eui = "0102030405060708"
const encoder = `function decodeUplink() { return { data: { level: 1 } } }
function encodeDownlink({ data }) { return { bytes: [data.open, 7], fPort: 12 } }`

test("chirpstack_is_given_the_codecs_bytes_and_tells_what_became_of_them", async () => {
  const valve = await device(eui, await profile("valve", { format: "codec", codec: { source: encoder, version: "1" } }))
  const topic = `field/application/7/device/${eui}`
  const { client, next } = await listener(outside, `${topic}/command/down`)
  const deviceInfo = { devEui: eui }
  const uplink = { deviceInfo, time: new Date().toISOString(), fCnt: 1, fPort: 2, data: "AQ==" }
  await say(client, `${topic}/event/up`, uplink)
  await eventually(
    () => kit.sql("select from mahalla.device where downlink is not null and id = $1", [valve]),
    (rows) => rows.length === 1
  )
  const asked = await command(valve, "set", { open: 30 })
  const { payload } = await next()
  expect(JSON.parse(payload.toString())).toEqual({
    ...{ id: asked.id, devEui: eui, confirmed: true, fPort: 12 },
    data: Buffer.from([30, 7]).toString("base64")
  })
  await asked.becomes("sent")
  // Another device knows nothing of it.
  const stranger = "ffffffffffffffff"
  await device(stranger, await profile("stranger"))
  await say(client, `field/application/7/device/${stranger}/event/ack`, {
    ...{ deviceInfo: { devEui: stranger }, queueItemId: asked.id, acknowledged: true }
  })
  await say(client, `${topic}/event/txack`, { deviceInfo, queueItemId: "none of ours" })
  await say(client, `${topic}/event/ack`, { deviceInfo, queueItemId: asked.id })
  expect((await asked.becomes("failed")).message).toMatch(/acknowledge/)

  const again = await command(valve, "set", { open: 31 })
  await next()
  await say(client, `${topic}/event/ack`, { deviceInfo, queueItemId: again.id, acknowledged: true })
  await again.becomes("delivered")

  const impossible = await command(valve, "set", { open: 300 })
  expect((await impossible.becomes("failed")).message).toContain("codec 1")
})

test("the_things_stack_is_pushed_to_and_tells_by_correlation_id", async () => {
  const id = await device("a1b2c3d4e5f60708", await profile("pump"))
  const topic = "field/v3/town@ttn/devices/pump-house"
  const { client, next } = await listener(outside, `${topic}/down/push`)
  const ids = { device_id: "pump-house", application_ids: { application_id: "town" }, dev_eui: "A1B2C3D4E5F60708" }
  await say(client, `${topic}/up`, {
    end_device_ids: ids,
    uplink_message: { f_port: 1, frm_payload: "AQ==", decoded_payload: { level: 2 } }
  })
  await eventually(
    () => kit.sql("select from mahalla.device where downlink is not null and id = $1", [id]),
    (rows) => rows.length === 1
  )
  const asked = await command(id, "set", { speed: 2 })
  const pushed = JSON.parse((await next()).payload.toString())
  expect(pushed).toEqual({
    downlinks: [
      {
        ...{ confirmed: true, priority: "NORMAL", f_port: 1, decoded_payload: { speed: 2 } },
        correlation_ids: [`mahalla:command:${asked.id}`]
      }
    ]
  })
  const tell = (word: string) =>
    say(client, `${topic}/down/${word}`, { end_device_ids: ids, [`downlink_${word}`]: pushed.downlinks[0] })
  for (const word of ["queued", "sent", "ack"]) await tell(word)
  await asked.becomes("delivered")

  const lost = await command(id, "set", { speed: 3 })
  const { downlinks } = JSON.parse((await next()).payload.toString())
  await say(client, `${topic}/down/failed`, {
    end_device_ids: ids,
    downlink_failed: { downlink: downlinks[0], error: { name: "no_route" } }
  })
  await lost.becomes("failed")
})

test("an_edge_node_of_sparkplug_hears_metrics_of_the_types_it_was_born_with", async () => {
  const tahu = get("spBv1.0")!
  const profileId = await profile("plc")
  const node = await device("plc", profileId, { gateway: true })
  const pump = await device("pump", profileId, { parentId: node })
  const { client, next } = await listener(outside, "field/spBv1.0/plant/DCMD/plc/pump")
  const send = (topic: string, seq: number, metrics: ReadonlyArray<UMetric>) =>
    client.publishAsync(
      `field/spBv1.0/plant/${topic}`,
      Buffer.from(tahu.encodePayload({ timestamp: Date.now(), seq, metrics: [...metrics] })),
      { qos: 1 }
    )
  await send("NBIRTH/plc", 0, [{ name: "bdSeq", type: "UInt64", value: 0 }])
  await send("DBIRTH/plc/pump", 1, [
    { name: "level", type: "Float", value: 1 },
    { name: "Set Point", type: "Int16", value: 0 },
    { name: "Total", type: "Int64", value: 0 },
    { name: "Open", type: "Boolean", value: false }
  ])
  await eventually(
    () => kit.sql("select from mahalla.device where downlink is not null and id = $1", [pump]),
    (rows) => rows.length === 1
  )
  const asked = await command(pump, "set", { "Set Point": -5, Total: -6_000_000_000, Open: true })
  const { metrics } = tahu.decodePayload((await next()).payload)
  // Tahu shows 64 bits without their sign.
  const signed = (value: unknown) => (typeof value === "object" ? BigInt.asIntN(64, BigInt(String(value))) : value)
  expect(new Map(metrics?.map(({ name, type, value }) => [name, [type, signed(value)]]))).toEqual(
    new Map<string, unknown>([
      ["Set Point", ["Int16", -5]],
      ["Total", ["Int64", -6_000_000_000n]],
      ["Open", ["Boolean", true]]
    ])
  )
  await asked.becomes("sent")
  for (const [params, words] of [
    [{ Nothing: 1 }, /no metric "Nothing"/],
    [{ "Set Point": 40_000 }, /"Set Point" is none of its type/]
  ] as const)
    expect((await (await command(pump, "set", params)).becomes("failed")).message).toMatch(words)
})

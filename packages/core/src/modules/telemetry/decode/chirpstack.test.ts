import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { message, now } from "../../../test/ingestMessages.ts"
import { decodeChirpstack } from "./chirpstack.ts"
import type { Uplink } from "./uplink.ts"

const deviceInfo = { tenantName: "City", applicationName: "Water", deviceName: "meter 7", devEui: "0101010101010101" }
const device = "0101010101010101"
const time = "2026-11-20T09:59:59.123456789+00:00"
const at = Date.UTC(2026, 10, 20, 9, 59, 59, 123)

const event = (kind: string, body: object) =>
  Result.merge(
    decodeChirpstack(
      message("chirpstack", { deviceInfo, time, ...body }, `application/a1/device/${device}/event/${kind}`)
    )
  )
const uplink = (body: object) => event("up", body) as Uplink

const rxInfo = [
  { gatewayId: "a", rssi: -110, snr: -3 },
  { gatewayId: "b", rssi: -50 },
  { gatewayId: "c", snr: 9 }
]

test("an_uplink_carries_its_bytes_port_and_time_to_the_codec", () => {
  const { input, device: named } = uplink({ fCnt: 10, fPort: 2, data: "AQJ/", rxInfo })
  expect({ input, named }).toEqual({ input: { bytes: [1, 2, 127], fPort: 2, recvTime: at }, named: device })
})

test("absent_fields_are_zero", () => {
  const { apply, input } = uplink({ data: "AQ==" })
  expect(input.fPort).toBe(0)
  expect(Result.getOrThrow(apply({ level: 1 })).readings).toEqual([{ device, key: "level", at, sequence: 0, value: 1 }])
})

test("nested_data_becomes_paths_texts_attributes_and_the_strongest_gateway_counts", () => {
  const { apply } = uplink({ fCnt: 7, data: "AQ==", rxInfo })
  const data = { battery: { volt: 3.6, state: "good" }, channel: [{ level: 1 }, { level: 2 }], open: true, none: null }
  expect(Result.getOrThrow(apply(data, ["low battery"]))).toEqual({
    readings: [
      { device, key: "battery.volt", at, sequence: 7, value: 3.6 },
      { device, key: "channel.0.level", at, sequence: 7, value: 1 },
      { device, key: "channel.1.level", at, sequence: 7, value: 2 },
      { device, key: "open", at, sequence: 7, value: 1 }
    ],
    statuses: [{ device, at, rssi: -50, snr: 0, attributes: { "battery.state": "good" } }],
    warnings: ["low battery", '"none" is null.'],
    rejected: [],
    commands: []
  })
})

test("a_codec_that_knows_of_several_times_returns_a_batch", () => {
  const { apply } = uplink({ fCnt: 7, data: "AQ==" })
  const readings = [
    { key: "level", at: 5, value: 1 },
    { key: "level", value: 2 }
  ]
  expect(Result.getOrThrow(apply({ readings })).readings).toEqual([
    { device, key: "level", at: 5, sequence: 7, value: 1 },
    { device, key: "level", at, sequence: 7, value: 2 }
  ])
})

test("a_repeated_event_has_the_same_time_and_sequence", () => {
  const body = { deduplicationId: "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", fCnt: 4, data: "AQ==" }
  const readings = [uplink(body), uplink(body)].map(({ apply }) => Result.getOrThrow(apply({ level: 1 })).readings)
  expect(readings[0]).toEqual(readings[1])
})

test("a_frame_without_bytes_says_only_that_the_device_is_alive", () => {
  expect(event("up", { fCnt: 3, rxInfo })).toMatchObject({ readings: [], statuses: [{ device, at, rssi: -50 }] })
})

describe("other events", () => {
  const table: ReadonlyArray<readonly [string, string, object, object]> = [
    [
      "status with battery",
      "status",
      { margin: 5, batteryLevel: 75.5 },
      { statuses: [{ battery: 75.5, attributes: { margin: 5 } }] }
    ],
    ["status with an empty battery", "status", { margin: 5 }, { statuses: [{ battery: 0 }] }],
    ["join", "join", { devAddr: "00189440" }, { statuses: [{ device, at, attributes: { devAddr: "00189440" } }] }],
    [
      "log",
      "log",
      { level: "ERROR", code: "UPLINK_CODEC", description: "boom" },
      { warnings: [expect.stringContaining("UPLINK_CODEC") as string] }
    ],
    [
      "ack",
      "ack",
      { queueItemId: "c1", acknowledged: true },
      { commands: [{ id: "c1", state: { state: "delivered" } }] }
    ],
    ["no ack", "ack", { queueItemId: "c1" }, { commands: [{ id: "c1", state: { state: "failed" } }] }],
    ["txack", "txack", { queueItemId: "c1" }, { commands: [{ id: "c1", state: { state: "sent" } }] }],
    [
      "location",
      "location",
      { location: { latitude: 39.65, source: "GEO_RESOLVER_TDOA" } },
      { statuses: [{ attributes: { location: { latitude: 39.65, longitude: 0, source: "GEO_RESOLVER_TDOA" } } }] }
    ]
  ]
  test.each(table)("%s", (_, kind, body, expected) => {
    expect(event(kind, body)).toMatchObject(expected)
  })

  test("no_battery_where_the_power_comes_from_outside", () => {
    const { statuses } = event("status", { margin: 5, externalPowerSource: true }) as never as { statuses: [object] }
    expect(statuses[0]).not.toHaveProperty("battery")
  })
})

describe("is refused", () => {
  const body = { deviceInfo, time, data: "AQ==" }
  const table: ReadonlyArray<readonly [string, string, object]> = [
    ["without a DevEUI", "application/a/device/b/event/up", { ...body, deviceInfo: {} }],
    ["with a time that is none", "application/a/device/b/event/up", { ...body, time: "yesterday" }],
    ["with a payload that is not in base 64", "application/a/device/b/event/up", { ...body, data: "§" }],
    ["with an event of no kind we know", "application/a/device/b/event/constructor", body],
    ["with a port that no frame has", "application/a/device/b/event/up", { ...body, fPort: 256 }]
  ]
  test.each(table)("%s", (_, topic, event) => {
    expect(Result.merge(decodeChirpstack(message("chirpstack", event, topic)))).toMatchObject({ reason: "malformed" })
  })
})

test("by_HTTP_the_event_is_a_query_parameter", () => {
  const posted = decodeChirpstack(message("chirpstack", { deviceInfo, data: "AQ==" }, "/ingest/chirpstack?event=up"))
  expect((Result.getOrThrow(posted) as Uplink).input).toEqual({ bytes: [1], fPort: 0, recvTime: now })
})

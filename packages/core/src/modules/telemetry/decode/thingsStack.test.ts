import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { message } from "../../../test/ingestMessages.ts"
import { decodeThingsStack } from "./thingsStack.ts"
import type { Uplink } from "./uplink.ts"

const ids = { device_id: "meter-7", application_ids: { application_id: "water" }, dev_eui: "70B3D57ED00000FF" }
const device = "70b3d57ed00000ff"
const at = Date.UTC(2026, 10, 20, 9, 59, 59, 12)
const uplink_message = {
  f_port: 1,
  f_cnt: 42,
  frm_payload: "AQI=",
  decoded_payload: { level: 1.5 },
  // A gateway whose clock was never set.
  rx_metadata: [{ time: "1980-01-06T00:00:00Z", rssi: -90, snr: 7.5 }],
  received_at: "2026-11-20T09:59:59.012345678Z"
}
const body = { end_device_ids: ids, received_at: "2026-11-20T10:00:03Z", uplink_message }
const decoded = (body: object) => Result.merge(decodeThingsStack(message("things-stack", body)))

test("the_network_servers_time_counts_and_no_gateways", () => {
  const uplink = decoded(body) as Uplink
  expect(uplink.input).toEqual({ bytes: [1, 2], fPort: 1, recvTime: at })
  expect(Result.getOrThrow(uplink.apply(uplink.object!))).toMatchObject({
    readings: [{ device, key: "level", at, sequence: 42, value: 1.5 }],
    statuses: [{ device, at, rssi: -90, snr: 7.5 }]
  })
})

test("absent_port_and_counter_are_zero", () => {
  const uplink = decoded({ ...body, uplink_message: { frm_payload: "AQ==" } }) as Uplink
  expect(uplink.input.fPort).toBe(0)
  expect(Result.getOrThrow(uplink.apply({ level: 1 })).readings).toMatchObject([
    { sequence: 0, at: Date.UTC(2026, 10, 20, 10, 0, 3) }
  ])
})

test("a_simulated_uplink_is_left_out_with_a_warning", () => {
  expect(decoded({ ...body, simulated: true })).toMatchObject({
    readings: [],
    statuses: [],
    warnings: [expect.any(String)]
  })
})

test("without_a_DevEUI_the_device_id_names_it", () => {
  const uplink = decoded({ ...body, end_device_ids: { device_id: "meter-7" } }) as Uplink
  expect(uplink.device).toBe("meter-7")
})

test("a_join_says_that_the_device_is_there", () => {
  const join = { end_device_ids: ids, received_at: "2026-11-20T10:00:03Z", join_accept: { session_key_id: "x" } }
  expect(decoded(join)).toMatchObject({ statuses: [{ device }], readings: [] })
})

test("what_becomes_of_a_downlink_is_known_by_our_correlation_id_wherever_it_stands", () => {
  const correlation_ids = ["as:downlink:01E191", "mahalla:command:c1"]
  const table: ReadonlyArray<readonly [string, object, string]> = [
    ["queued", { correlation_ids }, "sent"],
    ["sent", { correlation_ids }, "sent"],
    ["ack", { correlation_ids }, "delivered"],
    ["nack", { correlation_ids }, "failed"],
    ["failed", { downlink: { correlation_ids }, error: { name: "no_path" } }, "failed"]
  ]
  for (const [word, downlink, state] of table)
    for (const told of [{ [`downlink_${word}`]: downlink }, { correlation_ids, [`downlink_${word}`]: { f_port: 1 } }])
      expect(decoded({ end_device_ids: ids, ...told })).toMatchObject({ commands: [{ id: "c1", state: { state } }] })
  expect(decoded({ end_device_ids: ids, downlink_ack: { correlation_ids: ["as:up:1"] } })).toMatchObject({
    commands: []
  })
})

describe("is refused", () => {
  const table: ReadonlyArray<readonly [string, object]> = [
    ["without ids", { uplink_message }],
    ["without an uplink or another known message", { end_device_ids: ids }],
    ["with a time that is none", { ...body, uplink_message: { ...uplink_message, received_at: "now" } }],
    ["with a payload that is not in base 64", { ...body, uplink_message: { ...uplink_message, frm_payload: "A" } }],
    ["with a counter below zero", { ...body, uplink_message: { ...uplink_message, f_cnt: -1 } }]
  ]
  test.each(table)("%s", (_, wrong) => {
    expect(decoded(wrong)).toMatchObject({ reason: "malformed" })
  })
})

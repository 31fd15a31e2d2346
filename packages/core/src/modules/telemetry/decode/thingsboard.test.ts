import * as Result from "effect/Result"
import { expect, test } from "vitest"
import { message, now } from "../../../test/ingestMessages.ts"
import { decode, type StatelessMessage } from "./decode.ts"

const decoded = (format: StatelessMessage["format"], payload: unknown) =>
  Result.merge(decode(message(format, payload), { gateway: true }))

test("values_without_a_time_have_the_time_of_arrival", () => {
  expect(decoded("json", { pressure: 4.2, open: true })).toMatchObject({
    readings: [
      { key: "pressure", at: now, value: 4.2 },
      { key: "open", at: now, value: 1 }
    ],
    rejected: []
  })
})

test("arrays_may_mix_values_with_and_without_a_time", () => {
  const { readings } = decoded("json", [{ ts: 1_700_000_000_000, values: { level: 1 } }, { level: 2 }]) as never
  expect(readings).toEqual([
    { key: "level", at: 1_700_000_000_000, value: 1 },
    { key: "level", at: now, value: 2 }
  ])
})

test("short_decimals_in_texts_are_numbers_other_texts_are_attributes", () => {
  const texts = { level: "12.50", small: "-1e-3", serial: "007", long: "1234567890123456", word: "open", hex: "0x10" }
  expect(decoded("json", texts)).toMatchObject({
    readings: [
      { key: "level", value: 12.5 },
      { key: "small", value: -0.001 }
    ],
    statuses: [{ at: now, attributes: { serial: "007", long: "1234567890123456", word: "open", hex: "0x10" } }]
  })
})

test("an_object_is_one_attribute_and_null_is_left_out_with_a_warning", () => {
  expect(decoded("json", { place: { floor: 2 }, level: null })).toEqual({
    readings: [],
    statuses: [{ at: now, attributes: { place: { floor: 2 } } }],
    warnings: ['"level" is null.'],
    rejected: [],
    commands: []
  })
})

test("what_is_wrong_with_one_value_does_not_cost_the_others", () => {
  expect(decoded("json", '{"level": 1e999, "уровень": 3, "Water Level": 2}')).toMatchObject({
    readings: [{ key: "Water_Level", value: 2 }],
    rejected: [{ reason: "not-a-number", key: "level" }, { reason: "unknown-datastream" }]
  })
  expect(decoded("json", '{"level": 1e999}')).toMatchObject({ reason: "not-a-number" })
})

test("a_time_that_is_none_rejects_its_values_only", () => {
  const entries = [
    { ts: "soon", values: { a: 1 } },
    { ts: 9e15, values: { a: 2 } },
    { ts: "1700000000000", values: { a: 3 } },
    { ts: 1, values: 4 }
  ]
  expect(decoded("json", entries)).toMatchObject({
    readings: [{ key: "a", at: 1_700_000_000_000, value: 3 }],
    rejected: [{ reason: "malformed" }, { reason: "malformed" }, { reason: "malformed" }]
  })
})

test("a_gateway_names_its_devices", () => {
  const body = { "Pump 1": [{ ts: 5, values: { level: 1 } }, { level: 2 }], "Pump 2": { level: 3 }, "": [{ a: 1 }] }
  expect(decoded("gateway-json", body)).toMatchObject({
    readings: [
      { device: "Pump 1", key: "level", at: 5, value: 1 },
      { device: "Pump 1", key: "level", at: now, value: 2 }
    ],
    rejected: [{ reason: "malformed", device: "Pump 2" }, { reason: "unknown-device" }]
  })
})

test("attributes_stay_as_they_are", () => {
  expect(decoded("attributes", { firmware: "1.2", interval: 60, limits: [1, 2] })).toMatchObject({
    readings: [],
    statuses: [{ at: now, attributes: { firmware: "1.2", interval: 60, limits: [1, 2] } }]
  })
  expect(decoded("attributes", [1])).toMatchObject({ reason: "malformed" })
})

test("attributes_of_devices_behind_a_gateway_are_theirs", () => {
  const body = { cellar: { firmware: "1.2", limits: [1, 2] }, roof: 3, "a\nb": { x: 1 } }
  expect(decoded("gateway-attributes", body)).toMatchObject({
    readings: [],
    statuses: [{ device: "cellar", at: now, attributes: { firmware: "1.2", limits: [1, 2] } }],
    rejected: [{ reason: "malformed", device: "roof" }, { reason: "unknown-device" }]
  })
  expect(decoded("gateway-attributes", [1])).toMatchObject({ reason: "malformed" })
})

test("what_PostgreSQL_cannot_hold_is_rejected_and_quoted_harmlessly", () => {
  const failure = decoded("attributes", { "a\u0000b": 1, note: "\ud800", deep: { a: { b: ["\u0000"] } } })
  expect(failure).toEqual({ reason: "malformed", message: expect.stringContaining('"a\\u0000b"') as string })
})

test("our_own_batch_keeps_sequence_unit_and_device", () => {
  const readings = [
    { key: "level", at: 5, value: 1, sequence: 4_294_967_295, unit: "°C", device: "pump" },
    { key: "level", value: true },
    { key: "level", at: 5, value: "1" },
    { key: "level", at: 5, value: 1, sequence: -1 },
    { key: "level", at: 5, value: 1, unit: 3 },
    { at: 5, value: 1 }
  ]
  expect(decoded("json", { readings })).toMatchObject({
    readings: [
      { key: "level", at: 5, value: 1, sequence: 4_294_967_295, unit: "Cel", device: "pump" },
      { key: "level", at: now, value: 1 }
    ],
    rejected: [{ reason: "not-a-number" }, { reason: "malformed" }, { reason: "wrong-unit" }, { reason: "malformed" }]
  })
})

test("more_values_than_a_message_holds_are_refused_as_a_whole", () => {
  const readings = Array.from({ length: 10_001 }, (_, at) => ({ key: "level", at, value: at }))
  expect(decoded("json", { readings })).toMatchObject({ reason: "too-large" })
  expect(decoded("json", { readings: readings.slice(1) })).toMatchObject({ readings: { length: 10_000 } })
})

/** Examples are those of RFC 8428 section 5 and 6. */
import { encode } from "cborg"
import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { message, now } from "../../../test/ingestMessages.ts"
import { decode } from "./decode.ts"

const decoded = (pack: unknown, gateway = false) =>
  Result.merge(decode(message("senml-json", pack), { gateway })) as unknown as {
    readonly readings: ReadonlyArray<Readonly<Record<string, unknown>>>
    readonly rejected: ReadonlyArray<unknown>
  }
const device = "urn:dev:ow:10e2073a01080063"

test("a_single_measurement_without_a_time_is_of_now", () => {
  const { readings } = decoded([{ n: device, u: "Cel", v: 23.1 }])
  expect(readings).toEqual([{ key: device, at: now, value: 23.1, unit: "Cel" }])
})

test("base_name_time_and_unit_hold_until_they_are_replaced", () => {
  const pack = [
    { bn: `${device}:`, bt: 1.276020076001e9, bu: "A", bver: 5, n: "voltage", u: "V", v: 120.1 },
    { n: "current", t: -5, v: 1.2 },
    { n: "current", t: -4, v: 1.3 },
    { bn: "urn:dev:ow:10e2073a01080064:", n: "current", v: 1.7 }
  ]
  const at = 1_276_020_076_001
  expect(decoded(pack, true).readings).toEqual([
    { device, key: "voltage", at, value: 120.1, unit: "V" },
    { device, key: "current", at: at - 5_000, value: 1.2, unit: "A" },
    { device, key: "current", at: at - 4_000, value: 1.3, unit: "A" },
    { device: "urn:dev:ow:10e2073a01080064", key: "current", at, value: 1.7, unit: "A" }
  ])
  expect(decoded(pack).readings.map((reading) => reading["device"])).toEqual([
    undefined,
    undefined,
    undefined,
    undefined
  ])
})

describe("a time", () => {
  const boundary = 2 ** 28
  const table: ReadonlyArray<readonly [string, object, number]> = [
    ["below 2^28 is relative to now", { t: boundary - 1 }, now + (boundary - 1) * 1_000],
    ["of 2^28 is absolute", { t: boundary }, boundary * 1_000],
    ["is the sum of base and own", { bt: boundary, t: -1 }, now + (boundary - 1) * 1_000],
    ["of zero is now", { bt: 0, t: 0 }, now],
    ["that is negative lies in the past", { bt: -20, t: -0.5 }, now - 20_500],
    ["keeps its milliseconds", { bt: 1.320067464e9, t: 0.125 }, 1_320_067_464_125]
  ]
  test.each(table)("%s", (_, fields, at) => {
    expect(decoded([{ n: "level", v: 1, ...fields }]).readings).toEqual([{ key: "level", at, value: 1 }])
  })
})

test("base_value_and_base_sum_are_added_and_a_missing_one_counts_as_zero", () => {
  const pack = [
    { bn: "m:", bv: 100, bs: 1_000, n: "a", v: 0.5, s: 5 },
    { n: "b", s: 6 },
    { n: "c", v: 2 }
  ]
  expect(decoded(pack).readings.map(({ key, value }) => [key, value])).toEqual([
    ["m:a", 100.5],
    ["m:a:sum", 1_005],
    ["m:b", 100],
    ["m:b:sum", 1_006],
    ["m:c", 102],
    ["m:c:sum", 1_000]
  ])
})

test("booleans_are_readings_texts_are_attributes_data_is_left_out", () => {
  const pack = [
    { bn: "urn:dev:ow:10e2073a01080063:", n: "temp", u: "Cel", v: 23.1 },
    { n: "label", vs: "Machine Room" },
    { n: "open", vb: false },
    { n: "nfv", vd: "aGkgCg" }
  ]
  expect(decoded(pack)).toMatchObject({
    readings: [{ key: "temp" }, { key: "open", value: 0 }],
    statuses: [{ at: now, attributes: { label: "Machine Room" } }],
    warnings: ["The data value of nfv is left out."]
  })
})

describe("the whole pack is refused", () => {
  const good = { n: "level", v: 1 }
  const table: ReadonlyArray<readonly [string, unknown]> = [
    ["for a field that must be understood", [good, { n: "b", v: 1, secret_: 1 }]],
    ["for a newer version", [{ bver: 11, ...good }]],
    ["for a number that is a text", [good, { n: "b", v: "1" }]],
    ["for two values in one record", [{ n: "b", v: 1, vb: true }]],
    ["when it is no array of objects", { e: [good] }],
    ["when a record is null", [null]]
  ]
  test.each(table)("%s", (_, pack) => {
    expect(decoded(pack)).toMatchObject({ reason: "malformed" })
  })
})

test("an_unknown_field_is_ignored", () => {
  expect(decoded([{ n: "level", v: 1, colour: "red" }]).readings).toHaveLength(1)
})

test("a_name_outside_the_alphabet_rejects_its_record", () => {
  expect(
    decoded([
      { n: "lev el", v: 1 },
      { n: "level", v: 2 }
    ])
  ).toMatchObject({
    readings: [{ key: "level", value: 2 }],
    rejected: [{ reason: "malformed" }]
  })
})

test("records_before_a_base_field_are_not_touched_by_it", () => {
  const { readings } = decoded([
    { n: "a", v: 1 },
    { bn: "x:", bu: "%RH" },
    { n: "a", v: 2 }
  ])
  expect(readings).toEqual([
    { key: "a", at: now, value: 1 },
    { key: "x:a", at: now, value: 2, unit: "%" }
  ])
})

describe("CBOR", () => {
  const cbor = (bytes: Uint8Array) => Result.merge(decode(message("senml-cbor", bytes), { gateway: false }))

  test("means_the_same_as_JSON", () => {
    const pack = [
      new Map<number | string, unknown>([
        [-2, "urn:dev:ow:10e2073a0108006:"],
        [-3, 1.276020076001e9],
        [-4, "A"],
        [-1, 5],
        [0, "voltage"],
        [1, "V"],
        [2, 120.1]
      ]),
      new Map<number | string, unknown>([
        [0, "current"],
        [6, -5],
        [2, 1.2]
      ])
    ]
    const json = [
      { bn: "urn:dev:ow:10e2073a0108006:", bt: 1.276020076001e9, bu: "A", bver: 5, n: "voltage", u: "V", v: 120.1 },
      { n: "current", t: -5, v: 1.2 }
    ]
    expect(cbor(encode(pack))).toEqual(decoded(json))
  })

  test("reads_the_bytes_of_section_6", () => {
    // The first two records of its example, in an array of two.
    const hex =
      "82a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c746167650161560" +
      "2fb405e066666666666a3006763757272656e74062402fb3ff3333333333333"
    // A Buffer, as sockets give it.
    expect(cbor(Buffer.from(hex, "hex"))).toMatchObject({
      readings: [
        { key: "voltage", at: 1_276_020_076_001, value: 120.1, unit: "V" },
        { key: "current", at: 1_276_020_071_001, value: 1.2, unit: "A" }
      ]
    })
  })

  test("takes_decimal_fractions_half_floats_and_large_integers", () => {
    // [{0: "a", 2: 4([-2, 2315])}, {0: "b", 2: 1.5 as half}, {0: "c", 2: 2^63}]
    const hex = "83a2006161" + "02c48221" + "19090b" + "a200616202f93e00" + "a2006163021b8000000000000000"
    expect(cbor(Uint8Array.from(Buffer.from(hex, "hex")))).toMatchObject({
      readings: [{ value: 23.15 }, { value: 1.5 }, { value: 2 ** 63 }]
    })
  })

  test.each([
    ["another tag", "81a1c00061"],
    ["a length beyond the end", "9b7fffffffffffffff"],
    ["a label twice", "81a300616100616202" + "01"],
    ["bytes after the end", "8000"]
  ])("is refused for %s", (_, hex) => {
    expect(cbor(Uint8Array.from(Buffer.from(hex, "hex")))).toMatchObject({ reason: "malformed" })
  })

  test("must_understand_fields_have_names_there_too", () => {
    expect(
      cbor(
        encode([
          new Map<unknown, unknown>([
            [0, "a"],
            [2, 1],
            ["secret_", 1]
          ])
        ])
      )
    ).toMatchObject({
      reason: "malformed"
    })
  })
})

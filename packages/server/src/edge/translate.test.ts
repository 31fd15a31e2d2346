import type { PayloadFormat } from "@mahalla/core/plugin"
import fc from "fast-check"
import { expect, test } from "vitest"
import { bodiesOf, type Body, partsOf } from "./translate.ts"

const at = 1_700_000_000_000
const bodies = (...given: ReadonlyArray<readonly [PayloadFormat, unknown, string?]>) =>
  bodiesOf(
    given.flatMap(([format, payload, device = "meter"]) => {
      const bytes = payload instanceof Uint8Array ? payload : Buffer.from(JSON.stringify(payload))
      return partsOf({ device, gateway: device === "concentrator", format, payload: bytes, receivedAt: 0 }, at)
    })
  ).map(({ kind, text }) => [kind, JSON.parse(text) as unknown])

test("values_without_a_time_get_that_of_their_arrival_and_others_keep_theirs", () => {
  expect(bodies(["json", { pressure: 4 }], ["json", [{ ts: 5, values: { pressure: 3 } }, { pressure: 2 }]])).toEqual([
    [
      "gateway",
      {
        meter: [
          { ts: at, values: { pressure: 4 } },
          { ts: 5, values: { pressure: 3 } },
          { ts: at, values: { pressure: 2 } }
        ]
      }
    ]
  ])
})

test("a_gateway_behind_the_edge_names_its_own_devices", () => {
  expect(bodies(["gateway-json", { a: [{ x: 1 }], b: [{ ts: 5, values: { x: 2 } }] }, "concentrator"])).toEqual([
    ["gateway", { a: [{ ts: at, values: { x: 1 } }], b: [{ ts: 5, values: { x: 2 } }] }]
  ])
})

test("only_a_gateway_names_the_device_of_a_reading", () => {
  const forged = { key: "x", value: 1, device: "other" }
  const own = { key: "x", value: 2, device: "meter" }
  expect(bodies(["json", { readings: [forged, own] }], ["profile", { readings: [forged] }])).toEqual([
    ["gateway", { meter: [`not-allowed: it names another device: ${JSON.stringify(forged)}`] }],
    ["readings", { readings: [{ at, ...own }] }],
    ["gateway", { meter: [`not-allowed: it names another device: ${JSON.stringify(forged)}`] }]
  ])
  expect(bodies(["json", { readings: [forged] }, "concentrator"])).toEqual([
    ["readings", { readings: [{ at, ...forged }] }]
  ])
})

test("sequences_and_units_go_as_our_own_batch_in_their_turn", () => {
  expect(
    bodies(
      ["json", { x: 1 }],
      ["json", { readings: [{ key: "x", value: 2, sequence: 9, unit: "bar" }] }],
      ["json", { x: 3 }]
    )
  ).toEqual([
    ["gateway", { meter: [{ ts: at, values: { x: 1 } }] }],
    ["readings", { readings: [{ at, key: "x", value: 2, sequence: 9, unit: "bar", device: "meter" }] }],
    ["gateway", { meter: [{ ts: at, values: { x: 3 } }] }]
  ])
})

test("attributes_do_not_become_readings", () => {
  expect(bodies(["attributes", { firmware: "1.2.3", build: 12, serial: "12", on: true, place: { floor: 1 } }])).toEqual(
    [
      [
        "gateway",
        {
          meter: [
            {
              ts: at,
              values: {
                firmware: "1.2.3",
                build: { value: 12 },
                serial: { value: "12" },
                on: { value: true },
                place: { floor: 1 }
              }
            }
          ]
        }
      ]
    ]
  )
})

test("attributes_of_devices_behind_a_gateway_are_those_devices_own_and_no_readings", () => {
  const given = { a: { firmware: "1.2.3", build: 12 }, b: { serial: "007" }, c: "nonsense" }
  const bytes = Buffer.from(JSON.stringify(given)).toString("base64")
  expect(bodies(["gateway-attributes", given, "concentrator"], ["gateway-attributes", [1], "concentrator"])).toEqual([
    [
      "gateway",
      {
        a: [{ ts: at, values: { firmware: "1.2.3", build: { value: 12 } } }],
        b: [{ ts: at, values: { serial: { value: "007" } } }]
      }
    ],
    ["gateway", { concentrator: [`gateway-attributes, base64: ${bytes}`] }],
    ["gateway", { concentrator: ["gateway-attributes, base64: WzFd"] }]
  ])
})

test("what_cannot_be_told_apart_goes_alone_with_all_its_bytes", () => {
  const bytes = Uint8Array.of(0xff, 0x00, 0x7b)
  const all = bodies(["json", { x: 1 }], ["senml-cbor", bytes], ["json", bytes], ["json", { x: 2 }])
  expect(all.map(([, body]) => body)).toEqual([
    { meter: [{ ts: at, values: { x: 1 } }] },
    { meter: ["senml-cbor, base64: /wB7"] },
    { meter: ["json, base64: /wB7"] },
    { meter: [{ ts: at, values: { x: 2 } }] }
  ])
})

test("nothing_gets_lost_between_bodies_and_none_is_more_than_a_city_takes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ device: fc.constantFrom("a", "b", "c"), count: fc.integer({ min: 1, max: 3_000 }) }), {
        maxLength: 12
      }),
      (messages) => {
        let next = 0
        const made = bodies(
          ...messages.map(({ count, device }) => {
            const values = Object.fromEntries(Array.from({ length: count }, (_, key) => [`k${key}`, next++]))
            return ["json", values, device] as const
          })
        )
        const found: Array<number> = []
        for (const [, body] of made) {
          const entries = Object.values(
            body as Record<string, ReadonlyArray<{ readonly values: Record<string, number> }>>
          ).flat()
          const values = entries.flatMap((entry) => Object.values(entry.values))
          expect(values.length).toBeLessThanOrEqual(10_000)
          found.push(...values)
        }
        expect(found.toSorted((left, right) => left - right)).toEqual(Array.from({ length: next }, (_, n) => n))
      }
    ),
    { numRuns: 50 }
  )
})

/** Bytes that the city takes. */
const limit = 1_048_576
const record = (payload: string) => ({
  device: "meter",
  gateway: false,
  format: "json" as const,
  payload: Buffer.from(payload),
  receivedAt: 0
})
const sizes = (all: ReadonlyArray<Body>) => all.map(({ text }) => Buffer.byteLength(text))

test("no_body_is_larger_than_the_city_takes_in_whatever_script_it_is_written", () => {
  const parts = Array.from({ length: 12 }, () => partsOf(record(JSON.stringify({ note: "\u6c34".repeat(80_000) })), at))
  const all = bodiesOf(parts.flat())
  expect(Math.max(...sizes(all))).toBeLessThan(limit)
})

test("a_message_that_would_be_too_large_or_too_deep_to_write_again_goes_as_it_came", () => {
  const numbers = `{"a":[${Array.from({ length: 52_000 }, () => "1e20").join(",")}]}`
  const deep = `{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`
  for (const payload of [numbers, deep]) {
    const all = bodiesOf(partsOf(record(payload), at))
    expect(Math.max(...sizes(all))).toBeLessThan(limit)
    expect(all.map(({ text }) => JSON.parse(text) as unknown)).toEqual([
      { meter: [`json, base64: ${Buffer.from(payload).toString("base64")}`] }
    ])
  }
})

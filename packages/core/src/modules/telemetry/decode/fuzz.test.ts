/** Whatever arrives: a decoder answers, soon, and lets nothing through that the database or the checks behind it could choke on. */
import { encode } from "cborg"
import * as fc from "fast-check"
import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { message, now } from "../../../test/ingestMessages.ts"
import { decode, type StatelessMessage } from "./decode.ts"
import type { Decoding, DecodeFailure } from "./decoding.ts"
import { newEdgeNode, step } from "./sparkplug/step.ts"
import { isUplink } from "./uplink.ts"

const formats: ReadonlyArray<StatelessMessage["format"]> = [
  "profile",
  "json",
  "gateway-json",
  "attributes",
  "gateway-attributes",
  "senml-json",
  "senml-cbor",
  "chirpstack",
  "things-stack"
]
const topic = "application/a/device/b/event/up"

const decodeAny = (format: StatelessMessage["format"], payload: unknown): ReadonlyArray<Decoding | DecodeFailure> =>
  [true, false].map((gateway) => {
    const decoded = Result.merge(decode(message(format, payload, topic), { gateway }))
    return "apply" in decoded && isUplink(decoded) ? Result.merge(decoded.apply(decoded.object ?? {})) : decoded
  })

/** Of the processor, not of the clock: the machine may be busy. Wide enough for a slow one, and far below what is not linear. */
const expectSoon = (before: NodeJS.CpuUsage) => expect(process.cpuUsage(before).user / 1_000).toBeLessThan(1_500)

/** What the room behind the decoders relies on. */
const check = (result: Decoding | DecodeFailure) => {
  const text = JSON.stringify(result)
  expect(text).not.toMatch(/(?<!\\)(\\\\)*\\u0000/)
  expect(text).not.toMatch(/(?<!\\)(\\\\)*\\ud[89a-f]/)
  if ("reason" in result) return expect(result.message.length).toBeGreaterThan(0)
  for (const { at, device, key, sequence, value } of result.readings) {
    expect(Number.isFinite(value) && Number.isFinite(at)).toBe(true)
    expect(key).toMatch(/^[A-Za-z0-9_.:/-]{1,100}$/)
    expect(key).not.toBe("__proto__")
    if (device !== undefined) expect(device).not.toMatch(/\p{Cc}/u)
    if (sequence !== undefined) expect(sequence >= 0 && sequence <= 4_294_967_295).toBe(true)
  }
  for (const { at } of result.statuses) expect(Number.isFinite(at)).toBe(true)
}

/** Words that mean something in one of the formats, and some that mean mischief. */
const word = fc.constantFrom(
  ...[
    "ts",
    "values",
    "readings",
    "key",
    "at",
    "value",
    "sequence",
    "unit",
    "device",
    "n",
    "v",
    "vs",
    "vb",
    "s",
    "t",
    "bn",
    "bt"
  ],
  ...[
    "bv",
    "bs",
    "bu",
    "u",
    "bver",
    "x_",
    "deviceInfo",
    "devEui",
    "time",
    "data",
    "object",
    "fCnt",
    "fPort",
    "rxInfo",
    "rssi"
  ],
  ...[
    "end_device_ids",
    "dev_eui",
    "uplink_message",
    "frm_payload",
    "f_port",
    "decoded_payload",
    "received_at",
    "simulated"
  ],
  ...[
    "__proto__",
    "constructor",
    "toString",
    "",
    "a b",
    "\u0000",
    "\ud800",
    "0101010101010101",
    "AQ==",
    "2026-11-20T10:00:00Z"
  ]
)
const leaf = fc.oneof(
  word,
  fc.string({ unit: "binary" }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(null, Number.MAX_VALUE, 2 ** 28, 9e15)
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("tree"), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.oneof(word, fc.string()), tie("tree")), { maxLength: 6 })
      // Own properties, `__proto__` too.
      .map((entries) => Object.fromEntries(entries))
  )
}))

describe.each(formats)("%s", (format) => {
  test("never throws at bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => decodeAny(format, bytes).forEach(check)),
      { numRuns: 500 }
    )
  })

  test("never throws at JSON of any shape, nor lets through what cannot be stored", () => {
    fc.assert(
      fc.property(tree, (value) => decodeAny(format, JSON.stringify(value)).forEach(check)),
      { numRuns: 1_000 }
    )
  })

  const mib = 1_048_576
  const hostile: ReadonlyArray<readonly [string, () => string | Uint8Array]> = [
    ["10 MB", () => `{"a": "${"x".repeat(10_000_000)}"}`],
    ["deep arrays", () => "[".repeat(mib)],
    ["deep arrays that end", () => `${"[".repeat(mib / 2)}${"]".repeat(mib / 2)}`],
    ["deep objects", () => `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
    ["deep objects in values", () => `{"ts":1,"values":{"a":${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}}}`],
    ["many keys", () => `{${Array.from({ length: 60_000 }, (_, index) => `"key${index}":"t"`).join()}}`],
    ["many empty records", () => `[${"{},".repeat(300_000)}{}]`],
    ["numbers without an end", () => `{"a": 1e999, "b": -1e999, "c": ${"9".repeat(1_000_000)}}`],
    ["no UTF-8", () => Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ["a key twice", () => '{"a": 1, "a": 2, "__proto__": {"a": 3}, "constructor": 4}'],
    ["CBOR: deep arrays", () => new Uint8Array(mib).fill(0x81)],
    ["CBOR: a huge array", () => Uint8Array.from([0x9a, 0xff, 0xff, 0xff, 0xff, 0xa0])],
    ["CBOR: many empty records", () => Uint8Array.from([0x9a, 0, 0x0f, 0, 0, ...new Uint8Array(0x0f0000).fill(0xa0)])],
    [
      "CBOR: NaN and Infinity",
      () =>
        encode([
          new Map<number, unknown>([
            [0, "a"],
            [2, Number.NaN]
          ]),
          new Map<number, unknown>([
            [0, "b"],
            [2, Infinity]
          ])
        ])
    ]
  ]
  test.each(hostile)("answers soon to %s", (_, make) => {
    const payload = make()
    const before = process.cpuUsage()
    const results = decodeAny(format, payload)
    expectSoon(before)
    results.forEach(check)
  })
})

test("never throws at what a codec returns", () => {
  const body = { deviceInfo: { devEui: "0101010101010101" }, data: "AQ==" }
  fc.assert(
    fc.property(tree, (data) => decodeAny("chirpstack", JSON.stringify({ ...body, object: { data } })).forEach(check)),
    { numRuns: 1_000 }
  )
})

describe("sparkplug", () => {
  const run = (type: string, payload: Uint8Array) => {
    const result = Result.merge(step(newEdgeNode, { topic: `spBv1.0/g/${type}/e`, payload, receivedAt: now }))
    check("reason" in result ? result : result.decoding)
    if ("state" in result) expect(JSON.parse(JSON.stringify(result.state))).toEqual(result.state)
  }

  test("never throws at bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom("NBIRTH", "NDATA", "NDEATH"), fc.uint8Array({ maxLength: 64 }), (type, bytes) =>
        run(type, bytes)
      ),
      { numRuns: 1_000 }
    )
  })

  test.each([
    ["many empty metrics", Uint8Array.from({ length: 1_048_576 }, (_, index) => (index % 2 === 0 ? 0x12 : 0))],
    ["groups in groups", new Uint8Array(1_000_000).fill(0x0b)],
    ["10 MB", new Uint8Array(10_000_000)]
  ])("answers soon to %s", (_, payload) => {
    const before = process.cpuUsage()
    run("NBIRTH", payload)
    expectSoon(before)
  })
})

/** Codecs that come with their own cases: what they do is known before a device depends on it. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import type { Client } from "./client.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let admin: Client

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  admin = kit.samarkand.staff["municipality-admin"]
})
afterAll(() => kit?.close())

const source = (factor: number) =>
  `function decodeUplink(input) {
     if (input.fPort !== 1) return { errors: ["unknown port"] }
     return { data: { temperature: ((input.bytes[0] << 8) | input.bytes[1]) * ${factor} }, warnings: ["low battery"] }
   }`
const warm = { name: "a warm day", input: { hex: "0102", fPort: 1 }, expected: { temperature: 258 } }
const cold = { name: "a cold day", input: { base64: "AAE=", fPort: 1 }, expected: { temperature: 1 } }
const definition = (factor: number, ...cases: ReadonlyArray<object>) => ({
  datastreams: [{ key: "temperature", title: "Temperature", unit: "Cel" }],
  format: "codec",
  codec: { source: source(factor), version: "1", cases },
  retention: 90
})

describe("a profile", () => {
  test("is_stored_when_all_cases_of_its_codec_come_out_and_refused_with_a_pointer_to_each_that_does_not", async () => {
    const wrong = { ...cold, expected: { temperature: 2 } }
    const port = { ...warm, name: "another port", input: { hex: "0102", fPort: 9 } }
    const refused = await admin.post("/v1/device-profiles", {
      name: "lora",
      definition: definition(1, warm, wrong, port)
    })
    expectProblem("wrong cases", refused, {
      status: 400,
      type: "invalid-input",
      pointers: ["/definition/codec/cases/1", "/definition/codec/cases/2"]
    })
    expect(refused.body.errors).toEqual([
      {
        pointer: "/definition/codec/cases/1",
        detail: 'a cold day: the codec gave {"temperature":1}, not {"temperature":2}.'
      },
      { pointer: "/definition/codec/cases/2", detail: "another port: decodeUplink: unknown port" }
    ])
    expect(await kit.sql("select from mahalla.device_profile where name = 'lora'")).toEqual([])
    const made = await admin.post("/v1/device-profiles", { name: "lora", definition: definition(1, warm, cold) })
    expect(made.status).toBe(201)

    const change = (next: object) =>
      admin.call("PATCH", `/v1/device-profiles/${made.body.id}`, { body: { definition: next } })
    expectProblem("a codec that broke", await change(definition(10, warm)), {
      status: 400,
      type: "invalid-input",
      pointers: ["/definition/codec/cases/0"]
    })
    const stored = await kit.sql<{ version: number; cases: number }>(
      "select version, jsonb_array_length(definition -> 'codec' -> 'cases') as cases from mahalla.device_profile where name = 'lora'"
    )
    expect(stored).toEqual([{ version: 1, cases: 2 }])
    expect((await change(definition(10, { ...warm, expected: { temperature: 2580 } }))).body.version).toBe(2)
  })

  test("whose_codec_hangs_or_is_no_JavaScript_is_refused_in_time", async () => {
    for (const [place, script] of ["while (true) {}", "function ("].entries()) {
      const broken = { ...definition(1, warm), codec: { source: script, version: "1", cases: [warm] } }
      expectProblem(script, await admin.post("/v1/device-profiles", { name: `broken-${place}`, definition: broken }), {
        status: 400,
        type: "invalid-input",
        pointers: ["/definition/codec/cases/0"]
      })
    }
  })

  test("of_somebody_who_may_not_make_one_runs_nothing", async () => {
    const inspector = kit.samarkand.staff.inspector
    const failing = definition(1, { ...warm, expected: {} })
    const answer = await inspector.post("/v1/device-profiles", { name: "x", definition: failing })
    expectProblem("a profile", answer, { status: 403, type: "forbidden" })
  })
})

describe("a codec", () => {
  const decode = (input: object, script = source(1), client = admin) =>
    client.post("/v1/device-profiles/decode", { codec: { source: script }, input })

  test("is_tried_on_bytes_without_anything_stored", async () => {
    const before = await kit.sql<{ count: number }>("select count(*)::int from mahalla.device_profile")
    const good = await decode({ hex: "0102", fPort: 1 })
    expect([good.status, good.body]).toEqual([200, { data: { temperature: 258 }, warnings: ["low battery"] }])
    const bad = await decode({ base64: "AQI=", fPort: 2 })
    expect([bad.status, bad.body]).toEqual([
      200,
      { failure: { reason: "codec-failed", message: "decodeUplink: unknown port" }, warnings: [] }
    ])
    const endless = await decode({ hex: "", fPort: 1 }, "function decodeUplink() { while (true) {} }")
    expect(endless.body.failure.reason).toBe("codec-too-slow")
    expect(await kit.sql("select count(*)::int from mahalla.device_profile")).toEqual(before)
  })

  test("is_not_tried_on_what_are_no_bytes_or_for_whoever_may_not_store_one", async () => {
    expectProblem("half a byte", await decode({ hex: "012", fPort: 1 }), { status: 400, type: "invalid-input" })
    expectProblem("no port", await decode({ hex: "01", fPort: 256 }), { status: 400, type: "invalid-input" })
    expectProblem(
      "without permission",
      await decode({ hex: "01", fPort: 1 }, source(1), kit.samarkand.staff.inspector),
      {
        status: 403,
        type: "forbidden"
      }
    )
  })
})

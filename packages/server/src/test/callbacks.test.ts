/** What partners send to plugins: it arrives as it was sent, at the plugin that it names, and nowhere else. */
import { apiVersion, definePlugin, HostCallbacks, Messenger, type CallbackRequest } from "@mahalla/core/plugin"
import { memoryMessenger } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { makeClient } from "./client.ts"

const heard: Array<CallbackRequest> = []
const told: Array<string | undefined> = []

/** A messenger whose gateway calls back. */
const gateway = definePlugin({
  id: "@town/gateway",
  apiVersion,
  config: Schema.Struct({}),
  provides: [Messenger],
  layer: () =>
    Layer.mergeAll(
      memoryMessenger(),
      Layer.effectDiscard(
        Effect.gen(function* () {
          const callbacks = yield* HostCallbacks
          told.push(callbacks.url)
          yield* callbacks.serve((request) =>
            Effect.suspend(() => {
              heard.push(request)
              if (request.path === "/dies") throw new Error("a mistake of the plugin's")
              return Effect.succeed(request.path === "/silent" ? { status: 204 } : { status: 200, body: '{"ok":true}' })
            })
          )
        })
      )
    )
})

let kit: CityKit
beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    plugins: [gateway({}), gateway({}, { instance: "second" })],
    config: { publicUrl: "https://city.example" }
  })
})
afterAll(() => kit.close())

describe("a partner's request", () => {
  test("reaches_the_plugin_that_it_names_byte_by_byte", async () => {
    expect([...new Set(told)]).toEqual([
      "https://city.example/v1/callbacks/town-gateway",
      "https://city.example/v1/callbacks/second"
    ])
    const client = makeClient(kit.url)
    // JSON that the city itself would refuse: what was signed are these bytes.
    const body = new Uint8Array([...Buffer.from('{"a": 1, "a": 2, "'), 0xff, 0xc3, ...Buffer.from('"')])
    const headers = { "content-type": "application/json", "x-signature": "abc" }
    const answer = await client.call("POST", "/v1/callbacks/town-gateway/receipts/7?a=1&b=%20x", { body, headers })
    expect([answer.status, answer.body]).toEqual([200, { ok: true }])
    expect(heard.at(-1)).toMatchObject({ method: "POST", path: "/receipts/7" })
    expect(Buffer.from(heard.at(-1)!.body).equals(Buffer.from(body))).toBe(true)
    expect([...heard.at(-1)!.query]).toEqual([
      ["a", "1"],
      ["b", " x"]
    ])
    expect(heard.at(-1)!.headers["x-signature"]).toBe("abc")
    expect((await client.get("/v1/callbacks/second/silent")).status).toBe(204)
    expect(heard.at(-1)).toMatchObject({ method: "GET", path: "/silent" })
  })

  test("that_nobody_hears_is_answered_as_a_problem", async () => {
    const client = makeClient(kit.url)
    const before = heard.length
    expect((await client.post("/v1/callbacks/nobody/x")).body).toMatchObject({ status: 404 })
    expect((await client.get("/v1/callbacks/")).status).toBe(404)
    expect((await client.call("DELETE", "/v1/callbacks/second")).status).toBe(405)
    expect((await client.call("POST", "/v1/callbacks/second", { body: new Uint8Array(300_000) })).status).toBe(413)
    expect(heard.length).toBe(before)
    const died = await client.post("/v1/callbacks/second/dies")
    expect([died.status, died.text.includes("mistake")]).toEqual([500, false])
  })
})

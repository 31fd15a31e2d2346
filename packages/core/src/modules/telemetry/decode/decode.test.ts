import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { message, now } from "../../../test/ingestMessages.ts"
import type { Codec } from "./codec/model.ts"
import { makeCodecSandbox } from "./codec/sandbox.ts"
import { decodeWith } from "./decode.ts"

const device = "0101010101010101"
const body = { deviceInfo: { devEui: device }, fCnt: 3, fPort: 1, data: "AQI=", object: { level: 9 } }
const up = message("chirpstack", body, `application/a/device/${device}/event/up`)
const bare = message("chirpstack", { ...body, object: undefined }, up.topic)
const codec: Codec = {
  source:
    "function decodeUplink({ bytes }) { return { data: { level: bytes[0] * 256 + bytes[1] }, warnings: ['old firmware'] } }",
  version: "7"
}

const run = (one: typeof up, codecs: Readonly<Record<string, Codec>>) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const sandbox = yield* makeCodecSandbox({ limit: 1_000 })
        const codecOf = (name: string | undefined) => Effect.succeed(codecs[name ?? ""])
        return Result.merge(yield* Effect.result(decodeWith(one, { gateway: true }, sandbox, codecOf)))
      })
    )
  )

describe("bytes of a device", () => {
  test("are_read_by_the_codec_of_its_profile", async () => {
    expect(await run(up, { [device]: codec })).toMatchObject({
      readings: [{ device, key: "level", at: now, sequence: 3, value: 258 }],
      warnings: ["old firmware"]
    })
  })

  test("without_a_codec_count_as_the_network_server_decoded_them", async () => {
    expect(await run(up, {})).toMatchObject({ readings: [{ key: "level", value: 9 }] })
  })

  test("that_nobody_can_read_are_kept_with_that_reason", async () => {
    expect(await run(bare, {})).toMatchObject({ reason: "codec-failed" })
  })

  test("name_the_codecs_version_where_it_fails", async () => {
    expect(
      await run(up, { [device]: { source: "function decodeUplink() { throw new Error('short') }", version: "8" } })
    ).toEqual({
      reason: "codec-failed",
      message: "decodeUplink failed: Error: short (codec 8)"
    })
  })

  test("in_a_frame_of_the_vendors_own_are_the_senders", async () => {
    expect(await run(message("profile", Uint8Array.of(1, 0)), { "": codec })).toMatchObject({
      readings: [{ key: "level", value: 256, at: now }]
    })
  })
})

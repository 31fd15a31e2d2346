/** Clients and datagrams of other hands: libcoap's client, and bytes that are no CoAP at all. */
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { promisify } from "node:util"
import { fakeIngestHost } from "@mahalla/core/testing"
import { generate, type NamedOption, parse } from "coap-packet"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { type Assembled, makeBlocks } from "./blocks.ts"
import { serveCoap } from "./CoapIngest.ts"
import { routeOf } from "./route.ts"
import { post } from "./test/driver.ts"

const client = await ensureProgram("coap-client-notls")
const run = promisify(execFile)

/** What libcoap's client says; it prints the code of a refusal. */
const libcoap = (...args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const { stderr, stdout } = await run(client, ["-m", "post", "-B", "10", ...args])
    return `${stdout}${stderr}`.trim()
  })

const serving = Effect.gen(function* () {
  const fake = yield* fakeIngestHost({ maxPayload: 4_000 })
  const { addresses } = yield* serveCoap({ port: 0 }, fake.host)
  return { fake, address: addresses[0]! }
})

/** A socket that says datagrams and keeps what it hears. */
const speakingTo = Effect.fnUntraced(function* (address: string) {
  const { hostname, port } = new URL(address.replace("coap:", "http:"))
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => createSocket("udp4")),
    (open) => Effect.sync(() => open.close())
  )
  const heard: Array<{ readonly code: string; readonly payload: Buffer }> = []
  socket.on("message", (datagram) => heard.push(parse(datagram)))
  return { heard, say: (datagram: Buffer) => socket.send(datagram, Number(port), hostname) }
})

const speaking = Effect.flatMap(serving, ({ address, fake }) =>
  Effect.map(speakingTo(address), (spoken) => ({ address, fake, ...spoken }))
)

/** A reading of a device; `more`: what else its packet has. */
const telemetry = ({
  device = "token-of-meter-1",
  options = [],
  ...packet
}: Omit<Parameters<typeof generate>[0] & object, "options"> & {
  readonly device?: string
  readonly options?: ReadonlyArray<NamedOption>
}) =>
  generate({
    code: "0.02",
    confirmable: true,
    payload: Buffer.from("{}"),
    ...packet,
    options: [
      ...["api", "v1", device, "telemetry"].map((part) => ({ name: "Uri-Path" as const, value: Buffer.from(part) })),
      ...options
    ]
  })

describe("coap", () => {
  it.live("takes_readings_from_libcoap_in_every_content_format", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving
      const own = `${address}/mahalla/telemetry?token=token-of-meter-1`
      const board = `${address}/api/v1/token-of-meter-1`
      const said = yield* Effect.forEach(
        [
          ["-t", "50", "-e", '{"flow":1}', `${board}/telemetry`],
          ["-t", "50", "-e", '{"valve":"open"}', `${board}/attributes`],
          ["-t", "110", "-e", '[{"n":"flow","v":1}]', own],
          ["-t", "112", "-e", "x", own],
          ["-t", "60", "-e", "x", own],
          ["-t", "42", "-e", "x", own],
          // Without a response code of its own the client prints nothing of 2.04; an ordinary NON request.
          ["-N", "-t", "50", "-e", '{"flow":2}', `${board}/telemetry`]
        ],
        (args) => libcoap(...args)
      )
      assert.deepEqual(new Set(said), new Set([""]))
      assert.deepEqual(
        fake.committed.map(({ format }) => format),
        ["json", "attributes", "senml-json", "senml-cbor", "profile", "profile", "json"]
      )
      // The token is a secret, and the topic is kept with the message.
      assert.isFalse(fake.committed.some(({ topic }) => topic.includes("token-of")))
    }).pipe(Effect.scoped)
  )

  it.live("tells_libcoap_why_a_request_is_refused", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving
      const board = `${address}/api/v1/token-of-meter-1/telemetry`
      const refusals = [
        ["4.01", ["-t", "50", "-e", "{}", `${address}/api/v1/guessed/telemetry`]],
        ["4.04", ["-t", "50", "-e", "{}", `${address}/firmware`]],
        ["4.13", ["-t", "50", "-e", "x".repeat(5_000), board]],
        ["4.15", ["-t", "41", "-e", "<x/>", board]],
        ["4.05", ["-m", "get", board]]
      ] as const
      for (const [code, args] of refusals) assert.include(yield* libcoap(...args), code)
      assert.deepEqual(fake.committed, [])
    }).pipe(Effect.scoped)
  )

  it.live("takes_a_request_that_comes_in_blocks", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving
      const body = JSON.stringify({ values: "0123456789".repeat(300) })
      const said = yield* libcoap("-b", "64", "-t", "50", "-e", body, `${address}/api/v1/token-of-meter-1/telemetry`)
      assert.strictEqual(said, "")
      assert.deepEqual(
        fake.committed.map(({ payload }) => Buffer.from(payload).toString()),
        [body]
      )
    }).pipe(Effect.scoped)
  )

  it.live("commits_once_what_a_device_sends_again_with_the_same_message_id", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving
      fake.slowness = 200
      const url = new URL(address.replace("coap:", "http:"))
      const heard: Array<string> = []
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => createSocket("udp4")),
        (open) => Effect.sync(() => open.close())
      )
      socket.on("message", (datagram) => heard.push(parse(datagram).code))
      const request = generate({
        code: "0.02",
        confirmable: true,
        messageId: 7,
        token: Buffer.from("abcd"),
        payload: Buffer.from('{"flow":1}'),
        options: ["api", "v1", "token-of-meter-1", "telemetry"].map((part) => ({
          name: "Uri-Path",
          value: Buffer.from(part)
        }))
      })
      for (let time = 0; time < 4; time++) {
        socket.send(request, Number(url.port), url.hostname)
        yield* Effect.sleep(100)
      }
      yield* Effect.sleep(300)
      assert.strictEqual(fake.committed.length, 1)
      // First that it is there, then that it is committed.
      assert.strictEqual(heard[0], "0.00")
      assert.include(heard, "2.04")
    }).pipe(Effect.scoped)
  )

  it.live("takes_another_request_under_a_message_id_that_was_used_before", () =>
    Effect.gen(function* () {
      const { fake, heard, say } = yield* speaking
      for (const [index, flow] of [1, 2, 2].entries()) {
        say(telemetry({ messageId: 1, token: Buffer.from([flow]), payload: Buffer.from(`{"flow":${flow}}`) }))
        yield* Effect.sleep(150)
        assert.strictEqual(heard.at(-1)?.code, "2.04", `${index}`)
      }
      assert.deepEqual(
        fake.committed.map(({ payload }) => Buffer.from(payload).toString()),
        ['{"flow":1}', '{"flow":2}']
      )
    }).pipe(Effect.scoped)
  )

  it.live("puts_two_bodies_together_that_come_in_blocks_at_once", () =>
    Effect.gen(function* () {
      const { fake, say } = yield* speaking
      const bodies = ["a", "b"].map((letter) => `{"${letter}":"${letter.repeat(100)}"}`)
      let messageId = 0
      for (let block = 0; block < 2; block++)
        for (const [tag, body] of bodies.entries()) {
          const last = block === 1
          const options = [
            { name: "Block1" as const, value: Buffer.from([(block << 4) | (last ? 0 : 8) | 2]) },
            { name: "292" as never, value: Buffer.from([tag]) }
          ]
          const payload = Buffer.from(body).subarray(block * 64, last ? undefined : 64)
          say(telemetry({ messageId: ++messageId, token: Buffer.from([tag]), payload, options }))
          yield* Effect.sleep(50)
        }
      yield* Effect.sleep(200)
      assert.deepEqual(
        fake.committed.map(({ payload }) => Buffer.from(payload).toString()),
        bodies
      )
    }).pipe(Effect.scoped)
  )

  it.live("lets_no_more_unknown_tokens_wait_than_it_can_bear", () =>
    Effect.gen(function* () {
      const fake = yield* fakeIngestHost()
      let waiting = 0
      const authenticate = () => Effect.suspend(() => (waiting++, Effect.never))
      const { addresses } = yield* serveCoap({ port: 0 }, { ...fake.host, authenticate })
      const { heard, say } = yield* speakingTo(addresses[0]!)
      for (let count = 0; count < 1_500; count++) {
        say(telemetry({ messageId: count, device: `guess-${count}`, confirmable: false }))
        if (count % 100 === 0) yield* Effect.sleep(5)
      }
      for (let tries = 0; tries < 100 && heard.length < 500; tries++) yield* Effect.sleep(50)
      assert.isAtMost(waiting, 1_000)
      assert.include(new Set(heard.map(({ code }) => code)), "5.03")
    }).pipe(Effect.scoped)
  )

  it.live("survives_datagrams_that_are_no_coap", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving
      const { hostname, port } = new URL(address.replace("coap:", "http:"))
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => createSocket("udp4")),
        (open) => Effect.sync(() => open.close())
      )
      for (const bytes of fc.sample(fc.uint8Array({ maxLength: 80 }), 500)) socket.send(bytes, Number(port), hostname)
      // Well formed, and with blocks that come out of turn.
      for (const block of fc.sample(fc.uint8Array({ maxLength: 4 }), 500))
        socket.send(
          generate({
            code: "0.02",
            confirmable: true,
            messageId: block.length * 1_000 + (block[0] ?? 0),
            token: Buffer.from(block),
            payload: Buffer.alloc(16),
            options: [{ name: "Block1", value: Buffer.from(block) }]
          }),
          Number(port),
          hostname
        )
      yield* Effect.sleep(300)
      assert.strictEqual(yield* post(address, "/api/v1/token-of-meter-1/telemetry", Buffer.from("{}")), "2.04")
      assert.strictEqual(fake.committed.length, 1)
    }).pipe(Effect.scoped)
  )
})

describe("an answer", () => {
  it.live("is_never_larger_than_a_datagram_whatever_it_repeats", () =>
    Effect.gen(function* () {
      const { address, say } = yield* speaking
      const path = ["mahalla", "telemetry"].map((part) => ({ name: "Uri-Path" as const, value: Buffer.from(part) }))
      const query = { name: "Uri-Query" as const, value: Buffer.from("token=token-of-meter-1") }
      const block = { name: "Block1" as const, value: Buffer.alloc(1_300) }
      const request = { code: "0.02", confirmable: true, payload: Buffer.from("{}") }
      say(generate({ ...request, messageId: 1, options: [...path, query, block] }, 4_000))
      say(generate({ ...request, messageId: 2, options: path, token: Buffer.alloc(1_300) }, 4_000))
      yield* Effect.sleep(200)
      assert.strictEqual(yield* post(address, "/api/v1/token-of-meter-1/telemetry", Buffer.from("{}")), "2.04")
    }).pipe(Effect.scoped)
  )

  it.live("says_as_much_of_a_long_reason_as_fits", () =>
    Effect.gen(function* () {
      const { fake, heard, say } = yield* speaking
      fake.judge = () => ({ state: "dead", reason: "\u6c34".repeat(500) })
      const path = ["api", "v1", "token-of-meter-1", "telemetry"]
      const options = path.map((part) => ({ name: "Uri-Path" as const, value: Buffer.from(part) }))
      say(generate({ code: "0.02", confirmable: true, messageId: 3, options, payload: Buffer.from("{}") }))
      yield* Effect.sleep(200)
      assert.deepEqual(
        heard.map(({ code, payload }) => [code, payload.toString()]),
        [["2.04", "\u6c34".repeat(170)]]
      )
    }).pipe(Effect.scoped)
  )
})

describe("blocks", () => {
  const block = (num: number, more: boolean, key = "a", now = 0) => ({
    key,
    option: Uint8Array.of(num >> 4, ((num << 4) & 255) | (more ? 8 : 0)),
    payload: Buffer.alloc(16, num),
    now
  })
  const codeOf = (assembled: Assembled) => ("code" in assembled ? assembled.code : "whole")

  it("are_taken_in_turn_and_no_transfer_grows_too_large", () => {
    const assemble = makeBlocks(100)
    const codes = [0, 1, 1, 2, 3, 4, 5, 6].map((num) => codeOf(assemble(block(num, true))))
    assert.deepEqual(codes, [...Array.from({ length: 7 }, () => "2.31"), "4.13"])
    assert.strictEqual(codeOf(assemble(block(6, false))), "4.13")
  })

  it("are_refused_before_their_turn_and_where_too_many_come", () => {
    const assemble = makeBlocks(1_000)
    assert.strictEqual(codeOf(assemble(block(1, true))), "4.08")
    for (let peer = 0; peer < 256; peer++) assert.strictEqual(codeOf(assemble(block(0, true, `peer-${peer}`))), "2.31")
    assert.strictEqual(codeOf(assemble(block(0, true, "one more", 1))), "5.03")
    assert.strictEqual(codeOf(assemble(block(0, true, "one more", 300_000))), "2.31")
  })

  it("of_all_peers_together_hold_so_much_and_no_more", () => {
    const assemble = makeBlocks(1_048_576)
    let kept = 0
    for (let peer = 0; peer < 64; peer++)
      for (let num = 0; num < 600; num++) {
        const option = Uint8Array.of((num << 4) >> 16, ((num << 4) >> 8) & 255, ((num << 4) & 255) | 8 | 6)
        if (codeOf(assemble({ key: `peer-${peer}`, option, payload: Buffer.alloc(1_024), now: 0 })) === "2.31")
          kept += 1_024
      }
    assert.isAtMost(kept, 2 * 16 * 1_024 * 1_024)
    // What was given up makes room.
    assert.strictEqual(codeOf(assemble(block(0, true, "later", 300_000))), "2.31")
  })

  it("make_the_body_that_was_cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), fc.integer({ min: 0, max: 3 }), (body, exponent) => {
        const assemble = makeBlocks(500)
        const size = 2 ** (exponent + 4)
        const count = Math.ceil(body.length / size)
        const ends = Array.from({ length: count }, (_, num) => {
          const option = Uint8Array.of(num >> 4, ((num << 4) & 255) | (num < count - 1 ? 8 : 0) | exponent)
          return assemble({ key: "a", option, payload: body.subarray(num * size, (num + 1) * size), now: 0 })
        })
        const last = ends.at(-1)!
        assert.deepEqual("whole" in last ? [...last.whole] : last.code, [...body])
      })
    )
  })
})

describe("route", () => {
  it("throws_at_no_path", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), fc.option(fc.nat()), (path, queries, format) => {
        const route = routeOf("0.02", path, queries, format ?? undefined)
        assert.isTrue(route.kind === "refused" || route.token.length > 0)
      })
    )
  })
})

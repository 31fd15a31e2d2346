import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { runCodecCases } from "./cases.ts"
import { makeCodecSandbox, type CodecSandbox } from "./sandbox.ts"

const scope = Scope.makeUnsafe()
let sandbox: CodecSandbox["Service"]
beforeAll(async () => {
  sandbox = await Effect.runPromise(Scope.provide(makeCodecSandbox({ limit: 100 }), scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const recvTime = Date.UTC(2026, 10, 20, 10)
const input = { bytes: [1, 2], fPort: 3, recvTime, variables: { offset: "5" } }
const codec = (source: string) => ({ source, version: "1" })
const uplink = (body: string) => codec(`function decodeUplink(input) { ${body} }`)
const decoded = (source: ReturnType<typeof codec>) => Effect.runPromise(sandbox.decodeUplink(source, input))
const failure = (source: ReturnType<typeof codec>) =>
  Effect.runPromise(Effect.flip(sandbox.decodeUplink(source, input)))

describe("a codec gets", () => {
  test("bytes_port_time_and_variables", async () => {
    const echo = uplink(
      "return { data: { ...input, year: input.recvTime.getFullYear(), is: input.recvTime instanceof Date } }"
    )
    expect((await decoded(echo)).data).toEqual({
      bytes: [1, 2],
      fPort: 3,
      recvTime: "2026-11-20T10:00:00.000Z",
      variables: { offset: "5" },
      year: 2026,
      is: true
    })
  })

  test("no_clock_but_the_messages_time_and_no_time_zone", async () => {
    const clocks = "[Date.now(), +new Date(), +new (new Date().constructor)(), new Date(0).getHours()]"
    expect((await decoded(uplink(`return { data: { at: ${clocks} } }`))).data).toEqual({
      at: [recvTime, recvTime, recvTime, 0]
    })
  })

  test("nothing_of_the_host", async () => {
    const names = ["process", "require", "fetch", "setTimeout", "WebAssembly", "performance", "navigator"]
    const body = `return { data: { found: [${names.map((name) => `typeof ${name}`).join()}] } }`
    expect((await decoded(uplink(body))).data).toEqual({ found: names.map(() => "undefined") })
    expect(
      await failure(
        uplink('return { data: { it: Function("return import(\\"node:fs\\")")().constructor.name, at: process } }')
      )
    ).toMatchObject({ reason: "codec-failed" })
  })

  test("a_silent_console_and_a_Buffer", async () => {
    const body =
      'console.log("hi"); const b = Buffer.from(input.bytes); return { data: { n: b.readUInt16BE(0), hex: b.toString("hex") } }'
    expect((await decoded(uplink(body))).data).toEqual({ n: 258, hex: "0102" })
  })
})

test("nothing_of_one_call_is_there_in_the_next", async () => {
  const counter = codec(`
    let calls = 0
    function decodeUplink() {
      calls++; total = (typeof total === "undefined" ? 0 : total) + 1
      Array.prototype.seen = (Array.prototype.seen || 0) + 1
      return { data: { calls, total, seen: [].seen } }
    }`)
  for (let call = 0; call < 4; call++) expect((await decoded(counter)).data).toEqual({ calls: 1, total: 1, seen: 1 })
})

describe("fails and leaves the next message alone:", () => {
  const good = uplink("return { data: { ok: true }, warnings: ['low'] }")
  const table: ReadonlyArray<readonly [string, "codec-failed" | "codec-too-slow", string]> = [
    ["a loop without an end", "codec-too-slow", "for (;;) {}"],
    ["a loop that catches its own interruption", "codec-too-slow", "for (;;) { try { for (;;) {} } catch (e) {} }"],
    [
      "a pattern that backtracks for ever",
      "codec-too-slow",
      'return { data: { is: /^(a+)+$/.test("a".repeat(40) + "!") } }'
    ],
    ["one step of the machine that does not end", "codec-too-slow", 'return { data: { text: new Array(1e9) + "" } }'],
    ["recursion", "codec-failed", "return decodeUplink(input)"],
    ["nesting that overflows the host's own stack", "codec-failed", 'eval("[".repeat(100000) + "]".repeat(100000))'],
    ["more memory than it may have", "codec-failed", "return { data: { it: new Uint8Array(1e9).length } }"],
    ["a throw", "codec-failed", 'throw new Error("bad frame")'],
    ["a throw of something that cannot be told", "codec-failed", "throw { toString() { throw 1 } }"],
    ["errors of its own", "codec-failed", 'return { errors: ["unknown port"] }'],
    ["no data", "codec-failed", "return { value: 1 }"],
    ["nothing", "codec-failed", ""],
    ["a promise", "codec-failed", "return Promise.resolve({ data: {} })"],
    ["a circle", "codec-failed", "const data = {}; data.data = data; return { data }"],
    ["another JSON", "codec-failed", "Object.prototype.toJSON = () => undefined; return { data: {} }"],
    ["JSON that is null", "codec-failed", "Object.prototype.toJSON = () => null; return { data: {} }"],
    ["an answer without an end", "codec-failed", 'return { data: { text: "x".repeat(300000) } }']
  ]
  test.each(table)("%s", async (_, reason, body) => {
    expect(await failure(uplink(body))).toMatchObject({ reason })
    expect(await decoded(good)).toEqual({ data: { ok: true }, warnings: ["low"] })
  })

  test("source_that_cannot_be_read_says_where", async () => {
    expect(await failure(codec("function decodeUplink( {"))).toMatchObject({
      reason: "codec-failed",
      message: expect.stringContaining("SyntaxError") as string
    })
    expect(await failure(codec("for (;;) {}"))).toMatchObject({ reason: "codec-too-slow" })
    expect(await failure(codec("x".repeat(300_000)))).toMatchObject({ reason: "codec-failed" })
    expect(await failure(codec("throw null"))).toMatchObject({
      reason: "codec-failed",
      message: expect.stringContaining("null") as string
    })
    expect(await failure(codec("var a = 1"))).toMatchObject({
      message: expect.stringContaining("decodeUplink") as string
    })
  })

  test("its_neighbours_go_on_while_it_hangs", async () => {
    const ended: Array<string> = []
    // Both threads are there before, however long a busy machine takes to start one.
    const busy = uplink("for (let i = 0; i < 3e5; i++); return { data: {} }")
    await Promise.all([decoded(busy), decoded(busy)])
    await Promise.all([
      failure(uplink('return { data: { text: new Array(1e9) + "" } }')).then(() => ended.push("hanging")),
      decoded(good).then(() => ended.push("good"))
    ])
    expect(ended).toEqual(["good", "hanging"])
  })
})

test("a_codec_that_hangs_after_its_answer_costs_others_no_message_and_is_left_alone_in_the_end", async () => {
  const own = Scope.makeUnsafe()
  const alone = await Effect.runPromise(Scope.provide(makeCodecSandbox({ limit: 20 }), own))
  const ask = (source: ReturnType<typeof codec>) => Effect.runPromise(Effect.result(alone.decodeUplink(source, input)))
  // It goes well when it is read first, and hangs when it is made ready for its next message.
  const sly = codec(`if (Math.random() < 0.5) new Array(1e9) + ""; function decodeUplink() { return { data: {} } }`)
  const good = uplink("return { data: { n: 1 } }")
  const outcomes = new Set<string>()
  const said: Array<string> = []
  for (let times = 0; times < 60 && said.at(-1)?.includes("times in a row") !== true; times++) {
    const slow = await ask(sly)
    if (slow._tag === "Failure") said.push(slow.failure.message)
    for (let count = 0; count < 2; count++) outcomes.add((await ask(good))._tag)
  }
  expect([...outcomes]).toEqual(["Success"])
  expect(said.at(-1)).toContain("times in a row")
  await Effect.runPromise(Scope.close(own, Exit.void))
})

test("encodes_downlinks_and_checks_what_comes_out", async () => {
  const encode = (body: string) =>
    sandbox.encodeDownlink(codec(`function encodeDownlink(input) { ${body} }`), { data: { valve: 1 } })
  expect(await Effect.runPromise(encode("return { bytes: [input.data.valve, 255], fPort: 10 }"))).toEqual({
    bytes: Uint8Array.of(1, 255),
    fPort: 10,
    warnings: []
  })
  expect(await Effect.runPromise(encode("return { bytes: Buffer.from([7]) }"))).toMatchObject({
    bytes: Uint8Array.of(7),
    fPort: 1
  })
  for (const body of ["return { bytes: [256] }", 'return { bytes: "AQ==" }', "return { bytes: [1], fPort: -1 }"])
    expect(await Effect.runPromise(Effect.flip(encode(body)))).toMatchObject({ reason: "codec-failed" })
})

test("ChirpStacks_older_functions_are_taken_where_the_new_are_missing", async () => {
  const old = codec(`
    function Decode(fPort, bytes, variables) { return { port: fPort, sum: bytes[0] + bytes[1] + Number(variables.offset) } }
    function Encode(fPort, data) { return [fPort, data.valve] }`)
  expect((await decoded(old)).data).toEqual({ port: 3, sum: 8 })
  expect(await Effect.runPromise(sandbox.encodeDownlink(old, { data: { valve: 4 }, fPort: 9 }))).toMatchObject({
    bytes: Uint8Array.of(9, 4),
    fPort: 9
  })
})

test("cases_stored_with_a_codec_say_what_came_instead", async () => {
  const both = codec(`
    function decodeUplink(input) { return { data: { level: input.bytes[0] / 10 } } }
    function encodeDownlink(input) { return { bytes: [input.data.level * 10], fPort: 2 } }`)
  const call = { function: "decodeUplink", input } as const
  const results = await Effect.runPromise(
    runCodecCases(sandbox, both, [
      { name: "right", call, expected: { data: { level: 0.1 } } },
      { name: "wrong", call, expected: { data: { level: 1 } } },
      {
        name: "back",
        call: { function: "encodeDownlink", input: { data: { level: 0.5 } } },
        expected: { bytes: [5], fPort: 2 }
      },
      { name: "missing", call: { function: "decodeDownlink", input }, expected: { data: {} } }
    ])
  )
  expect(results).toMatchObject([
    { name: "right", passed: true },
    { name: "wrong", passed: false, got: { data: { level: 0.1 } } },
    { name: "back", passed: true },
    { name: "missing", passed: false, got: expect.stringContaining("no function decodeDownlink") as string }
  ])
})

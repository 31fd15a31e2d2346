import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { isPublic, makeInside } from "./address.ts"
import { OutwardError } from "../../plugin/HostOutward.ts"
import { keepConnections, type Outward, requestOutward } from "./post.ts"

/** A house on this machine that counts who comes in. */
const house = (answer: {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string
}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const seen: Array<{ readonly host: string; readonly body: string }> = []
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => (body += chunk))
        request.on("end", () => {
          seen.push({ host: request.headers.host ?? "", body })
          response.writeHead(answer.status, answer.headers).end(answer.body)
        })
      })
      let connections = 0
      server.on("connection", () => connections++)
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { port: (server.address() as AddressInfo).port, seen, connections: () => connections, server }
    }),
    ({ server }) =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
  )

const post = (url: string, more: Partial<Outward> = {}) =>
  Effect.result(requestOutward({ url, body: "hello", headers: {}, ...more }))
const reasonOf = (url: string, more: Partial<Outward> = {}) =>
  Effect.map(post(url, more), (result) =>
    result._tag === "Failure" && result.failure instanceof OutwardError ? result.failure.reason : "sent"
  )
const loopback = { isInside: makeInside(["127.0.0.0/8"]) }

describe("case 29, SSRF", () => {
  it("literals_of_every_spelling_are_judged_as_the_address_that_they_are", () => {
    const inside = [
      "127.0.0.1",
      "10.1.2.3",
      "172.31.255.255",
      "192.168.1.1",
      "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0",
      "198.18.0.1",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "::ffff:10.0.0.1",
      "::127.0.0.1",
      "64:ff9b::7f00:1",
      "64:ff9b::169.254.169.254",
      "64:ff9b:1::1",
      "2002:7f00:1::",
      "2001:0:7f00:1::",
      "2001:db8::1",
      "fe80::1",
      "fe80::1%lo",
      "fc00::1",
      "fd12:3456::1",
      "ff02::1",
      "100::1",
      "localhost",
      ""
    ]
    for (const address of inside) assert.isFalse(isPublic(address), address)
    for (const address of ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
      assert.isTrue(isPublic(address), address)
  })

  it.live("addresses_that_lead_inside_are_not_connected_to", () =>
    Effect.gen(function* () {
      const { connections, port } = yield* house({ status: 200 })
      for (const host of [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "①②⑦.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "localhost."
      ])
        for (const scheme of ["http", "https"])
          assert.strictEqual(yield* reasonOf(`${scheme}://${host}:${port}/`), "Forbidden", `${scheme}://${host}`)
      for (const url of [
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "https://user:secret@1.1.1.1/",
        "https://1.1.1.1:22/",
        "http://1.1.1.1/",
        "nonsense"
      ])
        assert.strictEqual(yield* reasonOf(url), "Forbidden", url)
      assert.strictEqual(connections(), 0)
    })
  )

  it.live("rebinding_a_name_between_two_questions_changes_nothing", () =>
    Effect.gen(function* () {
      const good = yield* house({ status: 204 })
      let asked = 0
      // First an address that is allowed, and inside from then on.
      const resolve = async () => [asked++ === 0 ? "127.0.0.1" : "169.254.169.254"]
      const result = yield* post(`http://moves.example:${good.port}/hook`, { ...loopback, resolve })
      assert.strictEqual(result._tag, "Success")
      assert.deepEqual([asked, good.seen], [1, [{ host: `moves.example:${good.port}`, body: "hello" }]])
      const second = yield* reasonOf(`http://moves.example:${good.port}/hook`, { ...loopback, resolve })
      assert.strictEqual(second, "Forbidden")
      assert.strictEqual(good.connections(), 1)
    })
  )

  it.live("one_answer_of_many_that_leads_inside_is_enough_to_refuse", () =>
    Effect.gen(function* () {
      const resolve = async () => ["1.1.1.1", "10.0.0.1"]
      assert.strictEqual(yield* reasonOf("https://two.example/", { resolve }), "Forbidden")
      assert.strictEqual(yield* reasonOf("https://none.example/", { resolve: async () => [] }), "Forbidden")
    })
  )

  it.live("redirects_are_answers_and_not_followed", () =>
    Effect.gen(function* () {
      const secret = yield* house({ status: 200 })
      const outside = yield* house({ status: 307, headers: { location: `http://127.0.0.1:${secret.port}/` } })
      const result = yield* post(`http://127.0.0.1:${outside.port}/`, loopback)
      assert.strictEqual(result._tag === "Success" && result.success.status, 307)
      assert.strictEqual(secret.connections(), 0)
    })
  )

  it.live("what_answers_for_ever_or_not_at_all_is_left_alone_after_a_while", () =>
    Effect.gen(function* () {
      const long = yield* house({ status: 200, body: "x".repeat(5_000_000) })
      const result = yield* post(`http://127.0.0.1:${long.port}/`, loopback)
      assert.strictEqual(result._tag === "Success" && result.success.body.length, 65_536)
      const hanging = { resolve: () => new Promise<never>(() => {}), seconds: 0.2 }
      assert.strictEqual(yield* reasonOf("https://hangs.example/", hanging), "Unanswered")
      assert.strictEqual(yield* reasonOf("https://unknown.invalid/"), "Unresolved")
    })
  )

  it.live("kept_connections_serve_the_address_that_was_judged_and_no_other", () =>
    Effect.gen(function* () {
      const there = yield* house({ status: 200, body: "here" })
      const connections = yield* Effect.acquireRelease(
        Effect.sync(() => keepConnections({ idle: 30, free: 4 })),
        ({ close }) => Effect.sync(close)
      )
      const url = `http://stays.example:${there.port}/hook`
      let means = "127.0.0.1"
      const ask = (more: Partial<Outward> = {}) =>
        post(url, { ...loopback, resolve: async () => [means], connections, ...more })
      for (let turn = 0; turn < 5; turn++) assert.strictEqual((yield* ask())._tag, "Success")
      assert.strictEqual(there.connections(), 1)
      assert.deepEqual(new Set(there.seen.map(({ host }) => host)), new Set([`stays.example:${there.port}`]))
      // The name moves inside while a connection to where it was is open.
      means = "10.0.0.1"
      const moved = yield* ask()
      assert.strictEqual(moved._tag === "Failure" && (moved.failure as OutwardError).reason, "Forbidden")
      // To another address that may be asked it is another connection.
      means = "127.0.0.2"
      yield* ask({ seconds: 1 })
      assert.strictEqual(there.seen.length, 5)
      means = "127.0.0.1"
      there.server.closeAllConnections()
      assert.strictEqual((yield* ask())._tag, "Success")
      assert.deepEqual([there.seen.length, there.connections()], [6, 2])
    })
  )
})

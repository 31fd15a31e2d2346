/** An edge and a city that is not always in the mood: what it says, and what becomes of the messages. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { once } from "node:events"
import { type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterEach, beforeEach, expect, test } from "vitest"
import { boot, uptimeMillis } from "./boot.ts"
import { openEdgeLog } from "./EdgeLog.ts"
import { none } from "./Forward.ts"
import { edgeStatus, openEdge } from "./index.ts"

type Answer = (response: ServerResponse, body: string) => void

const ok: Answer = (response) => void response.writeHead(200, { "mahalla-outcome": "stored" }).end()
const status =
  (code: number, body = "", headers = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end(body)

let folder: string
let scope: Scope.Closeable
/** Bodies as they came. */
let bodies: Array<string>
let heard: Array<{ readonly path: string; readonly token: string; readonly values: ReadonlyArray<number> }>
/** What the city says next; then `usual`. */
let answers: Array<Answer>
let usual: Answer
let to: string
let server: ReturnType<typeof createServer>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "mahalla-edge-forward-"))
  writeFileSync(join(folder, "devices.json"), JSON.stringify({ meter: "token-of-the-meter" }))
  scope = Scope.makeUnsafe()
  heard = []
  bodies = []
  answers = []
  usual = ok
  server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (piece: string) => (body += piece))
    request.on("end", () => {
      if (request.method !== "POST") return ok(response, body)
      const values = [...body.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))
      bodies.push(body)
      heard.push({ path: request.url!, token: request.headers.authorization!, values })
      ;(answers.shift() ?? usual)(response, body)
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  to = `http://127.0.0.1:${(server.address() as AddressInfo).port}/t/samarkand`
})
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

const start = async (options: Partial<Parameters<typeof openEdge>[0]> = {}) => {
  const { addresses } = await Effect.runPromise(
    Scope.provide(openEdge({ folder, listen: ["http://127.0.0.1:0"], to, token: "gateway-token", ...options }), scope)
  )
  const url = addresses[0]!
  return {
    url,
    post: async (n: number | string, token = "token-of-the-meter") =>
      fetch(`${url}/api/v1/${token}/telemetry`, {
        method: "POST",
        body: typeof n === "string" ? n : JSON.stringify({ n })
      })
  }
}
const eventually = async (check: () => void | Promise<void>) => {
  for (let left = 300; ; left--) {
    try {
      return await check()
    } catch (error) {
      if (left === 0) throw error
      await new Promise((later) => setTimeout(later, 50))
    }
  }
}
const everyValue = () => heard.flatMap(({ values }) => values)

test("a_message_is_answered_and_goes_to_the_city_with_the_gateways_token", async () => {
  const { post } = await start()
  expect((await post(1)).status).toBe(200)
  await eventually(() =>
    expect(heard).toEqual([{ path: "/t/samarkand/ingest/gateway", token: "Bearer gateway-token", values: [1] }])
  )
  await eventually(async () =>
    expect(await edgeStatus(folder)).toMatchObject({ backlog: 0, cursor: { forwarded: 1, dead: 0 } })
  )
})

test("a_city_that_is_away_or_out_of_order_costs_nothing_and_order_is_kept", async () => {
  answers = [status(503, "", { "retry-after": "1" }), status(500), (response) => response.destroy(), status(302), ok]
  const { post } = await start()
  for (let n = 1; n <= 5; n++) expect((await post(n)).status).toBe(200)
  await eventually(() => expect([...new Set(everyValue())]).toEqual([1, 2, 3, 4, 5]))
  expect(heard.length).toBeGreaterThan(5)
  await eventually(async () =>
    expect((await edgeStatus(folder)).cursor).toMatchObject({ forwarded: 5, dead: 0, trouble: null })
  )
})

test("what_the_city_keeps_as_a_dead_letter_is_not_sent_again_and_another_422_is", async () => {
  const unusable = status(422, JSON.stringify({ type: "urn:mahalla:problem:unusable", detail: "No such device." }))
  answers = [status(422, "<h1>Unprocessable</h1>"), unusable]
  const { post } = await start()
  await post(1)
  await eventually(async () => expect((await edgeStatus(folder)).cursor).toMatchObject({ forwarded: 1, dead: 1 }))
  await post(2)
  await eventually(() => expect(everyValue()).toEqual([1, 1, 2]))
})

test("a_portal_that_answers_everything_with_200_gets_nothing", async () => {
  usual = status(200, "<h1>Welcome, accept our terms</h1>")
  const { post } = await start()
  await post(1)
  await eventually(async () => {
    const { backlog, cursor } = await edgeStatus(folder)
    expect([backlog, cursor.forwarded, cursor.trouble]).toEqual([
      1,
      0,
      expect.stringContaining("is no city of Mahalla")
    ])
  })
  usual = ok
  await eventually(async () => expect((await edgeStatus(folder)).cursor).toMatchObject({ forwarded: 1, trouble: null }))
})

test("a_token_that_was_revoked_is_told_and_the_messages_stay", async () => {
  usual = status(401)
  const { post } = await start()
  await post(1)
  await eventually(async () => {
    const { backlog, cursor } = await edgeStatus(folder)
    expect([backlog, cursor.trouble]).toEqual([1, expect.stringContaining("does not know this gateway's token")])
  })
  usual = ok
  await eventually(async () => expect((await edgeStatus(folder)).backlog).toBe(0))
})

test("who_is_not_on_the_list_is_refused_and_a_new_list_counts_at_once", async () => {
  const { post, url } = await start()
  expect((await post(1, "nobodys-token-at-all")).status).toBe(401)
  writeFileSync(
    join(folder, "devices.json"),
    JSON.stringify({ meter: "token-of-the-meter", other: "nobodys-token-at-all" })
  )
  expect((await post(1, "nobodys-token-at-all")).status).toBe(200)
  // A list that is being written.
  writeFileSync(join(folder, "devices.json"), '{"meter": "token-of')
  expect((await post(2)).status).toBe(200)
  expect((await post("x".repeat(300_000))).status).toBe(413)
  expect((await fetch(`${url}/elsewhere`, { method: "POST" })).status).toBe(404)
})

test("a_device_that_names_another_is_no_gateway_and_a_gateway_may", async () => {
  const plc = { token: "token-of-the-gateway", gateway: true }
  writeFileSync(join(folder, "devices.json"), JSON.stringify({ meter: "token-of-the-meter", plc }))
  const { post } = await start()
  const readings = [{ key: "n", at: 1, value: 1, device: "other" }]
  await post(JSON.stringify({ readings }))
  await post(JSON.stringify({ readings }), plc.token)
  await eventually(async () => expect((await edgeStatus(folder)).cursor.forwarded).toBe(2))
  expect(heard.map(({ path }) => path)).toEqual(["/t/samarkand/ingest/gateway", "/t/samarkand/ingest/readings"])
  expect(bodies.map((body) => JSON.parse(body) as unknown)).toEqual([
    { meter: [expect.stringMatching(/^not-allowed: /)] },
    { readings }
  ])
})

test("a_full_log_says_so_to_the_device_and_goes_on_when_the_city_has_taken_some", async () => {
  usual = status(503)
  const { post } = await start({ limit: 2_000, segmentBytes: 500 })
  let taken = 0
  while ((await post(taken)).status === 200) taken++
  const refused = await post(taken)
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "30"])
  usual = ok
  await eventually(async () => expect((await edgeStatus(folder)).backlog).toBe(0))
  await eventually(async () => expect((await post(taken)).status).toBe(200))
  await eventually(() => expect([...new Set(everyValue())]).toEqual(Array.from({ length: taken + 1 }, (_, n) => n)))
})

test("one_folder_has_one_edge", async () => {
  await start()
  await expect(start()).rejects.toThrow(/Another edge is at work/)
})

test("an_edge_without_a_list_of_devices_says_what_to_do", async () => {
  rmSync(join(folder, "devices.json"))
  await expect(start()).rejects.toThrow(/Write there who may send/)
  const { post } = await start({ open: true })
  expect((await post(1, "any-name")).status).toBe(200)
})

test("a_request_that_hangs_keeps_no_edge_from_its_end", async () => {
  const { url } = await start()
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on("error", () => undefined)
  socket.write("POST /api/v1/token-of-the-meter/telemetry HTTP/1.1\r\nhost: edge\r\ncontent-length: 100\r\n\r\n{")
  await new Promise((later) => setTimeout(later, 200))
  const began = performance.now()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(performance.now() - began).toBeLessThan(10_000)
  scope = Scope.makeUnsafe()
  socket.destroy()
})

test("what_an_edge_left_is_brought_by_the_next_one", async () => {
  usual = status(503)
  const { post } = await start()
  for (let n = 0; n < 3; n++) await post(n)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  heard = []
  usual = ok
  scope = Scope.makeUnsafe()
  const next = await start()
  await next.post(3)
  await eventually(() => expect(everyValue()).toEqual([0, 1, 2, 3]))
  await eventually(async () => expect((await edgeStatus(folder)).backlog).toBe(0))
  expect(readdirSync(folder).filter((name) => name.endsWith(".log")).length).toBeLessThanOrEqual(1)
})

test("an_edge_whose_full_log_the_city_has_already_makes_room_when_it_starts", async () => {
  const log = await openEdgeLog({ folder, limit: 2_000, segmentBytes: 500 })
  const moment = { wall: Date.now(), uptime: uptimeMillis(), boot }
  const payload = Buffer.alloc(1_800, " ")
  await log.append([{ device: "meter", gateway: false, format: "json", receivedAt: 0, payload }], moment)
  await log.close()
  // The note was written, the file not removed any more.
  writeFileSync(join(folder, "cursor.json"), JSON.stringify({ ...none, segment: 1, offset: 1_000_000 }))
  const { post } = await start({ limit: 2_000, segmentBytes: 500 })
  await eventually(async () => expect((await post("x".repeat(300))).status).toBe(200))
})

test("messages_of_a_clock_in_1970_arrive_with_the_right_time_and_with_the_same_when_they_are_sent_again", async () => {
  // Five seconds ago, when the machine had not heard what time it is.
  const log = await openEdgeLog({ folder, limit: 1e6, segmentBytes: 1e6 })
  const moment = { wall: 60_000, uptime: uptimeMillis() - 5_000, boot }
  await log.append(
    [{ device: "meter", gateway: false, format: "json", receivedAt: 60_250, payload: Buffer.from('{"n":1}') }],
    moment
  )
  await log.close()
  const times = () => bodies.map((body) => Number(/"ts":(\d+)/.exec(body)?.[1]))
  usual = status(500)
  await start()
  await eventually(() => expect(bodies.length).toBeGreaterThan(1))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  const [first] = times()
  expect(Math.abs(Date.now() - 4_750 - first!)).toBeLessThan(5_000)
  usual = ok
  scope = Scope.makeUnsafe()
  await start()
  await eventually(async () => expect((await edgeStatus(folder)).backlog).toBe(0))
  expect(new Set(times())).toEqual(new Set([first]))
})

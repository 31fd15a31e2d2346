/** What happens to those who do not read what they are sent, and to those who have signed out: politely, and to nobody else. */
import { get, type IncomingMessage } from "node:http"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { WebSocket } from "ws"
import { type Client, follow, until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { askForUpgrade, openLive, tokenOf } from "./liveSocket.ts"
import { type Meter, meterOf, staffIn } from "./meters.ts"

let kit: CityKit
let base: string
let meter: Meter
let engineer: Client

/** Readings of a batch, and batches: more than sockets hold and the server keeps. */
const size = 400
const batches = 320

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  base = `${kit.url}/t/samarkand`
  meter = await meterOf(kit, "samarkand", "meter")
  engineer = await staffIn(kit, "samarkand", "device-engineer", null)
})
afterAll(() => kit?.close())

const began = Date.now() - 3_600_000
let sent = 0
const flood = async () => {
  for (let batch = 0; batch < batches; batch++) {
    const entries = Array.from({ length: size }, () => ({ ts: began + ++sent, values: { flow: sent } }))
    const answer = await fetch(`${kit.url}/api/v1/${meter.token}/telemetry`, {
      method: "POST",
      body: JSON.stringify(entries)
    })
    expect(answer.status).toBe(200)
  }
}

interface Seen {
  readonly batch: number
  readonly gap?: { readonly after: number; readonly to: number; readonly since: string | null }
}

/** Every batch after the first is the next one, or a gap says which are missing. */
const expectWhole = (seen: ReadonlyArray<Seen>) => {
  let place = seen[0]!.batch
  let gaps = 0
  for (const { batch, gap } of seen.slice(1)) {
    expect(gap === undefined ? batch : gap.after).toBe(gap === undefined ? place + 1 : place)
    if (gap !== undefined) {
      gaps++
      expect(gap.to).toBe(batch)
      expect(Date.parse(gap.since!)).toBeGreaterThan(began)
    }
    place = batch
  }
  return gaps
}

const headNow = async () =>
  Number((await kit.sql<{ head: string }>("select max(number)::text as head from mahalla.reading_batch"))[0]!.head)

test("who_falls_behind_is_told_what_is_missing_and_goes_on_at_the_head_while_others_miss_nothing", async () => {
  const quick = await openLive(base, tokenOf(engineer))
  await quick.subscribe({ id: "a", to: "readings" })
  const slow = new WebSocket(`${base.replace("http", "ws")}/v1/live`, {
    headers: { authorization: engineer.headers["authorization"]! }
  })
  const heard: Array<Seen> = []
  slow.on("message", (data: Buffer) => {
    const { batch, gap } = JSON.parse(data.toString())
    heard.push({ batch: gap?.to ?? batch, gap })
  })
  await new Promise((resolve) => slow.once("open", resolve))
  slow.send(JSON.stringify({ subscribe: { id: "a", to: "readings" } }))
  const feed = await new Promise<IncomingMessage>((resolve) =>
    get(`${base}/v1/readings/live`, { headers: engineer.headers, agent: false }, resolve)
  )
  await until("a beginning", async () => heard.length > 0)
  slow.pause()
  await flood()
  const head = await headNow()
  await until("all for the quick one", async () => quick.heard.at(-1)!.batch === head, 20)
  expect(quick.heard.slice(2).map(({ batch }) => batch)).toEqual(
    Array.from({ length: batches }, (_, place) => head - batches + 1 + place)
  )
  // Both go on.
  slow.resume()
  let text = ""
  feed.on("data", (chunk: Buffer) => (text += chunk.toString()))
  const place = sent
  const more = setInterval(() => void meter.send({ pressure: 1 }), 200)
  const fed = () =>
    text
      .split("\n\n")
      .slice(0, -1)
      .filter((frame) => frame.includes("data:"))
      .map((frame): Seen => {
        const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)))
        return {
          batch: Number(fields["id"]),
          ...(fields["event"] === "gap" ? { gap: JSON.parse(fields["data"]) } : {})
        }
      })
  await until("the slow ones at the head", async () => {
    const now = await headNow()
    return heard.at(-1)!.batch >= now - 1 && (fed().at(-1)?.batch ?? 0) >= now - 1
  })
  clearInterval(more)
  expect(place).toBe(batches * size)
  expect([expectWhole(heard), expectWhole(fed())]).toEqual([1, 1])
  feed.destroy()
  slow.close()
  await quick.close()
})

test.concurrent("who_reads_nothing_for_half_a_minute_is_closed_with_1013", async () => {
  const slow = new WebSocket(`${base.replace("http", "ws")}/v1/live`, {
    headers: { authorization: engineer.headers["authorization"]! }
  })
  await new Promise((resolve) => slow.once("open", resolve))
  slow.send(JSON.stringify({ subscribe: { id: "a", to: "readings", after: "0" } }))
  await new Promise((resolve) => slow.once("message", resolve))
  slow.pause()
  await new Promise((resolve) => setTimeout(resolve, 33_000))
  const closed = new Promise<number>((resolve) => slow.once("close", resolve))
  slow.resume()
  expect(await closed).toBe(1013)
})

test.concurrent("who_has_signed_out_hears_no_more_after_half_a_minute", async () => {
  const local = await staffIn(kit, "samarkand", "device-engineer", null)
  const live = await openLive(base, tokenOf(local))
  await live.subscribe({ id: "a", to: "events" })
  const feed = await follow(local, undefined, "/v1/readings/live")
  expect((await local.post("/v1/auth/sign-out")).status).toBe(204)
  const at = Date.now()
  expect((await live.ended).code).toBe(1008)
  await feed.ended
  expect(Date.now() - at).toBeLessThan(34_000)
})

test.concurrent("whose_filter_nothing_passes_learns_the_place_from_which_to_come_back", async () => {
  const feed = await new Promise<IncomingMessage>((resolve) =>
    get(`${base}/v1/readings/live?keys=pressure`, { headers: engineer.headers, agent: false }, resolve)
  )
  let text = ""
  feed.on("data", (chunk: Buffer) => (text += chunk.toString()))
  await meter.send({ flow: 1 })
  const head = await headNow()
  await until("a word", async () => text.includes("still here"), 20)
  expect(text).toBe(`retry: 2000\n\nid: ${head}\n: still here\n\n`)
  feed.destroy()
})

test.concurrent("who_does_not_answer_two_pings_is_dropped", async () => {
  const { socket } = await askForUpgrade(base, { authorization: engineer.headers["authorization"]! })
  const frames: Array<number> = []
  socket!.on("data", (chunk: Buffer) => frames.push(chunk[0]!))
  const at = Date.now()
  await new Promise((resolve) => socket!.once("close", resolve))
  expect(frames).toContain(0x89)
  expect(Date.now() - at).toBeGreaterThan(38_000)
  expect(Date.now() - at).toBeLessThan(50_000)
})

/** From an accepted violation to a fine and its reward, over HTTP, with an authority in a process of its own that calls back. */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { createServer, request as ask } from "node:http"
import type { AddressInfo } from "node:net"
import { asbt } from "@mahalla/asbt"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, report } from "./cityKit.ts"
import { type Client, makeClient, until } from "./client.ts"
import { detector } from "./isolation/things.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let citizen: Client
let inspector: Client
let treasurer: Client

const metricsToken = "a token of the tests of filings, long enough"

/** Where the world sees the city: known before the city has a port. What came this way is kept. */
const world = createServer((request, response) => {
  const { port } = new URL(kit.url)
  came.push(`${request.method} ${request.url}`)
  const { headers, method, url } = request
  const passed = ask({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  passed.on("error", () => response.destroy())
  request.pipe(passed)
})
const came: Array<string> = []

beforeAll(async () => {
  world.listen(0, "127.0.0.1")
  await once(world, "listening")
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    detector,
    plugins: [asbt({ sandbox: { decide: 15_000 } }, { instance: "asbt" })],
    config: { metricsToken, publicUrl: `http://127.0.0.1:${(world.address() as AddressInfo).port}` }
  })
  citizen = await kit.samarkand.citizen("+998901110001")
  inspector = kit.samarkand.staff.inspector
  treasurer = kit.samarkand.staff.treasurer
})
afterAll(async () => {
  await kit?.close()
  world.close()
})

/** An accepted violation of a citizen's report, and its filing. */
const accepted = async () => {
  const made = await report(citizen)
  const path = `/v1/cases/traffic-report/${made.id}`
  await until("in review", async () => (await inspector.get(path)).body.state === "in-review")
  const { items } = (await inspector.get(`/v1/cases?type=traffic-violation&parent=${made.id}`)).body
  const violation = `/v1/cases/traffic-violation/${items[0].id}`
  const answer = await inspector.post(`${violation}/transitions/accept`, {})
  expect(answer.status).toBe(200)
  const listed = (await inspector.get(`/v1/filings?case=${items[0].id}`)).body.items
  expect(listed).toHaveLength(1)
  return { ...made, violation, caseId: String(items[0].id), filing: String(listed[0].id), accepted: answer.body }
}

const inState = (path: string, state: string) =>
  until(`${path} is ${state}`, async () => {
    const { body } = await inspector.get(path)
    return body.state === state && body
  })
const payoutsOf = async (caseId: string) =>
  (await treasurer.get("/v1/payouts")).body.items.filter((one: { caseId: string }) => one.caseId === caseId)

const addressesOf = (filing: string) =>
  kit.sql<{ payload: Record<string, string> }>(
    "select payload from mahalla.event where type = 'filings.evidence-opened' and payload ->> 'filingId' = $1",
    [filing]
  )

describe("an accepted violation", () => {
  test("is_filed_fined_called_back_and_only_then_rewarded", async () => {
    const one = await accepted()
    expect(one.accepted).toMatchObject({ state: "accepted", data: { fine: 68_000_000 } })
    expect(one.accepted.data.reward).toBeUndefined()
    await inState(`/v1/filings/${one.filing}`, "filed")
    expect(await payoutsOf(one.caseId)).toEqual([])
    const filing = await inState(`/v1/filings/${one.filing}`, "decided")
    expect(filing).toMatchObject({ verdict: "fined", authority: "asbt", byHand: false, nextAt: null })
    expect(filing.reference).toMatch(/^ASBT-\d{8}\/1$/)
    const violation = await inState(one.violation, "rewarded")
    expect(violation.data).toMatchObject({ fine: 68_000_000, reward: 10_200_000, decision: filing.reference })
    expect(await payoutsOf(one.caseId)).toMatchObject([{ state: "succeeded", amount: "10200000" }])
    expect(came).toContain("POST /v1/callbacks/asbt")
    const told = await kit.sql<{ type: string }>(
      "select type from mahalla.event where case_id = $1 and type ~ '^(filings|traffic-violation|payouts)' order by id",
      [one.caseId]
    )
    expect(told.map(({ type }) => type).filter((type) => type !== "filings.unknown")).toEqual([
      "traffic-violation.created",
      "filings.queued",
      "traffic-violation.accepted",
      "filings.filed",
      "filings.decided",
      "payouts.requested",
      "traffic-violation.fined",
      "payouts.succeeded",
      "traffic-violation.rewarded"
    ])
  })

  test("that_the_authority_dismisses_by_letter_earns_nothing", async () => {
    const one = await accepted()
    await inState(`/v1/filings/${one.filing}`, "filed")
    const path = `/v1/filings/${one.filing}/settlement`
    expectProblem("a citizen's", await citizen.post(path, { verdict: "fined", reason: "Mine" }), {
      status: 403,
      type: "forbidden"
    })
    const wrong = await inspector.post(path, { verdict: "dismissed", fine: "100", reason: "Letter of today" })
    expect(wrong.body.errors).toMatchObject([{ pointer: "/fine" }])
    const settled = await inspector.post(path, { verdict: "dismissed", reference: "L-7", reason: "Letter of today" })
    expect(settled.body).toMatchObject({ state: "decided", verdict: "dismissed", reference: "L-7", byHand: true })
    const violation = await inState(one.violation, "dismissed")
    expect(violation.data).toMatchObject({ decision: "L-7" })
    expect((await inspector.post(path, { verdict: "fined", reason: "Again" })).status).toBe(422)
    expect(await payoutsOf(one.caseId)).toEqual([])
  })

  test("is_rewarded_by_the_fine_that_was_imposed", async () => {
    const one = await accepted()
    await inState(`/v1/filings/${one.filing}`, "filed")
    const word = { verdict: "fined", fine: "34000000", reason: "Letter of today" }
    await inspector.post(`/v1/filings/${one.filing}/settlement`, word)
    const violation = await inState(one.violation, "rewarded")
    expect(violation.data).toMatchObject({ fine: 34_000_000, reward: 5_100_000 })
  })
})

describe("the evidence of a filing", () => {
  /** Addresses as the authority was given them: signed anew by whoever knows the city's keys, which is the city alone. */
  const linkOf = async (filing: string, attachment: string) => {
    const text = await sentTo(filing)
    const url = text.evidence[0]!.url
    expect(url).toContain(`/v1/filings/${filing}/evidence/${attachment}?`)
    return new URL(url)
  }
  const sentTo = async (filing: string) => {
    const { readFileSync } = await import("node:fs")
    const lines = readFileSync(`${kit.home}/plugins/asbt/filings.ndjson`, "utf8").split("\n")
    const line = lines.find((one) => one.includes(`"filed"`) && one.includes(filing))!
    return (JSON.parse(line) as { sent: { evidence: ReadonlyArray<{ url: string; sha256: string }> } }).sent
  }

  test("is_fetched_without_an_account_until_the_address_is_changed_expires_or_is_revoked", async () => {
    const one = await accepted()
    await inState(`/v1/filings/${one.filing}`, "filed")
    const url = await linkOf(one.filing, one.attachment)
    const got = await fetch(url)
    const bytes = Buffer.from(await got.arrayBuffer())
    const [{ sha256 } = { sha256: "" }] = (await sentTo(one.filing)).evidence
    expect([got.status, createHash("sha256").update(bytes).digest("hex")]).toEqual([200, sha256])
    expect(got.headers.get("cache-control")).toBe("private, no-store")
    const part = await fetch(url, { headers: { range: "bytes=0-3" } })
    expect([part.status, (await part.arrayBuffer()).byteLength]).toEqual([206, 4])
    expect(await addressesOf(one.filing)).toEqual([{ payload: { filingId: one.filing, attachmentId: one.attachment } }])
    const changed = (change: (other: URL) => void) => {
      const other = new URL(url)
      change(other)
      return fetch(other).then(({ status }) => status)
    }
    expect(await changed((other) => other.searchParams.set("expires", "4102444800"))).toBe(404)
    expect(await changed((other) => other.searchParams.set("signature", "A".repeat(43)))).toBe(404)
    expect(await changed((other) => (other.pathname = other.pathname.replace("samarkand", "bukhara")))).toBe(404)
    expect(await changed((other) => other.searchParams.delete("signature"))).toBe(400)
    const another = await report(citizen)
    expect(
      await changed((other) => (other.pathname = other.pathname.replace(one.attachment, another.attachment)))
    ).toBe(404)
    expect((await citizen.call("DELETE", `/v1/filings/${one.filing}/evidence`)).status).toBe(403)
    expect((await inspector.call("DELETE", `/v1/filings/${one.filing}/evidence`)).status).toBe(204)
    expect((await fetch(url)).status).toBe(404)
  })
})

describe("the list of filings", () => {
  test("is_for_staff_in_pages_and_by_state", async () => {
    const first = await inspector.get("/v1/filings?limit=2")
    expect(first.body.items).toHaveLength(2)
    const second = await inspector.get(`/v1/filings?limit=2&cursor=${first.body.cursor}`)
    const ids = [...first.body.items, ...second.body.items].map(({ id }: { id: string }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toEqual(ids.toSorted().toReversed())
    const decided = (await treasurer.get("/v1/filings?state=decided")).body.items
    expect(decided.length).toBeGreaterThan(0)
    expect(decided.every(({ state }: { state: string }) => state === "decided")).toBe(true)
    expect((await inspector.get("/v1/filings?authority=nobody")).body.items).toEqual([])
    for (const client of [citizen, kit.samarkand.visitor]) expect((await client.get("/v1/filings")).status).toBe(403)
    expect((await kit.bukhara.staff.inspector.get("/v1/filings")).body.items).toEqual([])
    expectProblem("another city's", await kit.bukhara.staff.inspector.get(`/v1/filings/${ids[0]}`), {
      status: 404,
      type: "not-found"
    })
    const none = await kit.bukhara.staff.inspector.post(`/v1/filings/${ids[0]}/inquiry`)
    expect(none.status).toBe(404)
    expect((await treasurer.post(`/v1/filings/${decided[0].id}/inquiry`)).status).toBe(403)
  })

  test("says_how_each_authority_is", async () => {
    const { body } = await inspector.get("/v1/authorities")
    expect(body.items).toMatchObject([{ id: "asbt", kinds: ["traffic-violation"], circuit: "closed" }])
    const { body: plugins } = await kit.samarkand.staff.auditor.get("/v1/plugins")
    expect(plugins.items.find(({ instance }: { instance: string }) => instance === "asbt")).toMatchObject({
      status: "up"
    })
    const metrics = await makeClient(kit.url).get("/metrics", { authorization: `Bearer ${metricsToken}` })
    expect(metrics.text).toContain('mahalla_authority_circuit{authority="asbt"} 0')
  })
})

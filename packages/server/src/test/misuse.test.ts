/** What people could do to a city on purpose or by being quick: each was possible once. */
import { request as httpRequest } from "node:http"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, picture, report } from "./cityKit.ts"
import { type Client, follow, until, upload } from "./client.ts"

let kit: CityKit
const places = 12

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    config: {
      maxInFlight: places,
      trustedProxies: ["127.0.0.1", "::1"],
      login: async ({ headers, tenant }) =>
        headers["authorization"] === "Bearer token-of-the-app" && tenant === "samarkand"
          ? { externalId: "somebody-of-the-app" }
          : null,
      roles: [{ id: "personnel", title: "Personnel", permissions: ["role.grant", "principal.read", "finding.read"] }]
    }
  })
})
afterAll(() => kit?.close())

const reviewed = async (citizen: Client) => {
  const { id } = await report(citizen)
  await until("the report in review", async () => (await stateOf(citizen, id)) === "in-review")
  return id
}
const stateOf = async (client: Client, id: string) =>
  (await client.get(`/v1/cases/traffic-report/${id}`)).body.state as string
const violationsOf = async (client: Client, id: string) =>
  (await client.get(`/v1/cases?type=traffic-violation&parent=${id}`)).body.items as ReadonlyArray<{ id: string }>
const decide = (client: Client, id: string, transition: string, input: object) =>
  client.post(`/v1/cases/traffic-violation/${id}/transitions/${transition}`, input)

describe("misuse", () => {
  test("a report is decided when its last violations are decided in the same moment", async () => {
    const { samarkand: city } = kit
    const { inspector } = city.staff
    const id = await reviewed(await city.citizen("+998901110001"))
    for (let more = 0; more < 5; more++)
      await inspector.post(`/v1/cases/traffic-report/${id}/transitions/add-violation`, { offence: "red-light" })
    const violations = await violationsOf(inspector, id)
    expect(violations).toHaveLength(6)
    const answers = await Promise.all(
      violations.map((violation) => decide(inspector, violation.id, "reject", { reason: "Not to be seen." }))
    )
    expect(answers.map(({ status }) => status)).toEqual(violations.map(() => 200))
    await until("the report decided", async () => (await stateOf(inspector, id)) === "decided", 20)
  })

  test("a violation of a report that was taken back is not rewarded", async () => {
    const { samarkand: city } = kit
    const citizen = await city.citizen("+998901110002")
    const id = await reviewed(citizen)
    const [violation] = await violationsOf(city.staff.inspector, id)
    const withdrawn = await citizen.post(`/v1/cases/traffic-report/${id}/transitions/withdraw`)
    expect(withdrawn.status).toBe(200)
    const accepted = await decide(city.staff.inspector, violation!.id, "accept", { plate: "01A777AA" })
    expect([accepted.status, accepted.body.code]).toEqual([422, "report-not-in-review"])
    expect(await kit.sql("select id from mahalla.payout where case_id = $1", [violation!.id])).toEqual([])
    const rejected = await decide(city.staff.inspector, violation!.id, "reject", { reason: "It was taken back." })
    expect(rejected.status).toBe(200)
  })

  test("a language that no text has stops nobody's messages", async () => {
    const { samarkand: city } = kit
    const citizen = await city.citizen("+998901110003")
    expect((await citizen.call("PATCH", "/v1/me", { body: { language: "constructor" } })).status).toBe(400)
    expect((await citizen.call("PATCH", "/v1/me", { body: { language: "uz-Cyrl-UZ" } })).status).toBe(200)
    // As an older version let it be stored.
    await kit.sql("update mahalla.principal set language = 'constructor' where id = $1", [citizen.id])
    const { id } = await report(citizen)
    const texts = await until("a message", async () => {
      const found = await kit.sql<{ text: string }>("select text from mahalla.message where case_id = $1", [id])
      return found.length > 0 ? found.map(({ text }) => text) : undefined
    })
    // The next message may be there already, and no table keeps an order.
    // The city's own language then.
    expect(texts).toContainEqual(expect.stringMatching(/ qabul qilindi\.$/))
  })

  test("a report takes no more files than its type says, and a late one gets its copies", async () => {
    const { samarkand: city } = kit
    const citizen = await city.citizen("+998901110009")
    const id = await reviewed(citizen)
    const files = async () =>
      (await citizen.get(`/v1/cases/traffic-report/${id}/attachments`)).body.items as ReadonlyArray<{
        role: string
        kind: string
      }>
    const late = await Promise.all(
      Array.from({ length: 12 }, (_, n) => upload(citizen, picture(), `late-${n}.jpg`, "image/jpeg", id))
    )
    expect(late.map(({ answer }) => answer.status).toSorted((a, b) => a - b)).toEqual([
      ...Array.from({ length: 9 }, () => 201),
      ...Array.from({ length: 3 }, () => 409)
    ])
    await until(
      "a poster of each",
      async () => (await files()).filter(({ kind }) => kind === "poster").length === 10,
      60
    )
    expect((await files()).filter(({ role }) => role === "original")).toHaveLength(10)
  })

  test("visitors without an account begin so much from one address, and citizens are not hindered by it", async () => {
    const { samarkand: city } = kit
    const from = { "x-forwarded-for": "2001:db8:1:2::7" }
    const begin = (headers: Record<string, string>) =>
      city.visitor.call("POST", "/v1/uploads", {
        headers: { "tus-resumable": "1.0.0", "upload-length": "10", ...headers }
      })
    const create = (headers: Record<string, string>) =>
      city.visitor.post("/v1/cases/traffic-report", { data: {} }, headers)
    for (const send of [begin, create]) {
      const statuses: Array<number> = []
      for (let n = 0; n < 70; n++) statuses.push((await send(from)).status)
      expect(statuses.filter((status) => status === 429)).toHaveLength(10)
      const refused = await send({ "x-forwarded-for": "2001:db8:1:2:ffff::1" })
      expect([refused.status, Number(refused.headers.get("retry-after")) > 0]).toEqual([429, true])
      expect((await send({ "x-forwarded-for": "2001:db8:1:3::1" })).status).not.toBe(429)
    }
    expect((await report(await city.citizen("+998901110010"))).id).toBeDefined()
  })

  test("who may give roles gives none that is more than their own", async () => {
    const { samarkand: city } = kit
    const clerk = await city.staffMember(["personnel"])
    const other = await city.staffMember([])
    const grant = (id: string, role: string) => clerk.post(`/v1/principals/${id}/grants`, { role })
    expect((await grant(clerk.id, "municipality-admin")).status).toBe(403)
    expect((await grant(other.id, "inspector")).status).toBe(403)
    expect((await grant(other.id, "personnel")).status).toBe(201)
    const admin = city.staff["municipality-admin"]
    const { body } = await admin.get(`/v1/principals/${admin.id}`)
    const taken = await clerk.call("DELETE", `/v1/principals/${admin.id}/grants/${body.grants[0].id}`)
    expect(taken.status).toBe(403)
    expect((await admin.post(`/v1/principals/${other.id}/grants`, { role: "inspector" })).status).toBe(201)
  })

  test("a transition named like a member of every object is not found", async () => {
    const { samarkand: city } = kit
    const citizen = await city.citizen("+998901110004")
    const { id } = await report(citizen)
    for (const name of ["constructor", "toString", "__proto__"]) {
      const answer = await city.staff["municipality-admin"].post(`/v1/cases/traffic-report/${id}/transitions/${name}`)
      expect([name, answer.status]).toEqual([name, 404])
    }
  })

  test("the owner's live feed tells nothing that the timeline keeps from them", async () => {
    const { samarkand: city } = kit
    const citizen = await city.citizen("+998901110005")
    const [{ position }] = (await kit.sql<{ position: string }>(
      "select position from mahalla.event_head where tenant_id = $1",
      [city.id]
    )) as [{ position: string }]
    const id = await reviewed(citizen)
    const { inspector } = city.staff
    const path = `/v1/cases/traffic-report/${id}`
    await inspector.post(`${path}/claim`, {})
    await inspector.post(`${path}/comments`, { text: "Known to us.", visibility: "internal" })
    await inspector.call("DELETE", `${path}/claim`)
    await inspector.post(`${path}/comments`, { text: "Thank you." })
    const [mine, staffs] = [await follow(citizen, position), await follow(inspector, position)]
    const types = (feed: typeof mine) => feed.seen.filter(({ data }) => data.case?.id === id).map(({ event }) => event)
    const both = (type: string) => type === "case.commented"
    await until("both feeds", async () => types(mine).some(both) && types(staffs).filter(both).length === 2)
    await Promise.all([mine.stop(), staffs.stop()])
    expect(types(staffs).filter((type) => type.startsWith("case."))).toEqual([
      "case.claimed",
      "case.commented",
      "case.claim-released",
      "case.commented"
    ])
    expect(types(mine).filter((type) => type.startsWith("case."))).toEqual(["case.commented"])
  })

  test("a token of the host's own login is taken for what it is, in the city that it is for", async () => {
    const ask = (visitor: Client) => visitor.with({ authorization: "Bearer token-of-the-app" }).get("/v1/me")
    const here = await ask(kit.samarkand.visitor)
    expect([here.status, here.body.kind]).toEqual([200, "person"])
    expect((await ask(kit.bukhara.visitor)).status).toBe(401)
  })

  test("an upload goes on at the address that it was given, among several cities", async () => {
    const citizen = await kit.bukhara.citizen("+998901110006")
    const begun = await citizen.call("POST", "/v1/uploads", {
      headers: { "tus-resumable": "1.0.0", "upload-length": "10" }
    })
    const address = new URL(begun.headers.get("location")!, citizen.base)
    const asked = await fetch(address, { method: "HEAD", headers: { ...citizen.headers, "tus-resumable": "1.0.0" } })
    expect([asked.status, asked.headers.get("upload-offset")]).toEqual([200, "0"])
    const { made } = await report(citizen)
    const seen = await fetch(new URL(made.headers.get("location")!, citizen.base), { headers: citizen.headers })
    expect(seen.status).toBe(200)
  })

  test("uploads that never end leave the rest of the city its places", async () => {
    const { samarkand: city } = kit
    const { port } = new URL(kit.url)
    const hanging = Array.from({ length: places + 4 }, () =>
      httpRequest({
        port,
        method: "POST",
        path: `/t/${city.slug}/v1/uploads`,
        headers: {
          "tus-resumable": "1.0.0",
          "upload-length": "1000000",
          "content-type": "application/offset+octet-stream",
          "content-length": "1000000"
        }
      })
    )
    for (const sent of hanging) {
      sent.on("error", () => {})
      sent.write("a few bytes")
    }
    try {
      await until(
        "all places of uploads taken",
        async () => {
          const answer = await city.visitor.call("OPTIONS", "/v1/uploads", { headers: { "tus-resumable": "1.0.0" } })
          return answer.status === 503
        },
        20
      )
      expect((await city.visitor.get("/v1/offences")).status).toBe(200)
    } finally {
      for (const sent of hanging) sent.destroy()
    }
  })

  test("bodies that never end are not waited for, at the doors of apps neither", { timeout: 60_000 }, async () => {
    const { samarkand: city } = kit
    const { port } = new URL(kit.url)
    const hang = (path: string, type: string) =>
      new Promise<number>((resolve) => {
        const headers = { "content-type": type, "content-length": "1000" }
        const sent = httpRequest({ port, method: "POST", path: `/t/${city.slug}${path}`, headers })
        sent.on("error", () => resolve(0)).on("response", (answer) => resolve(answer.statusCode ?? 0))
        sent.write("{")
      })
    const json = hang("/v1/auth/code", "application/json")
    const form = "application/x-www-form-urlencoded"
    const hanging = Array.from({ length: places }, () => hang("/oauth/token", form))
    const discovery = () => city.visitor.get("/oauth/.well-known/openid-configuration")
    // One more for each that came while somebody looked.
    await until("all places at the doors of apps taken", async () => {
      if ((await discovery()).status === 503) return true
      hanging.push(hang("/oauth/token", form))
      return false
    })
    // The router's connection may be gone before its answer is read.
    expect([0, 408]).toContain(await json)
    expect((await Promise.all(hanging)).filter((status) => status !== 408 && status !== 503)).toEqual([])
    expect((await discovery()).status).toBe(200)
  })
})

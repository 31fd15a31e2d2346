/**
 * Attack case 39: what people tell a city in confidence is marked, the main ways through it are gone, also where they fail, and the marks
 * are looked for in everything that a stranger might get hold of: a dump of the database, the logs, the bodies of refusals.
 */
import { readFileSync } from "node:fs"
import { requestReward } from "@mahalla/core"
import { apiVersion, definePlugin, Payments, type Plugin } from "@mahalla/core/plugin"
import { memoryPayments } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest"
import { type Answer, type Client, makeClient, newKey, until } from "./client.ts"
import { type CityKit, openCityKit, report, wrapped } from "./cityKit.ts"
import { dump, places } from "./dump.ts"

const phone = "+998907771177"
const stranger = "+998907772288"
const nationalId = "31907771234567"
const staffName = "Farruxbek Belgilangan"

/** A rail that says to whom it would not pay. */
const talkative = (): Plugin =>
  wrapped(
    definePlugin({
      id: "talkative-payments",
      apiVersion,
      config: Schema.Struct({}),
      provides: [Payments],
      layer: () => memoryPayments()
    })({}),
    Payments,
    (rail) => ({
      ...rail,
      pay: ({ payee }) =>
        Effect.succeed({
          state: "failed" as const,
          code: "no-such",
          message: `${payee.value} is not one of our numbers`
        })
    })
  )

let kit: CityKit
let logged = ""
const refusals: Array<string> = []
const marks: Array<string> = []
/** Without the plus: so it would stand in an address or after a prefix was cut. */
const bare = (number: string) => number.slice(1)

const tell = (answer: Answer) => {
  if (answer.status >= 400) refusals.push(answer.text)
  return answer
}

beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    logged += String(chunk)
    return true
  })
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    payments: talkative(),
    config: { logFormat: "json", logLevel: "Debug" }
  })
})
afterAll(async () => {
  await kit?.close()
  vi.restoreAllMocks()
})

const codeOf = async (of: string) => {
  const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(of)}`)
  return /\b\d{6}\b/.exec(String(outbox.body.items.findLast((one: { class: string }) => one.class === "code").text))![0]
}

describe("a dump, the logs and refusals hold nothing that was told in confidence", () => {
  let citizen: Client & { readonly id: string }

  test("after_signing_in_right_and_wrong", async () => {
    const client = makeClient(`${kit.url}/t/samarkand`)
    expect(tell(await client.post("/v1/auth/code", { phone })).status).toBe(202)
    const code = await codeOf(phone)
    tell(await client.post("/v1/auth/session", { phone, code: code === "000001" ? "000002" : "000001" }))
    tell(await client.post("/v1/auth/session", { phone: nationalId, code }))
    tell(await client.post("/v1/auth/session", { phone, code: `${code}x` }))
    tell(await client.get(`/v1/outbox?to=${encodeURIComponent(phone)}`))
    tell(await client.get(`/v1/${bare(phone)}`))
    const { body } = tell(await client.post("/v1/auth/session", { phone, code }))
    tell(await client.post("/v1/auth/session", { phone, code }))
    tell(await client.post("/v1/auth/code", { phone: stranger }))
    const strange = await codeOf(stranger)
    const token = String(body.accessToken)
    citizen = { ...client.with({ authorization: `Bearer ${token}` }), id: String(body.principalId) }
    tell(await client.with({ authorization: `Bearer ${token}x` }).get("/v1/me"))
    tell(await client.with({ authorization: `Bearer ${token}` }).get("/v1/event-log"))
    marks.push(bare(phone), bare(stranger), nationalId, token, ` ${code} `, `"${code}"`, ` ${strange} `, `"${strange}"`)
  })

  test("after_a_profile_a_report_its_repetition_and_a_payout_that_failed", async () => {
    tell(await citizen.call("PATCH", "/v1/me", { body: { name: `${nationalId} Mashrabov` } }))
    const admin = kit.samarkand.staff["municipality-admin"]
    const key = newKey()
    const made = tell(await admin.post("/v1/principals", { name: staffName }, { "idempotency-key": key }))
    const again = await admin.post("/v1/principals", { name: staffName }, { "idempotency-key": key })
    expect([again.status, again.body]).toEqual([201, made.body])
    expect(made.body.name).toBe(staffName)
    tell(await admin.post("/v1/principals", { name: `${staffName} II` }, { "idempotency-key": key }))
    // Found again by a part of the name, though it is nowhere to be read.
    const found = await admin.get("/v1/principals?q=farruxbek")
    expect(found.body.items.map((one: { id: string }) => one.id)).toEqual([made.body.id])
    marks.push("Mashrabov", staffName)

    const { id: caseId } = await report(citizen)
    await kit.city
      .as({ tenant: "samarkand", principal: "system" })
      .run(requestReward({ caseId, principalId: citizen.id, amount: 100n, rule: "share-of-fine" }))
    await until("the payout has failed", async () => {
      const { body } = await citizen.get("/v1/payouts")
      return body.items[0]?.state === "failed" && body.items[0].payee === `…${phone.slice(-2)}`
    })
    const [payout] = await kit.sql<{ detail: string }>("select detail from mahalla.payout where principal_id = $1", [
      citizen.id
    ])
    expect(payout!.detail).toBe("no-such: <…77> is not one of our numbers")
    // A job that breaks on a value, and keeps its error.
    await kit.sql(
      "insert into mahalla.job (tenant_id, id, topic, body, max_attempts) values ($1, gen_random_uuid(), 'payouts.pay', '{\"payoutId\": 7}', 1)",
      [kit.samarkand.id]
    )
    await until("it is dead", async () => (await kit.sql("select from mahalla.job where state = 'dead'")).length > 0)
    tell(await citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": "000000" } }))
    expect((await citizen.get("/v1/me")).body).toMatchObject({ name: `${nationalId} Mashrabov`, phone: "…77" })
  })

  test("nowhere_is_a_mark", async () => {
    expect(marks.length).toBeGreaterThan(8)
    const texts = new Map([
      ...(await dump(kit.sql)),
      ["the logs", logged],
      ["refusals", refusals.join("\n")],
      ["checkpoints", readFileSync(`${kit.home}/checkpoints/${kit.samarkand.id}.checkpoints`, "utf8")],
      ["metrics", (await makeClient(kit.url).get("/metrics")).text],
      ["cases as CSV", (await kit.samarkand.staff.inspector.get("/v1/cases.csv")).text],
      ["the log's export", (await kit.samarkand.staff.auditor.get("/v1/audit/export")).text]
    ])
    expect(places(texts, marks)).toEqual([])
    // And it was looked for where something is.
    expect(refusals.length).toBeGreaterThan(6)
    expect(logged).toContain('"message":"request"')
    for (const table of ["principal", "event_personal", "idempotency_key", "payout", "message", "event_order", "job"])
      expect([table, (texts.get(table) ?? "").length > 0]).toEqual([table, true])
    const found = places(new Map([["a row", `(x,${bare(phone)})`]]), marks)
    expect(found).toEqual([`a row: ${bare(phone)}`])
  })
})

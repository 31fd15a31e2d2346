/** The whole chain in dev, with nothing real but the photograph: reported, accepted, filed, fined, rewarded. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type City, createCity, issueLink } from "@mahalla/core"
import { freshDatabase } from "@mahalla/core/testing"
import { environmentOf, serve } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, expect, inject, it } from "vitest"
import config from "../mahalla.config.ts"
import { demo } from "./demo.ts"

const scope = Scope.makeUnsafe()
const phone = "+998901234599"
let home: string
let city: City
let serving: Awaited<ReturnType<typeof serve>>

beforeAll(async () => {
  const { owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-chain-"))
  const { demo: _, ...deployment } = config(environmentOf({ DATABASE_URL: Redacted.value(owner) }, "dev"))
  city = createCity({ ...deployment, home, mode: "dev", logLevel: "Error" })
  await city.start()
  await demo.seed(city)
  serving = await serve(city, { port: 0, host: "127.0.0.1" })
})
afterAll(async () => {
  await serving?.close(2_000)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
type Body = any

const ask = async (method: string, path: string, given: { token?: string; body?: object } = {}): Promise<Body> => {
  const response = await fetch(`http://127.0.0.1:${serving.port}/t/${demo.tenant}${path}`, {
    method,
    headers: {
      ...(given.body === undefined ? {} : { "content-type": "application/json" }),
      ...(given.token === undefined ? {} : { authorization: `Bearer ${given.token}` })
    },
    ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) })
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === "" ? undefined : JSON.parse(text)
}

const until = async (what: string, look: () => Promise<Body>): Promise<Body> => {
  const end = performance.now() + 150_000
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}`)
    await new Promise((done) => setTimeout(done, 200))
  }
}

const member = async (role: string): Promise<string> => {
  const [person] = await city.admin.staffWithRole(demo.tenant, role)
  const token = await city.admin.run(demo.tenant, issueLink(person!.id))
  return (await ask("POST", "/v1/auth/link", { body: { token } })).accessToken
}

const upload = async (token: string): Promise<string> => {
  const bytes = readFileSync(new URL("../../../docs/images/demo.png", import.meta.url))
  const base64 = (text: string) => Buffer.from(text).toString("base64")
  const response = await fetch(`http://127.0.0.1:${serving.port}/t/${demo.tenant}/v1/uploads`, {
    method: "POST",
    body: bytes,
    headers: {
      authorization: `Bearer ${token}`,
      "tus-resumable": "1.0.0",
      "upload-length": String(bytes.length),
      "upload-metadata": `filename ${base64("seen.png")},filetype ${base64("image/png")}`,
      "content-type": "application/offset+octet-stream"
    }
  })
  expect(response.status).toBe(201)
  return response.headers.get("location")!.split("/").at(-1)!
}

it("rewards_a_citizen_when_the_authority_has_fined_and_not_before", async () => {
  const admin = await member("municipality-admin")
  const inspector = await member("inspector")
  await ask("POST", "/v1/auth/code", { body: { phone } })
  const { items } = await ask("GET", `/v1/outbox?to=${encodeURIComponent(phone)}`, { token: admin })
  const code = /\b\d{6}\b/.exec(items.at(-1).text)![0]
  const { accessToken: citizen } = await ask("POST", "/v1/auth/session", { body: { phone, code } })
  const report = await ask("POST", "/v1/cases/traffic-report", {
    token: citizen,
    body: {
      data: { offence: demo.offence, occurredAt: new Date(Date.now() - 60_000).toISOString(), plate: "01A777AA" },
      place: demo.place,
      attachments: [await upload(citizen)]
    }
  })
  const at = `/v1/cases/traffic-report/${report.id}`
  await until("review", async () => (await ask("GET", at, { token: inspector })).state === "in-review")
  const violations = () => ask("GET", `/v1/cases?type=traffic-violation&parent=${report.id}`, { token: inspector })
  if ((await violations()).items.length === 0)
    await ask("POST", `${at}/transitions/add-violation`, {
      token: inspector,
      body: { offence: demo.offence, plate: "01A777AA" }
    })
  const [{ id }] = (await violations()).items
  const violation = `/v1/cases/traffic-violation/${id}`
  await ask("POST", `${violation}/transitions/accept`, { token: inspector, body: { plate: "01A777AA" } })
  const filing = () => ask("GET", `/v1/filings?case=${id}`, { token: inspector }).then(({ items: [one] }: Body) => one)
  const payouts = async () => (await ask("GET", "/v1/payouts", { token: citizen })).items
  expect(await filing()).toMatchObject({ authority: "@mahalla/asbt", kind: "traffic-violation" })
  expect(await payouts()).toEqual([])
  await until("a fine", async () => (await filing()).state === "decided")
  expect(await filing()).toMatchObject({ verdict: "fined", byHand: false })
  const rewarded = await until("a reward", async () => {
    const now = await ask("GET", violation, { token: citizen })
    return now.state === "rewarded" && now
  })
  expect(rewarded.data).toMatchObject({ fine: 68_000_000, reward: 10_200_000 })
  expect(await payouts()).toMatchObject([{ state: "succeeded", amount: "10200000" }])
})

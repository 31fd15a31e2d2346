/** The example as a whole: two municipalities, a fleet in each at the same time, and neither sees the other's. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type City, createCity, issueLink } from "@mahalla/core"
import { freshDatabase } from "@mahalla/core/testing"
import { type ConfigFile, environmentOf, serve, type Serving } from "@mahalla/server"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest"
import { waterCities } from "./data.ts"
import { demo } from "./demo.ts"

const scope = Scope.makeUnsafe()
let home: string
let city: City
let serving: Serving
let broker: string

beforeAll(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  process.env["MQTT_PORT"] = String(port)
  broker = `mqtt://127.0.0.1:${port}`
  const { owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-water-"))
  const config = ((await import("../mahalla.config.ts")) as { readonly default: ConfigFile }).default
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

const tokenOf = async (slug: string) => {
  const [admin] = await city.admin.staffWithRole(slug, "municipality-admin")
  const answer = await fetch(`${serving.url}/t/${slug}/v1/auth/link`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: await city.admin.run(slug, issueLink(admin!.id)) })
  })
  return ((await answer.json()) as { readonly accessToken: string }).accessToken
}

const simulate = (slug: string, token: string, ...more: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly said: string }>((resolve) => {
    const main = join(import.meta.dirname, "../../../packages/cli/src/main.ts")
    const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
    const child = spawn(
      process.execPath,
      [...flags, main, "simulate", "--url", serving.url, "--tenant", slug, "--token", token, "--check", ...more],
      { stdio: ["ignore", "pipe", "pipe"] }
    )
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.once("close", (code) => resolve({ code, said }))
  })

const get = async (slug: string, token: string, path: string) => {
  const answer = await fetch(`${serving.url}/t/${slug}${path}`, { headers: { authorization: `Bearer ${token}` } })
  return { status: answer.status, body: (await answer.json()) as Readonly<Record<string, unknown>> }
}

test("is_whole_also_when_it_is_put_in_place_again", async () => {
  await demo.seed(city)
  for (const { devices, slug, zones } of waterCities) {
    const token = await tokenOf(slug)
    const watched = await get(slug, token, "/v1/hydraulic-zones")
    expect(watched.body["items"]).toMatchObject(
      zones.map(({ inflows, name, pressures }) => ({ name, sensors: inflows.length + pressures.length, nights: 0 }))
    )
    const { body } = await get(slug, token, "/v1/devices?limit=200")
    const names = (body["items"] as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)
    expect(names.toSorted()).toEqual(devices.map(({ name }) => name).toSorted())
  }
})

test("a_burst_at_a_meter_goes_from_its_message_to_a_resolved_incident", async () => {
  const { slug } = waterCities[0]!
  const token = await tokenOf(slug)
  const call = async (path: string, body?: object) => {
    const answer = await fetch(`${serving.url}/t/${slug}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    expect([path, answer.ok]).toEqual([path, true])
    return JSON.parse((await answer.text()) || "{}") as Record<string, never> & {
      readonly id: string
      readonly state: string
      readonly items: ReadonlyArray<Readonly<Record<string, never>>>
    }
  }
  const rules = (await call("/v1/rules")).items.map(({ id }) => id)
  expect(rules).toEqual(["burst", "low-battery", "low-pressure", "night-flow", "silent-meter"])
  const [meter] = (await call("/v1/devices?q=J33-meter")).items
  expect(meter!["assetId"]).toEqual(expect.any(String))
  const { token: credential } = await call(`/v1/devices/${meter!["id"]}/credentials`, { credential: { kind: "token" } })
  for (const [minutes, values] of [
    [2, { pressure: 4.1, flow: 20, battery: 80 }],
    [1, { pressure: 3.4, flow: 31, battery: 80 }]
  ] as const) {
    const answer = await fetch(`${serving.url}/api/v1/${credential}/telemetry`, {
      method: "POST",
      body: JSON.stringify({ ts: Date.now() - minutes * 60_000, values })
    })
    expect(answer.status).toBe(200)
  }
  const alert = await vi.waitUntil(async () => (await call("/v1/alerts?rule=burst")).items[0], 20_000)
  expect(alert["data"]).toMatchObject({ severity: "critical", status: "ACTIVE_UNACK", originatorName: "J33-meter" })
  await call(`/v1/cases/alert/${alert["id"]}/transitions/acknowledge`, {})
  const { id } = await call("/v1/incidents", { title: "Burst at J33", alerts: [alert["id"]] })
  const data = { title: "Mend the pipe", kind: "repair", assetId: meter!["assetId"] }
  const order = await call("/v1/work-orders", { data, parentId: id })
  for (const [step, input] of [
    ["dispatch", {}],
    ["start", {}],
    ["finish", { done: "Mended" }]
  ] as const)
    await call(`/v1/cases/work-order/${order.id}/transitions/${step}`, input)
  const outcome = { outcome: "Water is back." }
  expect((await call(`/v1/cases/incident/${id}/transitions/resolve`, outcome)).state).toBe("resolved")
  expect((await call(`/v1/cases/alert/${alert["id"]}`)).state).toBe("resolved")
  const log = (await call(`/v1/assets/${meter!["assetId"]}/maintenance-log`)).items
  expect(log).toMatchObject([{ what: "Mended", workOrderId: order.id }])
}, 60_000)

test("readings_of_two_fleets_arrive_in_their_own_city_to_the_last_one", async () => {
  const tokens = await Promise.all(waterCities.map(({ slug }) => tokenOf(slug)))
  // The same fleet by name in both, once by MQTT and once by HTTP.
  const fleet = ["--devices", "300", "--rate", "150", "--seconds", "6", "--seed", "7"]
  const [first, second] = waterCities.map(({ slug }) => slug) as [string, string]
  const runs = await Promise.all([
    simulate(first, tokens[0]!, ...fleet, "--mqtt", broker),
    simulate(second, tokens[1]!, ...fleet)
  ])
  for (const { code, said } of runs)
    expect([code, said]).toEqual([0, expect.stringContaining("the same, to the last one")])
  const { body } = await get(first, tokens[0]!, "/v1/devices?q=sim-7-0")
  const { id } = (body["items"] as ReadonlyArray<{ readonly id: string }>)[0]!
  expect((await get(first, tokens[0]!, `/v1/devices/${id}/datastreams`)).status).toBe(200)
  expect((await get(second, tokens[1]!, `/v1/devices/${id}/datastreams`)).status).toBe(404)
  // Neither person's pass is good in the other city.
  expect((await get(second, tokens[0]!, "/v1/devices")).status).toBe(401)
}, 180_000)

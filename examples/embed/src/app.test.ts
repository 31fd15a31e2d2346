import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { City } from "@mahalla/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type App, makeCity, startApp } from "./app.ts"

describe("a city inside somebody else's app", () => {
  const home = mkdtempSync(join(tmpdir(), "mahalla-embed-"))
  let app: App
  let city: City

  beforeAll(async () => {
    city = makeCity(home)
    app = await startApp(city)
  })
  afterAll(async () => {
    await app.close()
    rmSync(home, { recursive: true, force: true })
  })

  const me = async (cookie?: string) =>
    (await fetch(`${app.url}/city/v1/me-check`, cookie === undefined ? {} : { headers: { cookie } })).status

  it("answers_its_own_pages_and_the_citys_below_the_sub_path", async () => {
    expect(await (await fetch(`${app.url}/`)).json()).toMatchObject({ hello: "visitor", cases: [] })
    expect((await fetch(`${app.url}/city/health/ready`)).status).toBe(200)
    expect(await me()).toBe(404)
    expect((await fetch(`${app.url}/cityhall`)).status).not.toBe(200)
  })

  it("takes_the_apps_login_for_its_own", async () => {
    const asInspector = await fetch(`${app.url}/city/v1/cases?type=traffic-report`, {
      headers: { cookie: "sid=ivan-session" }
    })
    expect(asInspector.status).toBe(200)
    const events = async (cookie: string) =>
      (await fetch(`${app.url}/city/v1/event-log`, { headers: { cookie } })).status
    expect(await events("sid=alice-session")).toBe(403)
    const grants = await city.admin.run("acme", (await import("./principals.ts")).externalIds)
    expect(grants).toContain("ivan")
  })

  it("answers_web_standard_requests_with_the_same_city", async () => {
    const answer = await city.fetch(new Request("http://app.example/city/v1/city"), { ip: "203.0.113.9" })
    expect(await answer.json()).toMatchObject({ slug: "acme", currency: "GEL" })
    expect((await city.fetch(new Request("http://app.example/elsewhere"))).status).toBe(404)
  })
})

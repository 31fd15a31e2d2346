import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type City, createCity, identity, issueLink, oauth, payouts, reports, security } from "@mahalla/core"
import { defaults, serve, type Serving } from "@mahalla/server"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type CitizenApp, startCitizenApp } from "./app.ts"

const phone = "+998901112233"

/** Redirect addresses are registered with their port, before anything listens there. */
const freePort = async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

describe("an app that acts for a citizen", () => {
  const home = mkdtempSync(join(tmpdir(), "mahalla-citizen-app-"))
  let city: City
  let serving: Serving
  let app: CitizenApp
  let base: string

  const json = async (method: string, path: string, body?: unknown, token?: string) => {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`)
    // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
    return text === "" ? undefined : (JSON.parse(text) as any)
  }

  let staff: string
  const code = async () => {
    const { items } = await json("GET", `/v1/outbox?to=${encodeURIComponent(phone)}`, undefined, staff)
    return /\b\d{6}\b/.exec(items.at(-1).text)![0]
  }

  beforeAll(async () => {
    city = createCity({
      home,
      mode: "dev",
      plugins: defaults(),
      modules: [security(), identity(), oauth(), payouts(), reports()],
      logFormat: "silent"
    })
    await city.start()
    await city.admin.tenants.create({
      slug: "samarkand",
      name: "Samarkand",
      settings: {
        timeZone: "Asia/Samarkand",
        languages: ["en"],
        country: "UZ",
        currency: "UZS",
        calendar: { days: [1, 2, 3, 4, 5], from: "09:00", to: "18:00", holidays: [] },
        corsOrigins: [],
        apps: { approval: "none" }
      }
    })
    serving = await serve(city, { port: 0, host: "127.0.0.1" })
    base = `http://127.0.0.1:${serving.port}/t/samarkand`
    const { id } = await city.admin.principals.createStaff("samarkand", { name: "S", roles: ["municipality-admin"] })
    staff = (await json("POST", "/v1/auth/link", { token: await city.admin.run("samarkand", issueLink(id)) }))
      .accessToken
    await json("POST", "/v1/auth/code", { phone })
    const { accessToken } = await json("POST", "/v1/auth/session", { phone, code: await code() })
    const port = await freePort()
    const registration = await json(
      "POST",
      "/v1/apps",
      {
        name: "My reports",
        auth: "client_secret_basic",
        redirectUris: [`http://127.0.0.1:${port}/callback`],
        grantTypes: ["authorization_code"],
        scopes: ["openid", "cases.read"]
      },
      accessToken
    )
    app = await startCitizenApp(registration, port)
  })
  afterAll(async () => {
    await app?.close()
    await serving?.close(2_000)
    rmSync(home, { recursive: true, force: true })
  })

  it("shows_a_citizen_their_reports_after_they_let_it", async () => {
    const cookies = new Map<string, string>()
    const go = async (url: string, form?: Record<string, string>): Promise<{ url: string; text: string }> => {
      const response = await fetch(url, {
        redirect: "manual",
        headers: { cookie: [...cookies].map(([key, value]) => `${key.split(" ")[1]}=${value}`).join("; ") },
        ...(form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) })
      })
      for (const line of response.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        cookies.set(`${new URL(url).host} ${name}`, value)
      }
      const to = response.headers.get("location")
      return to === null ? { url, text: await response.text() } : go(new URL(to, url).href)
    }
    const submit = (page: { url: string; text: string }, step: string, fields: Record<string, string>) => {
      const form = new RegExp(`action="([^"]*/${step})"><input type="hidden" name="csrf" value="([^"]*)"`).exec(
        page.text
      )
      if (form === null) throw new Error(`No form ${step} in ${page.text}`)
      return go(new URL(form[1]!, page.url).href, { csrf: form[2]!, ...fields })
    }
    const asked = await go(app.url)
    const sent = await submit(asked, "phone", { phone: "+998901112244" })
    const { items } = await json("GET", `/v1/outbox?to=${encodeURIComponent("+998901112244")}`, undefined, staff)
    const signed = await submit(sent, "code", { code: /\b\d{6}\b/.exec(items.at(-1).text)![0] })
    expect(signed.text).toContain("My reports asks for access")
    const shown = JSON.parse((await submit(signed, "consent", { scope: "cases.read" })).text)
    expect(shown).toEqual({ citizen: expect.any(String), items: [] })
  })
})

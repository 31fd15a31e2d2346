/** The consent pages in a real browser: without scripts, with the keyboard, in three languages, through to the app's own address. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Chromium, openChromium, type Tab } from "./oauth/chromium.ts"
import { type App, anyPhone, codeFor, newApp, redeem, requestOf } from "./oauth/kit.ts"

let kit: CityKit
let chromium: Chromium
let app: App
let callbackServer: Server
let callback: string
/** Pictures of every page, for a person to look at: `MAHALLA_PICTURES=folder`. */
const folder = process.env["MAHALLA_PICTURES"]
const picture = async (tab: Tab, name: string) => {
  if (folder !== undefined) await tab.screenshot(join(folder, `${name}.png`))
}

beforeAll(async () => {
  ;[kit, chromium] = await Promise.all([openCityKit({ postgresUrl: inject("postgresUrl") }), openChromium()])
  callbackServer = createServer((_request, response) => response.end("<title>The app</title>Back in the app"))
  await new Promise<void>((resolve) => callbackServer.listen(0, "127.0.0.1", resolve))
  callback = `http://127.0.0.1:${(callbackServer.address() as AddressInfo).port}/callback`
  app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907100001"), {
    name: "Yo‘l & yordamchi",
    auth: "none",
    homepage: "https://app.example/about",
    redirectUris: [callback],
    scopes: ["openid", "profile", "offline_access", "cases.read", "cases.write", "payouts.read"]
  })
})
afterAll(async () => {
  callbackServer?.close()
  await chromium?.close()
  await kit?.close()
})

const ask = (language: string) =>
  requestOf(app, {
    redirect_uri: callback,
    ui_locales: language,
    scope: "openid profile offline_access cases.read cases.write payouts.read"
  })

describe("the pages in Chromium", () => {
  test.each(["en", "uz", "ru"])("lead_from_the_app_and_back_without_scripts_in_%s", async (language) => {
    const tab = await chromium.tab({ scripts: false, language })
    const phone = anyPhone()
    const request = await ask(language)
    await tab.open(request.url.href)
    await tab.settled("document.querySelector('#phone') !== null")
    expect(await tab.read("document.documentElement.lang")).toBe(language)
    await picture(tab, `${language}-1-phone`)
    await tab.type("#phone", "12")
    await tab.click("button.first")
    await tab.settled("document.querySelector('[role=alert]') !== null")
    await picture(tab, `${language}-2-wrong`)
    await tab.type("#phone", phone)
    await tab.press("Enter")
    await tab.settled("document.querySelector('#code') !== null")
    expect(await tab.read<string>("location.href")).not.toContain(phone.slice(-7))
    await picture(tab, `${language}-3-code`)
    await tab.type("#code", await codeFor(kit.samarkand, phone))
    await tab.press("Enter")
    await tab.settled("document.querySelectorAll('input[type=checkbox]').length > 3")
    await picture(tab, `${language}-4-consent`)
    // With the keyboard alone: to the first free box, and mark it.
    expect(await tab.read("document.querySelectorAll('input[type=checkbox]:not([disabled]):checked').length")).toBe(0)
    await tab.read("document.querySelector('#profile').focus()")
    await tab.press("Space")
    await tab.press("Tab")
    await tab.press("Tab")
    await tab.press("Space")
    expect(await tab.read("[...document.querySelectorAll(':checked:not([disabled])')].map(({ id }) => id)")).toEqual([
      "profile",
      "cases.read"
    ])
    await picture(tab, `${language}-5-ticked`)
    await tab.click("form[action$='/consent'] button")
    await tab.settled(`location.href.startsWith(${JSON.stringify(callback)})`)
    const answer = new URL(await tab.read<string>("location.href"))
    const tokens = await redeem(app, answer, request, { resource: app.resource })
    expect(tokens.scope).toBe("cases.read")
    expect(tab.complaints.filter((text) => !text.includes("422"))).toEqual([])
  })

  test("show_an_error_in_the_citizens_language_when_the_request_is_wrong", async () => {
    const tab = await chromium.tab({ language: "uz", dark: true })
    const { url } = await requestOf(app, { redirect_uri: "https://evil.example/" })
    await tab.open(url.href)
    await tab.settled("document.querySelector('h1') !== null")
    expect(await tab.read("document.documentElement.lang")).toBe("uz")
    expect(await tab.read<string>("document.body.innerText")).toContain("invalid_redirect_uri")
    await picture(tab, "uz-error-dark")
  })

  test("are_shown_in_no_frame", async () => {
    const { url } = await ask("en")
    const tab = await chromium.tab()
    await tab.open(callback)
    await tab.read(
      `(() => { const frame = document.createElement("iframe"); frame.src = ${JSON.stringify(url.href)}; document.body.append(frame) })()`
    )
    await tab.settled("performance.getEntriesByType('resource').length > 0").catch(() => undefined)
    await vi.waitFor(() => expect(tab.complaints.join()).toMatch(/frame-ancestors|X-Frame-Options/), 10_000)
  })
})

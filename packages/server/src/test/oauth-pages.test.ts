/** The consent pages in a real browser: without scripts, with the keyboard, in three languages, through to the app's own address. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Secret, TOTP } from "otpauth"
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Chromium, openChromium, type Tab } from "./oauth/chromium.ts"
import { type Browser, openBrowser, type Page } from "./oauth/browser.ts"
import { type App, anyPhone, codeFor, newApp, redeem, requestOf, signIn } from "./oauth/kit.ts"

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

/** A citizen with an authenticator app, and its next code. */
const guarded = async () => {
  const phone = anyPhone()
  const citizen = await kit.samarkand.citizen(phone)
  const secret = String((await citizen.post("/v1/me/factors/totp")).body.secret)
  const codeAt = (steps: number) =>
    new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * 30_000 })
  const confirmed = await citizen.post("/v1/me/factors/totp/confirm", { code: codeAt(0) })
  expect(confirmed.status).toBe(200)
  await freePhone()
  return {
    id: citizen.id,
    phone,
    // The present one has been used; the next one is good already.
    codeOf: () => codeAt(1),
    recoveryCodes: confirmed.body.recoveryCodes as ReadonlyArray<string>
  }
}
/** As after the pause between two codes. */
const freePhone = () => kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")

describe("the second factor on the way to an app", () => {
  const arrive = async (phone: string) => {
    const browser = openBrowser(kit.url)
    const request = await ask("en")
    const page = await signIn(kit.samarkand, browser, await browser.open(request.url.href), phone)
    return { browser, page, request }
  }
  const show = (browser: Browser, page: Page, code: string) => browser.submit(page, "factor", [["factor", code]])

  test("is_taken_once_and_a_recovery_code_is_as_good", async () => {
    const { codeOf, id, phone, recoveryCodes } = await guarded()
    const first = await arrive(phone)
    expect([first.page.status, first.page.url.endsWith("/factor")]).toEqual([200, true])
    const code = codeOf()
    const in1 = await show(first.browser, first.page, ` ${code.slice(0, 3)} ${code.slice(3)} `)
    expect(in1.html).toContain('name="scope"')
    await freePhone()
    const second = await arrive(phone)
    expect((await show(second.browser, second.page, code)).status).toBe(422)
    const in2 = await show(second.browser, second.page, recoveryCodes[0]!.toLowerCase())
    expect(in2.html).toContain('name="scope"')
    await freePhone()
    const third = await arrive(phone)
    expect((await show(third.browser, third.page, recoveryCodes[0]!)).status).toBe(422)
    const events = await kit.sql<{ type: string; payload: object }>(
      "select type, payload from mahalla.event where actor_id = $1 and type like 'identity.factor-%' order by id",
      [id]
    )
    expect(events.slice(1)).toEqual([
      { type: "identity.factor-passed", payload: { principalId: id, factor: "totp" } },
      { type: "identity.factor-refused", payload: { principalId: id, factor: "totp" } },
      { type: "identity.factor-passed", payload: { principalId: id, factor: "recovery-codes" } },
      { type: "identity.factor-refused", payload: { principalId: id, factor: "recovery-codes" } }
    ])
  })

  test("cannot_be_left_out_nor_guessed_and_is_of_this_way_only", async () => {
    const { codeOf, id, phone } = await guarded()
    const { browser, page } = await arrive(phone)
    // Without it the way begins anew.
    const around = await browser.open(page.url.replace(/\/factor$/, ""))
    expect(around.html).toContain('name="phone"')
    const other = openBrowser(kit.url)
    const elsewhere = await other.open((await ask("en")).url.href)
    expect((await other.open(`${elsewhere.url}/factor`)).html).toContain('name="phone"')
    const right = codeOf()
    const wrong = right === "000000" ? "000001" : "000000"
    // Setting it up was the first of five.
    for (let n = 0; n < 4; n++) expect((await show(browser, page, wrong)).status).toBe(422)
    expect((await show(browser, page, right)).status).toBe(429)
    await kit.sql("delete from mahalla.rate_limit where key like 'factor:%'")
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [id])
    expect((await show(browser, page, right)).status).toBe(403)
  })

  test("is_told_to_be_a_passkey_where_nothing_can_be_typed", async () => {
    const phone = anyPhone()
    const { id } = await kit.samarkand.citizen(phone)
    await kit.sql(
      `insert into mahalla.passkey (tenant_id, id, principal_id, credential_id, public_key, counter, transports, name, created_at)
       values ($1, gen_random_uuid(), $2, 'credential', 'key', 0, '{}', 'Key', now())`,
      [kit.samarkand.id, id]
    )
    await freePhone()
    const { page } = await arrive(phone)
    expect([page.status, page.html]).toEqual([403, expect.stringContaining("passkey")])
    expect(page.html).not.toContain('name="factor"')
  })
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

  test.each([
    ["en", "authenticator app"],
    ["uz", "Autentifikator"],
    ["ru", "аутентификатора"]
  ])("ask_whoever_has_one_for_their_second_factor_in_%s", async (language, words) => {
    const { codeOf, phone } = await guarded()
    const tab = await chromium.tab({ scripts: false, language })
    const request = await ask(language)
    await tab.open(request.url.href)
    await tab.settled("document.querySelector('#phone') !== null")
    await tab.type("#phone", phone)
    await tab.press("Enter")
    await tab.settled("document.querySelector('#code') !== null")
    await tab.type("#code", await codeFor(kit.samarkand, phone))
    await tab.press("Enter")
    await tab.settled("document.querySelector('#factor') !== null")
    expect(await tab.read("document.documentElement.lang")).toBe(language)
    expect((await tab.read<string>("document.querySelector('#hint').innerText")).toLowerCase()).toContain(
      words.toLowerCase()
    )
    expect(await tab.read("document.querySelector('label[for=factor]') !== null")).toBe(true)
    await picture(tab, `${language}-6-factor`)
    await tab.type("#factor", "ABCDE-12345")
    await tab.press("Enter")
    await tab.settled("document.querySelector('[role=alert]') !== null")
    expect(await tab.read("document.querySelector('#factor').getAttribute('aria-invalid')")).toBe("true")
    expect(await tab.read("document.querySelector('#factor').getAttribute('aria-describedby')")).toBe("problem hint")
    await tab.type("#factor", codeOf())
    await tab.press("Enter")
    await tab.settled("document.querySelectorAll('input[type=checkbox]').length > 3")
    await tab.click("form[action$='/consent'] button")
    await tab.settled(`location.href.startsWith(${JSON.stringify(callback)})`)
    const answer = new URL(await tab.read<string>("location.href"))
    expect((await redeem(app, answer, request, { resource: app.resource })).id_token).toBeDefined()
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

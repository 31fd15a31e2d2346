/** The city's sign-in page with an outside provider, in Debian's Chromium. */
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { openPage, type Page } from "./browser.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { makeClient, until } from "./client.ts"
import { type Providers, providerBody, putProvider, startProviders } from "./openid/kit.ts"

let kit: CityKit
let providers: Providers
let page: Page

beforeAll(async () => {
  ;[kit, page] = await Promise.all([
    openCityKit({ postgresUrl: inject("postgresUrl"), config: { outwardNetworks: ["127.0.0.0/8"] } }),
    openPage()
  ])
  providers = await startProviders(kit)
  await putProvider(kit.samarkand, "country", providerBody(providers.issuers[0]))
})
afterAll(async () => {
  await page?.close()
  await providers?.close()
  await kit?.close()
})

const own = () => `${kit.url}/t/samarkand/sign-in`
const seen = (expression: string) => until(expression, () => page.evaluate<boolean>(expression).catch(() => false))

test("the_sign_in_page_leads_to_a_provider_and_back_into_a_session", async () => {
  await page.open(own())
  await seen(`document.querySelector("[data-provider=country]") !== null`)
  expect(await page.evaluate(`document.querySelector("[data-provider=country]").textContent`)).toBe("The country")
  await page.evaluate(`document.querySelector("[data-provider=country]").click()`)
  await seen(`location.origin === ${JSON.stringify(providers.issuers[0])} && document.forms.length === 1`)
  await page.evaluate(`document.forms[0].login.value = "chromium"; document.forms[0].requestSubmit()`)
  await seen(`document.querySelector("textarea")?.value.length > 20`)
  expect(await page.evaluate("location.href")).toBe(own())
  const token = await page.evaluate<string>(`document.querySelector("textarea").value`)
  const client = makeClient(kit.samarkand.visitor.base, { authorization: `Bearer ${token}` })
  expect((await client.get("/v1/me")).body).toMatchObject({ kind: "person" })
  // The cookie is no page's business.
  expect(await page.evaluate("document.cookie")).toBe("")
})

test("a_ticket_that_somebody_else_began_is_worth_nothing_in_this_browser", async () => {
  // Both end at the page without what came along, so nobody waits for their own addresses.
  const go = async (url: string) => {
    await page.open("about:blank")
    await page.send("Page.navigate", { url })
    await seen(
      `location.pathname.endsWith("/sign-in") && document.querySelector("h1").textContent === "It did not work"`
    )
    expect(await page.evaluate("location.search")).toBe("")
  }
  await go(`${own()}?ticket=${"x".repeat(43)}`)
  await go(`${kit.url}/t/samarkand/v1/auth/openid/country/callback?state=${"y".repeat(43)}&code=z`)
})

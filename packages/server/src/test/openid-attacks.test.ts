/** Signing in through outside OpenID providers under attack: answers that belong elsewhere, come again, or were made by somebody else. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Answer, makeClient } from "./client.ts"
import {
  anyBrowser,
  appAddress,
  challengeOf,
  leave,
  newVerifier,
  type Person,
  type Providers,
  providerBody,
  putProvider,
  sayWho,
  signInBy,
  startProviders,
  ticketFor,
  useTicket,
  type Way
} from "./openid/kit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let providers: Providers

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { outwardNetworks: ["127.0.0.0/8"] } })
  providers = await startProviders(kit)
  for (const tenant of [kit.samarkand, kit.bukhara])
    await putProvider(tenant, "country", providerBody(providers.issuers[0]))
  await putProvider(kit.samarkand, "company", providerBody(providers.issuers[1]))
})
afterAll(async () => {
  await providers?.close()
  await kit?.close()
})

const way = (change: Partial<Way> = {}): Way => ({
  tenant: kit.samarkand,
  provider: "country",
  browser: anyBrowser(kit, providers),
  codeVerifier: newVerifier(),
  ...change
})
let people = 0
const anybody = (): Person => ({ sub: `somebody-${++people}` })

const refused = (answer: Answer) => expectProblem("refused", answer, { status: 401, type: "sign-in-refused" })
const expired = () => `${kit.url}/t/samarkand/sign-in?error=expired`
const counts = async () => {
  const [row] = await kit.sql<{ sessions: number; people: number; links: number }>(
    `select (select count(*)::int from mahalla.session) as sessions, (select count(*)::int from mahalla.principal) as people,
            (select count(*)::int from mahalla.openid_link) as links`
  )
  return row!
}

/** The address of the callback with the provider's answer, before anybody has gone there. */
const answered = async (there: Way, person: Person): Promise<URL> => {
  const back = await sayWho(there, await leave(there), person, "callback")
  expect([back.status, back.url.startsWith(kit.url)]).toEqual([0, true])
  return new URL(back.url)
}
/** Goes to an address with the cookies of a browser, and no further. */
const visit = async (browser: Way["browser"] | undefined, url: URL | string) => {
  const cookie = browser?.cookieFor(String(url)) ?? ""
  const response = await fetch(url, { redirect: "manual", headers: { cookie, "x-forwarded-for": "10.7.7.7" } })
  return { status: response.status, to: response.headers.get("location") ?? "" }
}
const ticketIn = (to: string) => new URL(to).searchParams.get("ticket")

describe("an answer of the provider", () => {
  test("works_in_the_browser_that_left_and_in_no_other", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const before = await counts()
    const stranger = way()
    await leave(stranger)
    for (const browser of [undefined, anyBrowser(kit, providers), stranger.browser])
      expect(await visit(browser, callback)).toEqual({ status: 303, to: expired() })
    expect(await counts()).toEqual(before)
    const { to } = await visit(there.browser, callback)
    expect((await useTicket(there, ticketIn(to)!)).status).toBe(200)
  })

  test("works_once_even_when_ten_come_at_once", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const all = await Promise.all(Array.from({ length: 10 }, () => visit(there.browser, callback)))
    const tickets = all.flatMap(({ to }) => ticketIn(to) ?? [])
    expect(tickets).toHaveLength(1)
    expect(await visit(there.browser, callback)).toEqual({ status: 303, to: expired() })
    const before = await counts()
    const sessions = await Promise.all(Array.from({ length: 10 }, () => useTicket(there, tickets[0]!)))
    expect(sessions.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(sessions.filter(({ status }) => status === 401)).toHaveLength(9)
    expect((await counts()).sessions).toBe(before.sessions + 1)
    expect((await counts()).people).toBe(before.people + 1)
    refused(await useTicket(there, tickets[0]!))
  })

  test("of_one_person_on_two_devices_at_once_makes_one_account", async () => {
    const person = anybody()
    const ways = [way(), way(), way()]
    const tickets = await Promise.all(ways.map((one) => ticketFor(one, person)))
    const before = await counts()
    const answers = await Promise.all(ways.map((one, at) => useTicket(one, tickets[at]!)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(new Set(answers.map(({ body }) => body.principalId)).size).toBe(1)
    expect((await counts()).people).toBe(before.people + 1)
  })

  test("comes_too_late", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const state = callback.searchParams.get("state")!
    await kit.sql("update mahalla.openid_attempt set expires_at = now() where state_hash = $1", [challengeOf(state)])
    expect(await visit(there.browser, callback)).toEqual({ status: 303, to: expired() })
    const again = way()
    const ticket = await ticketFor(again, anybody())
    await kit.sql("update mahalla.openid_attempt set expires_at = now() where ticket_hash = $1", [challengeOf(ticket)])
    refused(await useTicket(again, ticket))
  })

  test("with_a_state_that_nobody_has_sent_leads_nowhere", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const states = ["", "x", newVerifier(), `${callback.searchParams.get("state")}x`]
    for (const state of states) {
      const other = new URL(callback)
      other.searchParams.set("state", state)
      expect(await visit(there.browser, other)).toEqual({ status: 303, to: expired() })
    }
    const twice = new URL(callback)
    twice.searchParams.append("state", newVerifier())
    expect(await visit(there.browser, twice)).toEqual({ status: 303, to: expired() })
    const long = new URL(callback)
    long.searchParams.set("filler", "x".repeat(5_000))
    expect(await visit(there.browser, long)).toEqual({ status: 303, to: expired() })
  })

  test("is_worth_nothing_without_the_verifier_of_the_app_that_began", async () => {
    const there = way()
    const ticket = await ticketFor(there, anybody())
    refused(await useTicket({ ...there, codeVerifier: newVerifier() }, ticket))
    // Somebody had it who should not have: it is gone.
    refused(await useTicket(there, ticket))
    const citizen = await kit.samarkand.citizen("+998906200001")
    const other = way()
    const stolen = await ticketFor(other, anybody())
    const linked = await citizen.post("/v1/me/openid", { ticket: stolen, codeVerifier: newVerifier() })
    refused(linked)
    expect((await citizen.get("/v1/me/openid")).body.items).toEqual([])
  })

  test("that_says_no_is_told_to_the_app_and_ends_the_sign_in", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const no = new URL(callback)
    no.searchParams.delete("code")
    for (const [said, told] of [
      ["access_denied", "access_denied"],
      ["<script>", "server_error"]
    ] as const) {
      const one = way()
      const state = (await answered(one, anybody())).searchParams.get("state")!
      no.searchParams.set("state", state)
      no.searchParams.set("error", said)
      expect((await visit(undefined, no)).to).toBe(expired())
      expect((await visit(one.browser, no)).to).toBe(`${appAddress}?error=${told}`)
      expect((await visit(one.browser, no)).to).toBe(expired())
    }
  })
})

describe("a token", () => {
  test.each(["nonce", "foreign-key", "issuer", "audience", "expired", "unsigned"] as const)(
    "with_a_wrong_%s_lets_nobody_in",
    async (lie) => {
      const there = way()
      const ticket = await ticketFor(there, anybody())
      const before = await counts()
      await providers.lie(providers.issuers[0], lie)
      refused(await useTicket(there, ticket))
      expect(await counts()).toEqual(before)
      const refusals = await kit.sql(
        "select from mahalla.event where type = 'identity.sign-in-refused' and payload ->> 'by' = 'openid'"
      )
      expect(refusals.length).toBeGreaterThan(0)
    }
  )
})

describe("two providers", () => {
  test("are_not_mixed_up", async () => {
    const before = await counts()
    // An answer of one at the other's address, in the same browser.
    const there = way()
    const callback = await answered(there, anybody())
    const elsewhere = new URL(callback.href.replace("/country/", "/company/"))
    expect((await visit(there.browser, elsewhere)).to).toBe(expired())
    // The other one's answer under this one's state (RFC 9207).
    const other = way({ provider: "company", browser: there.browser })
    const theirs = await answered(other, anybody())
    const mixed = new URL(callback)
    expect(theirs.searchParams.get("iss")).toBe(providers.issuers[1])
    for (const name of ["code", "iss"]) mixed.searchParams.set(name, theirs.searchParams.get(name)!)
    const { to } = await visit(there.browser, mixed)
    refused(await useTicket(there, ticketIn(to)!))
    // And without its name.
    const again = way()
    const nameless = await answered(again, anybody())
    nameless.searchParams.delete("iss")
    refused(await useTicket(again, ticketIn((await visit(again.browser, nameless)).to)!))
    expect(await counts()).toEqual(before)
  })

  test("that_know_somebody_by_the_same_subject_know_two_people", async () => {
    const person = { sub: "42", claims: { email: "same@example.uz", email_verified: true } }
    const [one, other] = [await signInBy(way(), person), await signInBy(way({ provider: "company" }), person)]
    expect([one.answer.status, other.answer.status]).toEqual([200, 200])
    expect(one.answer.body.principalId).not.toBe(other.answer.body.principalId)
  })
})

describe("nobody", () => {
  test("is_sent_to_an_address_that_the_city_has_not_written_down", async () => {
    const rows = [
      "https://evil.example/",
      `${appAddress}/`,
      `${appAddress}?next=https://evil.example`,
      appAddress.toUpperCase(),
      appAddress.replace("https:", "http:"),
      "//evil.example",
      "javascript:alert(1)",
      `${kit.url}/t/bukhara/sign-in`,
      `${kit.url}/t/samarkand/sign-in/../../evil`
    ]
    for (const redirectUri of rows) {
      const query = new URLSearchParams({ redirectUri, codeChallenge: challengeOf("x") })
      const answer = await kit.samarkand.visitor.get(`/v1/auth/openid/country?${query}`)
      expectProblem(redirectUri, answer, { status: 400, type: "invalid-input", pointers: ["#query/redirectUri"] })
      expect(answer.headers.get("location")).toBeNull()
      expect(answer.headers.get("set-cookie")).toBeNull()
    }
    const own = await kit.samarkand.visitor.get(`/v1/auth/openid/country?codeChallenge=${challengeOf("x")}`)
    expect(own.status).toBe(303)
    expect(own.headers.get("location")).toMatch(new RegExp(`^${providers.issuers[0]}/auth\\?`))
    expect(own.headers.get("set-cookie")).toMatch(
      /^mahalla-openid=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/i
    )
  })

  test("gets_in_by_a_provider_a_state_or_a_ticket_of_another_city", async () => {
    const abroad = way({ tenant: kit.bukhara })
    const query = `redirectUri=${encodeURIComponent(appAddress)}&codeChallenge=${challengeOf("x")}`
    const answer = await kit.bukhara.visitor.get(`/v1/auth/openid/company?${query}`)
    expectProblem("theirs", answer, { status: 404, type: "not-found" })
    // The same provider, the same client, the same browser: the state is the other city's all the same.
    const there = way()
    const callback = await answered(there, anybody())
    const moved = new URL(callback.href.replace("/t/samarkand/", "/t/bukhara/"))
    expect((await visit(there.browser, moved)).to).toBe(`${kit.url}/t/bukhara/sign-in?error=expired`)
    const ticket = ticketIn((await visit(there.browser, callback)).to)!
    refused(await useTicket({ ...there, tenant: kit.bukhara }, ticket))
    const here = await useTicket(there, ticket)
    expect(here.status).toBe(200)
    // One identity is somebody else in every city.
    const person = anybody()
    const both = [await signInBy(way(), person), await signInBy(abroad, person)]
    expect(both[0]!.answer.body.principalId).not.toBe(both[1]!.answer.body.principalId)
    const inTheirs = makeClient(kit.bukhara.visitor.base, both[0]!.client.headers)
    expect((await inTheirs.get("/v1/me/openid")).status).toBe(401)
  })
})

describe("a provider that is down", () => {
  test("is_told_as_such_and_the_sign_in_can_begin_again", async () => {
    const there = way()
    const ticket = await ticketFor(there, anybody())
    await providers.lie(providers.issuers[0], "error")
    const answer = await useTicket(there, ticket)
    expectProblem("down", answer, { status: 503, type: "provider-unavailable" })
    expect(answer.headers.get("retry-after")).toBe("5")
    expect((await signInBy(way(), anybody())).answer.status).toBe(200)
  })

  test("leaves_nobody_waiting_at_the_start", async () => {
    const closed = createServer()
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    await kit.bukhara.staff["municipality-admin"].call("PUT", "/v1/openid-providers/company", {
      body: providerBody(`http://127.0.0.1:${port}`)
    })
    const query = `redirectUri=${encodeURIComponent(appAddress)}&codeChallenge=${challengeOf("x")}&state=mine`
    const { headers, status } = await kit.bukhara.visitor.get(`/v1/auth/openid/company?${query}`)
    expect([status, headers.get("location")]).toEqual([303, `${appAddress}?error=temporarily_unavailable&state=mine`])
  })
})

describe("what is kept of a sign-in", () => {
  test("opens_nothing_to_whoever_reads_the_table", async () => {
    const there = way()
    const callback = await answered(there, anybody())
    const parts = ["state", "code"].map((name) => callback.searchParams.get(name)!)
    const { to } = await visit(there.browser, callback)
    const rows = JSON.stringify(await kit.sql("select * from mahalla.openid_attempt"))
    for (const part of [...parts, ticketIn(to)!, there.codeVerifier]) expect(rows).not.toContain(part)
  })
})

/** Signing in through outside OpenID providers: who gets in, as whom, and what links and unlinks an identity. */
import { Secret, TOTP } from "otpauth"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type Answer, type Client, until } from "./client.ts"
import {
  anyBrowser,
  appAddress,
  leave,
  newVerifier,
  type Person,
  type Providers,
  providerBody,
  putProvider,
  sayWho,
  secret,
  signInBy,
  startProviders,
  ticketFor,
  useTicket,
  type Way
} from "./openid/kit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let providers: Providers
let admin: Client

beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl"), config: { outwardNetworks: ["127.0.0.0/8"] } })
  providers = await startProviders(kit)
  admin = kit.samarkand.staff["municipality-admin"]
  await putProvider(kit.samarkand, "country", providerBody(providers.issuers[0]))
  await putProvider(kit.samarkand, "company", company())
})
afterAll(async () => {
  await providers?.close()
  await kit?.close()
})

const company = (change: Readonly<Record<string, unknown>> = {}) =>
  providerBody(providers.issuers[1], { title: { en: "The company" }, admits: ["staff"], ...change })

/** Another browser each time. */
const way = (provider: Way["provider"] = "country"): Way => ({
  tenant: kit.samarkand,
  provider,
  browser: anyBrowser(kit, providers),
  codeVerifier: newVerifier()
})
const enter = (person: Person, provider: Way["provider"] = "country", query: Readonly<Record<string, string>> = {}) =>
  signInBy(way(provider), person, query)

const refused = (answer: Answer, status: number, type: string, code?: string) => {
  expectProblem(`${status} ${type}`, answer, { status, type })
  if (code !== undefined) expect(answer.body.code).toBe(code)
}
let people = 0
const anybody = (): Person => ({ sub: `person-${++people}` })
let phones = 0
const newCitizen = () => kit.samarkand.citizen(`+9989061000${String(++phones).padStart(2, "0")}`)
/** Links an identity as whoever is signed in. */
const link = async (client: Client, person: Person, provider: Way["provider"] = "country") => {
  const there = way(provider)
  const ticket = await ticketFor(there, person)
  return client.post("/v1/me/openid", { ticket, codeVerifier: there.codeVerifier })
}
const staffMember = (roles: ReadonlyArray<string> = ["inspector"]) => kit.samarkand.staffMember(roles)
const invite = (id: string, body: Readonly<Record<string, unknown>>, by: Client = admin) =>
  by.post(`/v1/principals/${id}/openid`, { provider: "company", ...body })

describe("a citizen", () => {
  test("is_made_at_the_first_sign_in_and_found_again_by_issuer_and_subject", async () => {
    const claims = { email: "Nodira@Example.uz", email_verified: true, name: "Nodira Karimova" }
    const first = await enter({ sub: "nodira", claims })
    expect([first.answer.status, first.answer.text]).toEqual([200, first.answer.text])
    expect(first.answer.body).toMatchObject({ tokenType: "Bearer", secondFactor: "none", device: /^mdv_/ })
    const { body: me } = await first.client.get("/v1/me")
    expect(me).toMatchObject({ kind: "person", name: "Nodira Karimova", phone: null, roles: [] })
    const { body: sessions } = await first.client.get("/v1/me/sessions")
    expect(sessions.items).toMatchObject([{ signedInBy: "openid", current: true }])
    // Another e-mail is the same person, and the same e-mail is another one.
    const again = await enter({ sub: "nodira", claims: { ...claims, email: "other@example.uz" } })
    expect(again.answer.body.principalId).toBe(first.answer.body.principalId)
    const other = await enter({ sub: "somebody-else", claims })
    expect(other.answer.status).toBe(200)
    expect(other.answer.body.principalId).not.toBe(first.answer.body.principalId)
    const rows = await kit.sql<{ type: string }>(
      "select type from mahalla.event where payload ->> 'principalId' = $1 and type like 'identity.%' order by id",
      [first.answer.body.principalId]
    )
    expect(rows.map(({ type }) => type)).toEqual([
      "identity.openid-linked",
      "identity.signed-in",
      "identity.signed-in",
      "identity.new-device"
    ])
  })

  test("refreshes_and_signs_out_as_everybody_does", async () => {
    const { answer, client } = await enter(anybody())
    const refreshed = await client.post("/v1/auth/refresh", { refreshToken: answer.body.refreshToken })
    expect(refreshed.status).toBe(200)
    const now = kit.samarkand.visitor.with({ authorization: `Bearer ${refreshed.body.accessToken}` })
    expect((await now.post("/v1/auth/sign-out")).status).toBe(204)
    expect((await client.get("/v1/me")).status).toBe(401)
  })

  test("comes_back_to_the_app_with_what_it_wanted_to_hear_again", async () => {
    const there = way()
    const asked = await leave(there, { state: "where I was & more", language: "ru" })
    const back = new URL((await sayWho(there, asked, anybody())).url)
    expect(`${back.origin}${back.pathname}`).toBe(appAddress)
    expect([...back.searchParams.keys()].sort()).toEqual(["state", "ticket"])
    expect(back.searchParams.get("state")).toBe("where I was & more")
    expect((await useTicket(there, back.searchParams.get("ticket")!)).status).toBe(200)
  })

  test("is_let_in_only_when_the_claims_say_what_the_city_asks_for", async () => {
    const requires = { emailDomains: ["samarkand.uz"], claims: { groups: ["residents", "guests"] } }
    await putProvider(kit.samarkand, "country", providerBody(providers.issuers[0], { requires }))
    const claims = { email: "a@samarkand.uz", email_verified: true, groups: ["x", "residents"] }
    const wrong: ReadonlyArray<Record<string, unknown>> = [
      {},
      { ...claims, email_verified: false },
      { ...claims, email: "a@evil.example" },
      { ...claims, groups: ["admins"] }
    ]
    for (const some of wrong) refused((await enter({ ...anybody(), claims: some })).answer, 401, "sign-in-refused")
    expect((await enter({ ...anybody(), claims })).answer.status).toBe(200)
    await putProvider(kit.samarkand, "country", providerBody(providers.issuers[0]))
  })

  test("who_is_blocked_stays_out", async () => {
    const person = anybody()
    const { answer } = await enter(person)
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [answer.body.principalId])
    refused((await enter(person)).answer, 401, "sign-in-refused")
  })
})

describe("an identity", () => {
  test("is_linked_by_whoever_is_signed_in_and_signs_in_to_that_account", async () => {
    const citizen = await newCitizen()
    const person = anybody()
    const linked = await link(citizen, person)
    expect([linked.status, linked.body]).toMatchObject([201, { provider: "country", vouched: false }])
    expect((await enter(person)).answer.body.principalId).toBe(citizen.id)
    const { items } = (await citizen.get("/v1/me/openid")).body
    expect(items).toMatchObject([{ id: linked.body.id, provider: "country" }])
    expect(items[0].lastUsedAt).not.toBeNull()
    // It is nobody else's then, and the account has no second one of this provider.
    refused(await link(await newCitizen(), person), 422, "refused", "openid-taken")
    refused(await link(citizen, anybody()), 422, "refused", "openid-linked")
    // They were told.
    await until("told", async () => {
      const { body } = await admin.get("/v1/outbox?limit=50")
      return body.items.some((message: { text: string }) => message.text.includes("boshqa tizimdagi hisob"))
    })
  })

  test("is_linked_by_no_visitor_and_by_nobody_whose_proof_is_old", async () => {
    refused(await link(kit.samarkand.visitor, anybody()), 401, "unauthorized")
    const citizen = await newCitizen()
    await kit.sql("update mahalla.session set proved_at = now() - interval '16 minutes' where principal_id = $1", [
      citizen.id
    ])
    refused(await link(citizen, anybody()), 403, "proof-too-old")
    expect((await citizen.get("/v1/me/openid")).body.items).toEqual([])
  })

  test("is_taken_away_by_its_owner_but_never_as_the_last_way_in", async () => {
    const citizen = await newCitizen()
    const person = anybody()
    const { body } = await link(citizen, person)
    refused(await (await newCitizen()).call("DELETE", `/v1/me/openid/${body.id}`), 404, "not-found")
    expect((await citizen.call("DELETE", `/v1/me/openid/${body.id}`)).status).toBe(204)
    // Now it is nobody's, and so somebody new.
    const anew = await enter(person, "country", { fresh: "true" })
    expect(anew.answer.body.principalId).not.toBe(citizen.id)
    const [only] = (await anew.client.get("/v1/me/openid")).body.items
    refused(await anew.client.call("DELETE", `/v1/me/openid/${only.id}`), 422, "refused", "last-way-in")
    expect((await anew.client.get("/v1/me/openid")).body.items).toHaveLength(1)
    // Of two at once, each being the other's way out, one stays.
    await putProvider(kit.samarkand, "company", company({ admits: ["citizens", "staff"] }))
    const second = await link(anew.client, anybody(), "company")
    expect(second.status).toBe(201)
    const both = await Promise.all(
      [only.id, second.body.id].map((id: string) => anew.client.call("DELETE", `/v1/me/openid/${id}`))
    )
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([204, 422]))
    await putProvider(kit.samarkand, "company", company())
  })

  test("proves_nothing_when_nobody_knows_how_old_the_provider_s_look_is", async () => {
    const person = anybody()
    const { client } = await enter(person)
    const [{ id }] = (await client.get("/v1/me/openid")).body.items
    refused(await client.call("DELETE", `/v1/me/openid/${id}`), 403, "proof-too-old")
    const fresh = await enter(person, "country", { fresh: "true" })
    refused(await fresh.client.call("DELETE", `/v1/me/openid/${id}`), 422, "refused", "last-way-in")
  })

  test("is_in_the_copy_of_one_s_data_and_ends_with_the_account", async () => {
    const person = { sub: "subject-of-the-erased", claims: { name: "Karim To'rayev" } }
    const { answer, client } = await enter(person)
    await client.post("/v1/me/export")
    await until("the copy", async () => (await client.get("/v1/me/export")).body.state === "done")
    const copy = await fetch(`${client.base}/v1/me/export/content`, { headers: client.headers })
    // The archive stores what it holds as it is.
    expect(Buffer.from(await copy.arrayBuffer()).toString("latin1")).toContain(person.sub)
    const clear = JSON.stringify(await kit.sql("select * from mahalla.openid_link"))
    expect(clear).not.toContain(person.sub)
    // Without a phone a look of the provider's of a moment ago confirms it.
    refused(await client.call("DELETE", "/v1/me"), 403, "proof-too-old")
    const fresh = await enter(person, "country", { fresh: "true" })
    const ended = await fresh.client.call("DELETE", "/v1/me")
    expect(ended.status).toBe(202)
    await until(
      "the end",
      async () => (await kit.samarkand.visitor.get(`/v1/erasures/${ended.body.id}`)).body.state === "done"
    )
    expect(await kit.sql("select from mahalla.openid_link where principal_id = $1", [answer.body.principalId])).toEqual(
      []
    )
    const anew = await enter(person)
    expect(anew.answer.body.principalId).not.toBe(answer.body.principalId)
  })
})

describe("a member of staff", () => {
  const groups = { groups: ["admins", "municipality-admin"], roles: ["municipality-admin"] }

  test("is_nobody_by_a_claim", async () => {
    const member = await staffMember()
    const claims = { email: "inspector@company.example", email_verified: true, ...groups }
    refused((await enter({ sub: "claims-only", claims }, "company")).answer, 401, "sign-in-refused")
    // Nor by linking it themselves.
    refused(await link(member, { sub: "claims-only", claims }, "company"), 401, "sign-in-refused")
    // A citizen with fine claims is a citizen.
    const citizen = await enter({ ...anybody(), claims: groups })
    expect((await citizen.client.get("/v1/me")).body.roles).toEqual([])
    expect((await citizen.client.get("/v1/principals")).status).toBe(403)
  })

  test("is_let_in_by_the_verified_address_that_an_administrator_named_and_then_by_subject_alone", async () => {
    const member = await staffMember()
    const invited = await invite(member.id, { claim: "email", value: "Dilshod@Company.example" })
    expect([invited.status, invited.body]).toMatchObject([201, { claim: "email", value: "dilshod@company.example" }])
    const claims = { email: "dilshod@company.example", email_verified: true }
    const unverified = { sub: "liar", claims: { ...claims, email_verified: false } }
    refused((await enter(unverified, "company")).answer, 401, "sign-in-refused")
    const { answer, client } = await enter({ sub: "dilshod", claims }, "company")
    expect(answer.body.principalId).toBe(member.id)
    expect((await client.get("/v1/me")).body.roles).toMatchObject([{ role: "inspector" }])
    // Whoever has the address later is somebody else.
    refused((await enter({ sub: "successor", claims }, "company")).answer, 401, "sign-in-refused")
    expect((await enter({ sub: "dilshod" }, "company")).answer.body.principalId).toBe(member.id)
    const shown = await admin.get(`/v1/principals/${member.id}/openid`)
    expect(shown.body).toMatchObject({ links: [{ provider: "company", vouched: true }], invitations: [] })
  })

  test("is_let_in_by_the_subject_that_an_administrator_named_and_out_again", async () => {
    const member = await staffMember()
    expect((await invite(member.id, { claim: "sub", value: "u-17" })).status).toBe(201)
    const { client } = await enter({ sub: "u-17" }, "company")
    const [{ id }] = (await admin.get(`/v1/principals/${member.id}/openid`)).body.links
    expect((await admin.call("DELETE", `/v1/principals/${member.id}/openid/${id}`)).status).toBe(204)
    expect((await client.get("/v1/me")).status).toBe(401)
    refused((await enter({ sub: "u-17" }, "company")).answer, 401, "sign-in-refused")
    const [{ id: second }] = [(await invite(member.id, { claim: "sub", value: "u-18" })).body]
    expect((await admin.call("DELETE", `/v1/principals/${member.id}/openid/${second}`)).status).toBe(204)
    refused((await enter({ sub: "u-18" }, "company")).answer, 401, "sign-in-refused")
    refused(await admin.call("DELETE", `/v1/principals/${member.id}/openid/${second}`), 404, "not-found")
  })

  test("who_was_a_citizen_before_needs_an_administrator_s_word_too", async () => {
    await putProvider(kit.samarkand, "company", company({ admits: ["citizens", "staff"] }))
    const person = anybody()
    const { answer } = await enter(person, "company")
    const { principalId } = answer.body
    await admin.post(`/v1/principals/${principalId}/grants`, { role: "inspector" })
    refused((await enter(person, "company")).answer, 401, "sign-in-refused")
    expect((await invite(principalId, { claim: "sub", value: person.sub })).status).toBe(201)
    expect((await enter(person, "company")).answer.body.principalId).toBe(principalId)
    await putProvider(kit.samarkand, "company", company())
  })

  test("is_invited_by_nobody_who_may_do_less", async () => {
    await admin.post("/v1/roles", {
      id: "inviter",
      title: "Inviter",
      permissions: ["openid-link.write", "openid-link.read"]
    })
    const inviter = await staffMember(["inviter"])
    const member = await staffMember(["municipality-admin"])
    const body = { claim: "sub", value: "the-inviter-himself" }
    refused(await invite(member.id, body, inviter), 403, "forbidden")
    refused(await invite(member.id, body, await staffMember()), 403, "forbidden")
    refused(await invite(member.id, body, kit.bukhara.staff["municipality-admin"]), 404, "not-found")
    const equal = await kit.samarkand.staffMember([])
    expect((await invite(equal.id, body, inviter)).status).toBe(201)
    refused(await invite(member.id, body), 400, "invalid-input")
    refused(await invite(member.id, { ...body, provider: "nobody-knows-it" }), 400, "invalid-input")
    refused(await invite(crypto.randomUUID(), body), 404, "not-found")
    expect((await admin.get(`/v1/principals/${member.id}/openid`)).body.invitations).toEqual([])
  })

  test("is_asked_for_a_second_factor_unless_the_city_trusts_the_provider_with_it", async () => {
    const member = await staffMember()
    const { body } = await member.post("/v1/me/factors/totp")
    const code = new TOTP({ secret: Secret.fromBase32(body.secret) }).generate()
    expect((await member.post("/v1/me/factors/totp/confirm", { code })).status).toBe(200)
    expect((await invite(member.id, { claim: "sub", value: "factor" })).status).toBe(201)
    const untrusting = await enter({ sub: "factor", amr: "pwd otp", acr: "urn:example:two-factors" }, "company")
    expect(untrusting.answer.body.secondFactor).toBe("verify")
    refused(await untrusting.client.get("/v1/cases"), 403, "second-factor-required", "verify")
    await putProvider(
      kit.samarkand,
      "company",
      company({ secondFactor: { amr: ["otp", "hwk"], acr: ["urn:example:two-factors"] } })
    )
    for (const [person, step] of [
      [{ sub: "factor", amr: "pwd" }, "verify"],
      [{ sub: "factor", amr: "otpx" }, "verify"],
      [{ sub: "factor", amr: "pwd otp" }, "passed"],
      [{ sub: "factor", acr: "urn:example:two-factors" }, "passed"]
    ] as const) {
      const { answer, client } = await enter(person, "company")
      expect([person, answer.body.secondFactor]).toEqual([person, step])
      expect((await client.get("/v1/cases")).status).toBe(step === "passed" ? 200 : 403)
    }
    await putProvider(kit.samarkand, "company", company())
  })
})

describe("a provider", () => {
  test("is_shown_to_everybody_by_name_and_to_staff_without_its_secret", async () => {
    const offered = await kit.samarkand.visitor.get("/v1/auth/openid")
    expect(offered.body.items).toEqual([
      { id: "company", title: { en: "The company" }, admits: ["staff"] },
      { id: "country", title: { en: "The country", uz: "Davlat", ru: "Страна" }, admits: ["citizens"] }
    ])
    const listed = await admin.get("/v1/openid-providers")
    expect(listed.body.items[1]).toMatchObject({
      hasSecret: true,
      callbackUri: `${kit.url}/t/samarkand/v1/auth/openid/country/callback`
    })
    for (const client of [kit.samarkand.visitor, kit.samarkand.staff.inspector, await newCitizen()])
      expect((await client.get("/v1/openid-providers")).status).toBeGreaterThanOrEqual(401)
    expect(listed.text + offered.text).not.toContain(secret)
    const [row] = await kit.sql<{ sealed: string }>(
      "select client_secret as sealed from mahalla.openid_provider where id = 'country' and tenant_id = $1",
      [kit.samarkand.id]
    )
    expect(row!.sealed).not.toContain(secret)
  })

  test("is_taken_only_as_it_can_be", async () => {
    const put = (change: Readonly<Record<string, unknown>>, id = "wrong") =>
      admin.call("PUT", `/v1/openid-providers/${id}`, {
        body: providerBody("https://id.example", { redirectUris: [], ...change })
      })
    const rows: ReadonlyArray<readonly [Readonly<Record<string, unknown>>, string]> = [
      [{ issuer: "ftp://id.example" }, "/issuer"],
      [{ issuer: "https://id.example/?x" }, "/issuer"],
      [{ issuer: "nonsense" }, "/issuer"],
      [{ scopes: ["email"] }, "/scopes"],
      [{ admits: [] }, "/admits"],
      [{ admits: ["administrators"] }, "/admits/0"],
      [{ redirectUris: ["https://app.example/x", "javascript:alert(1)"] }, "/redirectUris/1"],
      [{ redirectUris: ["http://app.example/"] }, "/redirectUris/0"],
      [{ secondFactor: {} }, "/secondFactor"],
      [{ requires: { emailDomains: ["*"] } }, "/requires/emailDomains/0"],
      [{ title: {} }, "/title"]
    ]
    for (const [change, pointer] of rows)
      expectProblem(JSON.stringify(change), await put(change), {
        status: 400,
        type: "invalid-input",
        pointers: [pointer]
      })
    const moved = await put({ issuer: "https://id.example" }, "country")
    expectProblem("moved", moved, { status: 400, type: "invalid-input", pointers: ["/issuer"] })
    refused(await put({ issuer: providers.issuers[0] }), 422, "refused", "issuer-exists")
    expect((await put({}, "Wrong")).status).toBe(400)
    expect((await put({ clientSecret: null })).body.hasSecret).toBe(false)
    expect((await admin.call("DELETE", "/v1/openid-providers/wrong")).status).toBe(204)
    refused(await admin.call("DELETE", "/v1/openid-providers/wrong"), 404, "not-found")
    refused(await admin.call("DELETE", "/v1/openid-providers/country"), 422, "refused", "provider-in-use")
  })

  test("that_was_switched_off_lets_nobody_in_not_even_who_is_on_the_way", async () => {
    const there = way()
    const ticket = await ticketFor(there, anybody())
    const { clientSecret: _, ...body } = providerBody(providers.issuers[0], { active: false })
    await putProvider(kit.samarkand, "country", body)
    refused(await useTicket(there, ticket), 401, "sign-in-refused")
    expect((await leave(way())).status).toBe(404)
    expect((await kit.samarkand.visitor.get("/v1/auth/openid")).body.items).toHaveLength(1)
    // Its secret is as before.
    await putProvider(kit.samarkand, "country", { ...body, active: true })
    expect((await enter(anybody())).answer.status).toBe(200)
  })
})

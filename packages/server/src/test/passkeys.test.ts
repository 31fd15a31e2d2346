/** Passkeys and the sign-in page in a real browser with a virtual authenticator. */
import { issueLink } from "@mahalla/core"
import { Secret, TOTP } from "otpauth"
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest"
import { type Page, openPage } from "./browser.ts"
import { type Client, makeClient, until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
let page: Page
let authenticator: string

beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    config: { mode: "production" }
  })
  page = await openPage()
  await page.send("WebAuthn.enable")
})
afterAll(async () => {
  await page?.close()
  await kit?.close()
})

/** `http://localhost:PORT`: browsers know no passkeys of bare addresses. */
const site = () => kit.url.replace("127.0.0.1", "localhost")

const plugIn = async (options: Readonly<Record<string, unknown>>) => {
  if (authenticator !== undefined)
    await page.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: authenticator })
  const made = await page.send<{ authenticatorId: string }>("WebAuthn.addVirtualAuthenticator", { options })
  authenticator = made.authenticatorId
}

beforeEach(async () => {
  // As in a telephone or a laptop.
  await plugIn({
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true
  })
  await page.open(`${site()}/t/samarkand/sign-in`)
})

interface Member {
  readonly id: string
  readonly client: Client
  readonly secondFactor: string
}

/** Requests of our own go where the browser goes, as the browser. */
const local = () => makeClient(`${site()}/t/samarkand`)

const staff = async (known?: string): Promise<Member> => {
  const id =
    known ?? (await kit.city.admin.principals.createStaff("samarkand", { name: "Somebody", roles: ["inspector"] })).id
  const visitor = local()
  const { body } = await visitor.post("/v1/auth/link", { token: await kit.city.admin.run("samarkand", issueLink(id)) })
  return { id, secondFactor: body.secondFactor, client: visitor.with({ authorization: `Bearer ${body.accessToken}` }) }
}

type Json = Readonly<Record<string, unknown>>

const create = (options: Json) =>
  page.evaluate<Json>(`navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(${JSON.stringify(options)})
  }).then((made) => made.toJSON())`)

const get = (options: Json) =>
  page.evaluate<Json>(`navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(${JSON.stringify(options)})
  }).then((found) => found.toJSON())`)

const register = async (client: Client, change: (options: Json) => Json = (options) => options) => {
  const { body } = await client.post("/v1/me/passkeys/options")
  return client.post("/v1/me/passkeys", {
    challengeId: body.challengeId,
    response: await create(change(body.options)),
    name: "My laptop"
  })
}

const signIn = async (change: (options: Json) => Json = (options) => options) => {
  const visitor = local()
  const { body } = await visitor.post("/v1/auth/passkey/options")
  const given = { challengeId: body.challengeId, response: await get(change(body.options)) }
  return { visitor, given, answer: await visitor.post("/v1/auth/passkey", given) }
}

const refused = { status: 401, type: "sign-in-refused" } as const

describe("a passkey", () => {
  test("is_a_second_factor_when_it_is_made_and_both_factors_when_one_signs_in_with_it", async () => {
    const member = await staff()
    expect(member.secondFactor).toBe("enrol")
    const made = await register(member.client)
    expect([made.status, made.body.name]).toEqual([201, "My laptop"])
    expect((await member.client.get("/v1/cases")).status).toBe(200)
    const { answer, visitor } = await signIn()
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ principalId: member.id, secondFactor: "passed" })
    const client = visitor.with({ authorization: `Bearer ${answer.body.accessToken}` })
    expect((await client.get("/v1/cases")).status).toBe(200)
    const { body } = await client.get("/v1/me/passkeys")
    expect(body.items).toMatchObject([{ id: made.body.id, name: "My laptop" }])
    expect(body.items[0].lastUsedAt).not.toBeNull()
    // A link alone is not enough any more.
    expect((await staff(member.id)).secondFactor).toBe("verify")
    const types = await kit.sql<{ type: string }>(
      "select type from mahalla.event where payload ->> 'principalId' = $1 and type in ('identity.factor-added', 'identity.signed-in') order by id",
      [member.id]
    )
    expect(types.map((row) => row.type)).toEqual([
      "identity.signed-in",
      "identity.factor-added",
      "identity.signed-in",
      "identity.signed-in"
    ])
  })

  test("answers_each_question_once_and_no_other_city_s", async () => {
    await register((await staff()).client)
    const { answer, given, visitor } = await signIn()
    expect(answer.status).toBe(200)
    expectProblem("a replay", await visitor.post("/v1/auth/passkey", given), refused)
    const { body } = await visitor.post("/v1/auth/passkey/options")
    expectProblem(
      "the answer to another question",
      await visitor.post("/v1/auth/passkey", { challengeId: body.challengeId, response: given.response }),
      refused
    )
    const fresh = { challengeId: (await visitor.post("/v1/auth/passkey/options")).body.challengeId }
    const elsewhere = makeClient(`${site()}/t/bukhara`)
    const theirs = await elsewhere.post("/v1/auth/passkey/options")
    const response = await get(theirs.body.options)
    expectProblem(
      "unknown there",
      await elsewhere.post("/v1/auth/passkey", { ...theirs.body, options: undefined, response }),
      refused
    )
    expectProblem("and not for here", await visitor.post("/v1/auth/passkey", { ...fresh, response }), refused)
  })

  test("counts_only_when_the_person_was_verified", async () => {
    const { client } = await staff()
    const made = await register(client)
    expect(made.status).toBe(201)
    const { credentials } = await page.send<{ credentials: ReadonlyArray<Json> }>("WebAuthn.getCredentials", {
      authenticatorId: authenticator
    })
    // A key without a finger reader or a PIN, into which the same passkey was brought.
    await plugIn({ protocol: "ctap2", transport: "usb" })
    await page.send("WebAuthn.addCredential", {
      authenticatorId: authenticator,
      credential: { ...credentials[0], isResidentCredential: false, userHandle: undefined, signCount: 50 }
    })
    const { answer } = await signIn((options) => ({
      ...options,
      userVerification: "discouraged",
      allowCredentials: [
        { type: "public-key", id: Buffer.from(String(credentials[0]!["credentialId"]), "base64").toString("base64url") }
      ]
    }))
    expectProblem("used", answer, refused)
    await page.send("WebAuthn.clearCredentials", { authenticatorId: authenticator })
    const unverified = (options: Json) => ({
      ...options,
      excludeCredentials: [],
      authenticatorSelection: { residentKey: "discouraged", userVerification: "discouraged" }
    })
    expectProblem("made", await register(client, unverified), refused)
    expect((await client.get("/v1/me/passkeys")).body.items).toHaveLength(1)
  })

  test("that_was_copied_is_seen_by_its_counter", async () => {
    await register((await staff()).client)
    expect((await signIn()).answer.status).toBe(200)
    const { credentials } = await page.send<{ credentials: ReadonlyArray<Json> }>("WebAuthn.getCredentials", {
      authenticatorId: authenticator
    })
    await page.send("WebAuthn.clearCredentials", { authenticatorId: authenticator })
    await page.send("WebAuthn.addCredential", {
      authenticatorId: authenticator,
      credential: { ...credentials[0], signCount: 0 }
    })
    expectProblem("the copy", (await signIn()).answer, refused)
  })

  test("is_taken_away_by_its_owner_and_opens_nothing_then", async () => {
    const { client, id } = await staff()
    const { body } = await register(client)
    const other = await staff()
    expectProblem("somebody else's", await other.client.call("DELETE", `/v1/me/passkeys/${body.id}`), {
      status: 403,
      type: "second-factor-required"
    })
    // A link is an administrator's to give, so this would be the last way in of their own.
    expectProblem("the last one", await client.call("DELETE", `/v1/me/passkeys/${body.id}`), {
      status: 422,
      type: "refused"
    })
    expect((await client.get("/v1/me/passkeys")).body.items).toHaveLength(1)
    await kit.sql("update mahalla.principal set external_id = 'of the host' where id = $1", [id])
    expect((await client.call("DELETE", `/v1/me/passkeys/${body.id}`)).status).toBe(204)
    expectProblem("gone", (await signIn()).answer, refused)
    expectProblem("none left", await client.get("/v1/cases"), { status: 403, type: "second-factor-required" })
  })
})

test("the_sign_in_page_leads_the_first_administrator_through_the_second_factor", async () => {
  const { id } = await kit.city.admin.principals.createStaff("samarkand", {
    name: "First",
    roles: ["municipality-admin"]
  })
  const link = async () => {
    // The same page again must forget what it knows.
    await page.open("about:blank")
    await page.open(`${site()}/t/samarkand/sign-in#${await kit.city.admin.run("samarkand", issueLink(id))}`)
    await page.evaluate(`document.querySelector("#go").click()`)
    await until("the field", () => page.evaluate<boolean>(`!document.querySelector("form").hidden`))
  }
  const type = async (code: string) => {
    await page.evaluate(
      `document.querySelector("input").value = ${JSON.stringify(code)}; document.querySelector("form").requestSubmit()`
    )
    return until(
      "a token",
      async () => (await page.evaluate<string>(`document.querySelector("textarea").value`)) || undefined
    )
  }
  await link()
  expect(await page.evaluate<string>("location.href")).not.toContain("#")
  const secret = (await page.evaluate<string>(`document.querySelector("pre").firstChild.textContent`)).replaceAll(
    " ",
    ""
  )
  const totp = new TOTP({ secret: Secret.fromBase32(secret) })
  const first = await type(totp.generate())
  expect(
    (
      await local()
        .with({ authorization: `Bearer ${first}` })
        .get("/v1/principals")
    ).status
  ).toBe(200)
  const [recovery] = /[0-9A-Z]{5}-[0-9A-Z]{5}/.exec(
    await page.evaluate<string>(`document.querySelector("pre").textContent`)
  )!
  await link()
  const second = await type(recovery)
  expect(
    (
      await local()
        .with({ authorization: `Bearer ${second}` })
        .get("/v1/principals")
    ).status
  ).toBe(200)
})

/** The second factor over HTTP: who needs one, what a session may do without it, and what a code is worth a second time. */
import { Secret, TOTP } from "otpauth"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { issueLink } from "@mahalla/core"
import { type Answer, type Client, makeClient } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
// Production demands it of staff where a city's settings say nothing.
beforeAll(async () => {
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    config: { mode: "production" }
  })
})
afterAll(() => kit?.close())

interface Member {
  readonly id: string
  readonly client: Client
  readonly session: {
    readonly accessToken: string
    readonly refreshToken: string
    readonly sessionId: string
    readonly secondFactor: string
  }
}

/** As a new member of staff, or once more as the one with this id. */
const signIn = async (roles: ReadonlyArray<string>, known?: string): Promise<Member> => {
  const id = known ?? (await kit.city.admin.principals.createStaff("samarkand", { name: "Somebody", roles })).id
  const token = await kit.city.admin.run("samarkand", issueLink(id))
  const visitor = makeClient(kit.samarkand.visitor.base)
  const { body: session } = await visitor.post("/v1/auth/link", { token })
  return { id, session, client: visitor.with({ authorization: `Bearer ${session.accessToken}` }) }
}

const codeOf = (secret: string, seconds = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + seconds * 1000 })

/** Sets an authenticator app up with the present code; the next one is good already. */
const enrol = async ({ client }: Member) => {
  const begun = await client.post("/v1/me/factors/totp")
  expect(begun.status).toBe(200)
  const secret = String(begun.body.secret)
  const confirmed = await client.post("/v1/me/factors/totp/confirm", { code: codeOf(secret) })
  expect([confirmed.status, confirmed.text]).toEqual([200, confirmed.text])
  return { secret, recoveryCodes: confirmed.body.recoveryCodes as ReadonlyArray<string> }
}

const show = (client: Client, code: string) => client.post("/v1/auth/second-factor", { code })
const refusedFor = (name: string, step: "verify" | "enrol", answer: Answer) => {
  expectProblem(name, answer, { status: 403, type: "second-factor-required" })
  expect(answer.body.code).toBe(step)
}
const freeTries = () => kit.sql("delete from mahalla.rate_limit where key like 'factor:%'")

describe("staff of a city that demands it", () => {
  test("set_one_up_before_anything_else", async () => {
    const member = await signIn(["municipality-admin"])
    const { client, session } = member
    expect(session.secondFactor).toBe("enrol")
    const { body } = await client.get("/openapi.json")
    const open: Array<string> = []
    for (const [path, item] of Object.entries(body.paths as Record<string, object>)) {
      for (const method of Object.keys(item)) {
        // The platform's doors have tokens of their own.
        if (path.startsWith("/v1/auth/") || path.startsWith("/v1/platform/")) continue
        const answer = await client.call(method.toUpperCase(), path.replaceAll(/\{[^}]+\}/g, member.id))
        if (answer.body?.type !== "urn:mahalla:problem:second-factor-required") open.push(`${method} ${path}`)
      }
    }
    expect(open.sort()).toEqual([
      "get /v1/me",
      "get /v1/me/factors",
      "get /v1/me/passkeys",
      "post /v1/me/factors/totp",
      "post /v1/me/factors/totp/confirm",
      "post /v1/me/passkeys",
      "post /v1/me/passkeys/options"
    ])
    refusedFor("uploads", "enrol", await client.call("POST", "/v1/uploads"))
    const { recoveryCodes } = await enrol(member)
    expect(new Set(recoveryCodes).size).toBe(10)
    expect((await client.get("/v1/principals")).status).toBe(200)
    expect((await client.get("/v1/me/factors")).body).toMatchObject({ recoveryCodes: 10, passkeys: 0 })
  })

  test("show_it_at_every_sign_in_afterwards_and_refreshing_is_no_way_around", async () => {
    const first = await signIn(["inspector"])
    const { secret } = await enrol(first)
    const again = await signIn([], first.id)
    expect(again.session.secondFactor).toBe("verify")
    refusedFor("without", "verify", await again.client.get("/v1/cases"))
    refusedFor("a second app", "verify", await again.client.post("/v1/me/factors/totp"))
    refusedFor("taking it away", "verify", await again.client.call("DELETE", "/v1/me/factors/totp"))
    const renewed = await again.client
      .with({ authorization: "" })
      .post("/v1/auth/refresh", { refreshToken: again.session.refreshToken })
    expect(renewed.status).toBe(401)
    const visitor = makeClient(kit.samarkand.visitor.base)
    const { body } = await visitor.post("/v1/auth/refresh", { refreshToken: again.session.refreshToken })
    expect(body.secondFactor).toBe("verify")
    const later = visitor.with({ authorization: `Bearer ${body.accessToken}` })
    refusedFor("refreshed", "verify", await later.get("/v1/cases"))
    expect((await show(later, codeOf(secret, 30))).body).toEqual({ secondFactor: "passed" })
    expect((await later.get("/v1/cases")).status).toBe(200)
  })

  test("case_23_who_are_given_a_role_while_signed_in_need_it_with_the_next_request", async () => {
    const [{ id }] = (await kit.sql<{ id: string }>(
      "insert into mahalla.principal (tenant_id, id, kind) values ($1, gen_random_uuid(), 'person') returning id",
      [kit.samarkand.id]
    )) as [{ id: string }]
    const { client: person, session } = await signIn([], id)
    expect(session.secondFactor).toBe("none")
    expect((await person.get("/v1/cases")).status).toBe(200)
    await kit.sql(
      "insert into mahalla.role_grant (tenant_id, id, principal_id, role) values ($1, gen_random_uuid(), $2, 'dispatcher')",
      [kit.samarkand.id, id]
    )
    refusedFor("with a role", "enrol", await person.get("/v1/cases"))
  })
})

describe("a code of an authenticator app", () => {
  test("case_17_is_taken_once_within_a_step_of_the_time_and_by_one_of_many_at_once", async () => {
    const first = await signIn(["inspector"])
    const { secret } = await enrol(first)
    const again = await signIn([], first.id)
    for (const seconds of [-90, 90])
      expectProblem(`${seconds} s off`, await show(again.client, codeOf(secret, seconds)), {
        status: 401,
        type: "sign-in-refused"
      })
    await freeTries()
    const [present, next] = [codeOf(secret), codeOf(secret, 30)]
    const answers = await Promise.all([1, 2, 3].map(() => show(again.client, next)))
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 401, 401])
    await freeTries()
    for (const code of [next, present])
      expectProblem("used, or before it", await show(again.client, code), { status: 401, type: "sign-in-refused" })
  })

  test("case_13_is_not_found_by_trying", async () => {
    const first = await signIn(["inspector"])
    await enrol(first)
    const again = await signIn([], first.id)
    await freeTries()
    const answers = await Promise.all(Array.from({ length: 100 }, () => show(again.client, "000000")))
    const tried = answers.filter((answer) => answer.status === 401).length
    expect([tried, answers.filter((answer) => answer.status === 429).length]).toEqual([5, 95])
    const written = await kit.sql(
      "select from mahalla.event where type = 'identity.factor-refused' and payload ->> 'sessionId' = $1",
      [again.session.sessionId]
    )
    expect(written).toHaveLength(5)
  })

  test("case_39_stands_sealed_in_the_database_and_so_does_no_recovery_code", async () => {
    const first = await signIn(["inspector"])
    const { recoveryCodes, secret } = await enrol(first)
    const [row] = await kit.sql<{ text: string }>(
      `select (select string_agg(row_to_json(t)::text, '') from mahalla.totp t) || (select string_agg(row_to_json(r)::text, '') from mahalla.recovery_code r)
         || (select string_agg(row_to_json(e)::text, '') from mahalla.event e) as text`
    )
    for (const hidden of [secret, Buffer.from(Secret.fromBase32(secret).bytes).toString("base64url"), ...recoveryCodes])
      expect(row!.text).not.toContain(hidden)
    // Moved to somebody else's row it does not open.
    const other = await signIn(["inspector"])
    const { secret: theirs } = await enrol(other)
    await kit.sql(
      "update mahalla.totp set secret = (select secret from mahalla.totp where principal_id = $1) where principal_id = $2",
      [first.id, other.id]
    )
    const again = await signIn([], other.id)
    for (const one of [secret, theirs]) expect((await show(again.client, codeOf(one))).status).toBe(500)
  })
})

describe("a recovery code", () => {
  test("is_good_once_however_it_is_typed_and_at_once_by_many", async () => {
    const first = await signIn(["inspector"])
    const { recoveryCodes } = await enrol(first)
    const again = await signIn([], first.id)
    const answers = await Promise.all([1, 2, 3].map(() => show(again.client, recoveryCodes[0]!)))
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 401, 401])
    await freeTries()
    expect((await show(again.client, recoveryCodes[1]!.replace("-", "").toLowerCase())).status).toBe(200)
    expectProblem("one that is none", await show(again.client, "AAAAA-AAAAA"), { status: 401, type: "sign-in-refused" })
    expect((await again.client.get("/v1/me/factors")).body.recoveryCodes).toBe(8)
    const renewed = await again.client.post("/v1/me/factors/recovery-codes")
    expect(renewed.body.recoveryCodes).toHaveLength(10)
    await freeTries()
    expectProblem("of the old set", await show(again.client, recoveryCodes[2]!), {
      status: 401,
      type: "sign-in-refused"
    })
  })
})

describe("taking it away", () => {
  test("takes_a_fresh_proof_and_leads_back_to_setting_one_up", async () => {
    const first = await signIn(["inspector"])
    await enrol(first)
    await kit.sql("update mahalla.session set proved_at = proved_at - interval '20 minutes' where id = $1", [
      first.session.sessionId
    ])
    expectProblem("too old", await first.client.call("DELETE", "/v1/me/factors/totp"), {
      status: 403,
      type: "proof-too-old"
    })
    await kit.sql("update mahalla.session set proved_at = now() where id = $1", [first.session.sessionId])
    expect((await first.client.call("DELETE", "/v1/me/factors/totp")).status).toBe(204)
    refusedFor("without one", "enrol", await first.client.get("/v1/cases"))
  })

  test("is_done_by_an_administrator_for_whoever_lost_it_and_ends_their_sessions", async () => {
    const lost = await signIn(["inspector"])
    await enrol(lost)
    const inspector = await signIn(["inspector"])
    await enrol(inspector)
    expectProblem("no right", await inspector.client.call("DELETE", `/v1/principals/${lost.id}/factors`), {
      status: 403,
      type: "forbidden"
    })
    const admin = await signIn(["municipality-admin"])
    await enrol(admin)
    expect((await admin.client.call("DELETE", `/v1/principals/${lost.id}/factors`)).status).toBe(204)
    expectProblem("ended", await lost.client.get("/v1/me"), { status: 401, type: "unauthorized" })
    expect((await signIn([], lost.id)).session.secondFactor).toBe("enrol")
  })
})

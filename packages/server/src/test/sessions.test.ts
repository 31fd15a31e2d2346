/** Sessions over HTTP: what a signed-in person sees and ends, and what an ended session is still worth. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Client, makeClient, until } from "./client.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { expectProblem } from "./problem.ts"

let kit: CityKit
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
})
afterAll(() => kit?.close())

const android =
  "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36"
const safari =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"

interface Session {
  readonly accessToken: string
  readonly refreshToken: string
  readonly sessionId: string
  readonly device: string
}

const lastCode = async (phone: string) => {
  const { body } = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
  const text = String(body.items.findLast((message: { class: string }) => message.class === "code").text)
  return /\b\d{6}\b/.exec(text)![0]
}

/** Signs in as the app does; the pause between codes is not waited for. */
const signIn = async (phone: string, more: Readonly<Record<string, unknown>> = {}, userAgent = android) => {
  await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
  const client = makeClient(kit.samarkand.visitor.base, { "user-agent": userAgent })
  expect((await client.post("/v1/auth/code", { phone })).status).toBe(202)
  const answer = await client.post("/v1/auth/session", { phone, code: await lastCode(phone), ...more })
  expect(answer.status).toBe(200)
  const session = answer.body as Session
  return { session, client: client.with({ authorization: `Bearer ${session.accessToken}` }), visitor: client }
}

const refresh = (client: Client, refreshToken: string) => client.post("/v1/auth/refresh", { refreshToken })

describe("a session", () => {
  test("is_refreshed_and_ends_with_the_next_request_after_signing_out", async () => {
    const { client, session, visitor } = await signIn("+998907000001")
    expect(session).toMatchObject({ tokenType: "Bearer", expiresIn: 900, secondFactor: "none" })
    const again = await refresh(visitor, session.refreshToken)
    expect([again.status, again.body.sessionId]).toEqual([200, session.sessionId])
    const renewed = client.with({ authorization: `Bearer ${again.body.accessToken}` })
    expect((await renewed.get("/v1/me")).status).toBe(200)
    expect((await renewed.post("/v1/auth/sign-out")).status).toBe(204)
    // Both access tokens have most of their quarter of an hour before them.
    for (const who of [client, renewed])
      expectProblem("signed out", await who.get("/v1/me"), { status: 401, type: "unauthorized" })
    expectProblem("no refresh either", await refresh(visitor, again.body.refreshToken), {
      status: 401,
      type: "sign-in-refused"
    })
  })

  test("case_5_refresh_reuse_ends_the_session_at_every_door", async () => {
    const { client, session, visitor } = await signIn("+998907000002")
    const { body } = await refresh(visitor, session.refreshToken)
    expectProblem("reused", await refresh(visitor, session.refreshToken), { status: 401, type: "sign-in-refused" })
    expectProblem("the access token", await client.get("/v1/me"), { status: 401, type: "unauthorized" })
    expectProblem("the feed", await client.get("/v1/events"), { status: 401, type: "unauthorized" })
    expectProblem("the newer one", await refresh(visitor, body.refreshToken), { status: 401, type: "sign-in-refused" })
    const rows = await kit.sql("select ended_because from mahalla.session where id = $1", [session.sessionId])
    expect(rows).toEqual([{ ended_because: "reused" }])
    await until("the person is told", async () => {
      const found = await kit.samarkand.staff["municipality-admin"].get("/v1/outbox?to=%2B998907000002")
      return found.body.items.some((message: { class: string }) => message.class === "notice")
    })
  })

  test("case_7_of_another_city_refreshes_nothing", async () => {
    const { session } = await signIn("+998907000003")
    const there = makeClient(kit.bukhara.visitor.base)
    expectProblem("elsewhere", await refresh(there, session.refreshToken), { status: 401, type: "sign-in-refused" })
    const here = await refresh(makeClient(kit.samarkand.visitor.base), session.refreshToken)
    expect(here.status).toBe(200)
  })

  test("is_seen_and_ended_by_its_owner", async () => {
    const phone = "+998907000004"
    const first = await signIn(phone)
    const second = await signIn(phone, { device: first.session.device })
    const third = await signIn(phone, {}, safari)
    const page = await third.client.get("/v1/me/sessions?limit=2")
    expect(page.body.items).toMatchObject([
      { id: third.session.sessionId, current: true, device: "Safari on iOS", signedInBy: "code" },
      { id: second.session.sessionId, current: false, device: "Chrome on Android" }
    ])
    const rest = await third.client.get(`/v1/me/sessions?limit=2&cursor=${page.body.cursor}`)
    expect(rest.body.items.map((one: { id: string }) => one.id)).toEqual([first.session.sessionId])
    expect(rest.body.cursor).toBeUndefined()
    const mine = await kit.samarkand.citizen("+998907000005")
    expectProblem("not theirs", await mine.call("DELETE", `/v1/me/sessions/${first.session.sessionId}`), {
      status: 404,
      type: "not-found"
    })
    expect((await third.client.call("DELETE", `/v1/me/sessions/${first.session.sessionId}`)).status).toBe(204)
    expectProblem("ended", await first.client.get("/v1/me"), { status: 401, type: "unauthorized" })
    expect((await third.client.post("/v1/me/sessions/end-others")).body).toEqual({ ended: 1 })
    expectProblem("ended too", await second.client.get("/v1/me"), { status: 401, type: "unauthorized" })
    expect((await third.client.get("/v1/me")).status).toBe(200)
    expectProblem("a visitor", await kit.samarkand.visitor.get("/v1/me/sessions"), {
      status: 401,
      type: "unauthorized"
    })
  })

  test("on_a_new_device_is_told_to_the_person_and_on_a_known_one_is_not", async () => {
    const phone = "+998907000006"
    const notices = async () => {
      const { body } = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(phone)}`)
      return body.items.filter((message: { class: string }) => message.class === "notice").length as number
    }
    const first = await signIn(phone)
    await signIn(phone, { device: first.session.device })
    await signIn(phone, {}, safari)
    await until("the notice", async () => (await notices()) > 0)
    expect(await notices()).toBe(1)
    const rows = await kit.sql<{ amount: number }>(
      "select count(*)::int as amount from mahalla.event where type = 'identity.new-device' and tenant_id = $1",
      [kit.samarkand.id]
    )
    expect(rows[0]!.amount).toBeGreaterThan(0)
  })
})

describe("a refusal", () => {
  test("is_written_down_though_nothing_else_is", async () => {
    const phone = "+998907000009"
    const { session, visitor } = await signIn(phone)
    await kit.sql(
      "update mahalla.principal set status = 'blocked' where id = (select principal_id from mahalla.session where id = $1)",
      [session.sessionId]
    )
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
    const refusals = async () =>
      (
        await kit.sql("select from mahalla.event where type = 'identity.sign-in-refused' and tenant_id = $1", [
          kit.samarkand.id
        ])
      ).length
    const before = await refusals()
    await visitor.post("/v1/auth/code", { phone })
    const code = await lastCode(phone)
    const wrong = code === "000000" ? "111111" : "000000"
    for (const given of [wrong, code])
      expectProblem(given, await visitor.post("/v1/auth/session", { phone, code: given }), {
        status: 401,
        type: "sign-in-refused"
      })
    expect((await refusals()) - before).toBe(2)
    const sessions = await kit.sql(
      "select ended_because from mahalla.session where principal_id = (select principal_id from mahalla.session where id = $1)",
      [session.sessionId]
    )
    expect(sessions).toEqual([{ ended_because: "blocked" }])
  })
})

describe("what is kept", () => {
  test("case_39_holds_no_code_token_device_or_phone_in_clear_outside_its_own_column", async () => {
    const phone = "+998907000007"
    const { session, visitor } = await signIn(phone)
    const code = await lastCode(phone)
    const again = (await refresh(visitor, session.refreshToken)).body as Session
    await visitor.post("/v1/auth/session", { phone, code: "000000" })
    const secrets = [session.accessToken, session.refreshToken, again.refreshToken, session.device].map((one) =>
      one.slice(4)
    )
    const tables = await kit.sql<{ name: string }>(
      "select c.relname as name from pg_class c where c.relnamespace = 'mahalla'::regnamespace and c.relkind in ('r', 'p') order by 1"
    )
    const found: Array<string> = []
    for (const { name } of tables) {
      const rows = await kit.sql<{ text: string }>(`select row_to_json(t)::text as text from mahalla.${name} t`)
      const text = rows.map((row) => row.text).join("\n")
      for (const secret of secrets) if (text.includes(secret)) found.push(`${name} holds a token`)
      if (name.startsWith("event") && name !== "event_personal" && text.includes(phone.slice(1)))
        found.push(`${name} holds a phone`)
      if (name.startsWith("sign_in") && (text.includes(`"${code}"`) || text.includes(phone.slice(1))))
        found.push(`${name} holds a code or phone`)
    }
    expect(found).toEqual([])
    const events = await kit.sql<{ type: string }>(
      "select type from mahalla.event where tenant_id = $1 and type like 'identity.%' group by type order by type",
      [kit.samarkand.id]
    )
    expect(events.map((row) => row.type)).toEqual(
      expect.arrayContaining(["identity.signed-in", "identity.sign-in-refused", "identity.session-ended"])
    )
  })
})

describe("the keys", () => {
  test("that_sign_access_tokens_are_published", async () => {
    const { session } = await signIn("+998907000008")
    const header = JSON.parse(Buffer.from(session.accessToken.split(".")[0]!, "base64url").toString()) as {
      kid: string
      typ: string
    }
    const jwks = await kit.samarkand.visitor.get("/.well-known/jwks.json")
    expect(jwks.body.keys.map((key: { kid: string }) => key.kid)).toContain(header.kid)
    expect(header.typ).toBe("session+jwt")
    expect(jwks.text).not.toContain('"d"')
  })
})

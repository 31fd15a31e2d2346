/** Codes and refresh tokens used by many at once, again later, or by a server that dies: asserted on what is stored. */
import * as jose from "jose"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { type App, callback, connected, consent, newApp, requestOf, tokenCall } from "./oauth/kit.ts"

let kit: CityKit
let app: App
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907300001"))
})
afterAll(() => kit?.close())

const bearing = (token: string) => kit.samarkand.visitor.with({ authorization: `Bearer ${token}` })
const usable = async (token: string) => (await bearing(token).get("/v1/cases?owner=me")).status === 200
const grantOf = async (token: string) => {
  const [row] = await kit.sql<{ revoked_by: string | null }>(
    "select revoked_by from mahalla.oauth_grant where id = $1",
    [jose.decodeJwt(token)["grant"]]
  )
  return row?.revoked_by
}
const freshCode = async () => {
  const request = await requestOf(app)
  const answer = await consent(kit, kit.samarkand, request.url)
  return {
    grant_type: "authorization_code",
    code: answer.searchParams.get("code")!,
    redirect_uri: callback,
    code_verifier: request.verifier,
    resource: app.resource
  }
}

const outcomes = (calls: ReadonlyArray<{ status: number; body: { error?: string } }>) => ({
  good: calls.filter(({ status }) => status === 200).length,
  others: [
    ...new Set(calls.filter(({ status }) => status !== 200).map(({ body, status }) => `${status} ${body.error}`))
  ]
})

/** Grants that were ended because something of theirs was used twice. */
const endedGrants = async () => {
  const [row] = await kit.sql<{ amount: number }>(
    "select count(*)::int as amount from mahalla.oauth_grant where revoked_by = 'reuse'"
  )
  return row!.amount
}

describe("ten at once", () => {
  /** At most one is answered with tokens, and those are worth nothing: whoever was faster may be the thief. */
  const ended = async (calls: ReadonlyArray<Awaited<ReturnType<typeof tokenCall>>>) => {
    const { good, others } = outcomes(calls)
    expect([good <= 1, others]).toEqual([true, ["400 invalid_grant"]])
    const won = calls.find(({ status }) => status === 200)
    if (won === undefined) return
    expect(await grantOf(won.body.access_token)).toBe("reuse")
    expect(await usable(won.body.access_token)).toBe(false)
    const next = await tokenCall(app, { grant_type: "refresh_token", refresh_token: won.body.refresh_token })
    expect([next.status, next.body.error]).toEqual([400, "invalid_grant"])
  }

  test("redeem_one_code_once_and_it_is_worth_nothing", async () => {
    for (let round = 0; round < 5; round++) {
      const before = await endedGrants()
      const body = await freshCode()
      await ended(await Promise.all(Array.from({ length: 10 }, () => tokenCall(app, body))))
      expect(await endedGrants()).toBe(before + 1)
    }
  })

  test("renew_one_refresh_token_once_and_the_family_ends", async () => {
    for (let round = 0; round < 5; round++) {
      const before = await endedGrants()
      const { tokens } = await connected(kit, kit.samarkand, app)
      const body = { grant_type: "refresh_token", refresh_token: tokens.refresh_token!, resource: app.resource }
      await ended(await Promise.all(Array.from({ length: 10 }, () => tokenCall(app, body))))
      expect(await endedGrants()).toBe(before + 1)
      expect(await usable(tokens.access_token)).toBe(false)
    }
  })

  test("are_two_tabs_of_one_honest_app_that_must_take_turns", async () => {
    for (let round = 0; round < 2; round++) {
      const { tokens } = await connected(kit, kit.samarkand, app)
      const body = { grant_type: "refresh_token", refresh_token: tokens.refresh_token!, resource: app.resource }
      await ended(await Promise.all([tokenCall(app, body), tokenCall(app, body)]))
      expect(await grantOf(tokens.access_token)).toBe("reuse")
    }
    // One after the other, with the token that the first was given, nothing ends.
    const { tokens } = await connected(kit, kit.samarkand, app)
    let token = tokens.refresh_token!
    for (let tab = 0; tab < 3; tab++) {
      const renewed = await tokenCall(app, {
        grant_type: "refresh_token",
        refresh_token: token,
        resource: app.resource
      })
      expect(await usable(renewed.body.access_token)).toBe(true)
      token = renewed.body.refresh_token
    }
  })
})

describe("what was used", () => {
  test("ends_everything_of_a_code_that_comes_again", async () => {
    const body = await freshCode()
    const first = await tokenCall(app, body)
    expect(await usable(first.body.access_token)).toBe(true)
    const again = await tokenCall(app, body)
    expect([again.status, again.body.error]).toEqual([400, "invalid_grant"])
    expect(await grantOf(first.body.access_token)).toBe("reuse")
    expect(await usable(first.body.access_token)).toBe(false)
    const renewed = await tokenCall(app, { grant_type: "refresh_token", refresh_token: first.body.refresh_token })
    expect(renewed.body.error).toBe("invalid_grant")
  })

  test("ends_the_family_of_a_refresh_token_that_comes_again", async () => {
    const { tokens } = await connected(kit, kit.samarkand, app)
    const renew = (token: string) =>
      tokenCall(app, { grant_type: "refresh_token", refresh_token: token, resource: app.resource })
    const second = await renew(tokens.refresh_token!)
    const third = await renew(second.body.refresh_token)
    expect(await usable(third.body.access_token)).toBe(true)
    expect((await renew(tokens.refresh_token!)).body.error).toBe("invalid_grant")
    expect(await grantOf(tokens.access_token)).toBe("reuse")
    for (const token of [tokens.access_token, second.body.access_token, third.body.access_token])
      expect(await usable(token)).toBe(false)
    expect((await renew(third.body.refresh_token)).body.error).toBe("invalid_grant")
    const events = await kit.sql<{ by: string }>(
      "select payload ->> 'by' as by from mahalla.event where type = 'app.consent-revoked' and payload ->> 'principalId' = $1",
      [jose.decodeJwt(tokens.access_token).sub]
    )
    expect(events).toEqual([{ by: "reuse" }])
  })

  test("stays_without_worth_when_a_revocation_overtakes_the_renewal", async () => {
    for (let round = 0; round < 5; round++) {
      const { tokens, phone } = await connected(kit, kit.samarkand, app)
      const citizen = await kit.samarkand.citizen(phone)
      const [renewed] = await Promise.all([
        tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token!, resource: app.resource }),
        citizen.call("DELETE", `/v1/me/apps/${app.id}`)
      ])
      if (renewed.status === 200) {
        expect(await usable(renewed.body.access_token)).toBe(false)
        const next = await tokenCall(app, { grant_type: "refresh_token", refresh_token: renewed.body.refresh_token })
        expect(next.body.error).toBe("invalid_grant")
      } else expect(renewed.body.error).toBe("invalid_grant")
      expect(await usable(tokens.access_token)).toBe(false)
    }
  })
})

describe("what is stored", () => {
  test("holds_no_code_token_secret_or_phone_that_works", async () => {
    const { code, phone, request, tokens } = await connected(kit, kit.samarkand, app)
    const open = await requestOf(app)
    await consent(kit, kit.samarkand, open.url, { phone })
    const rows = await kit.sql<{ text: string }>(
      `select t::text as text from mahalla.oauth_record t union all select t::text from mahalla.oauth_client t
       union all select t::text from mahalla.oauth_secret t union all select t::text from mahalla.oauth_grant t
       union all select t::text from mahalla.oauth_error t union all select t::text from mahalla.idempotency_key t
       union all select t::text from mahalla.event t where type like 'app.%'`
    )
    expect(rows.length).toBeGreaterThan(5)
    const all = rows.map(({ text }) => text).join("\n")
    for (const secret of [
      code,
      tokens.access_token,
      tokens.refresh_token!,
      tokens.id_token!,
      app.secret!,
      phone.slice(1),
      request.verifier
    ])
      expect(all.includes(secret)).toBe(false)
  })
})

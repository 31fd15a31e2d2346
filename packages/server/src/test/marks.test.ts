/**
 * Attack case 39: what people tell a city in confidence is marked, the main ways through it are gone, also where they fail, and the marks
 * are looked for in everything that a stranger might get hold of: a dump of the database, the logs, the bodies of refusals.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Secret, TOTP } from "otpauth"
import { issueLink, requestReward } from "@mahalla/core"
import { apiVersion, definePlugin, Payments, type Plugin } from "@mahalla/core/plugin"
import { memoryPayments } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest"
import { type Answer, type Client, makeClient, newKey, rawCall, until, upload } from "./client.ts"
import { type CityKit, openCityKit, report, wrapped } from "./cityKit.ts"
import { dump, places } from "./dump.ts"
import { operations } from "./isolation/things.ts"
import { callback, connected, newApp, tokenCall } from "./oauth/kit.ts"

const phone = "+998907771177"
const stranger = "+998907772288"
const nationalId = "31907771234567"
const staffName = "Farruxbek Belgilangan"

/** A rail that says to whom it would not pay. */
const talkative = (): Plugin =>
  wrapped(
    definePlugin({
      id: "talkative-payments",
      apiVersion,
      config: Schema.Struct({}),
      provides: [Payments],
      layer: () => memoryPayments()
    })({}),
    Payments,
    (rail) => ({
      ...rail,
      pay: ({ payee }) =>
        Effect.succeed({
          state: "failed" as const,
          code: "no-such",
          message: `${payee.value} is not one of our numbers`
        })
    })
  )

/** With which the operator reads the metrics. */
const metricsToken = "a token of the operator's own, not for use"
const metrics = async () => {
  const client = makeClient(kit.url)
  expect((await client.get("/metrics")).status).toBe(401)
  const { status, text } = await client.get("/metrics", { authorization: `Bearer ${metricsToken}` })
  expect([status, text]).toEqual([200, expect.stringContaining("mahalla_http_requests_total")])
  return text
}

let kit: CityKit
let logged = ""
const refusals: Array<string> = []
const marks: Array<string> = []
/** Without the plus: so it would stand in an address or after a prefix was cut. */
const bare = (number: string) => number.slice(1)

const tell = (answer: Answer) => {
  if (answer.status >= 400) refusals.push(answer.text)
  return answer
}

beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    logged += String(chunk)
    return true
  })
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    payments: talkative(),
    config: { logFormat: "json", logLevel: "Debug", metricsToken }
  })
})
afterAll(async () => {
  await kit?.close()
  vi.restoreAllMocks()
})

/**
 * Every file that the city keeps, but for two sorts: messages on their way to people's phones, which stand here for the operator's network, and
 * the copies that people asked for of what is their own.
 */
const files = async () => {
  const found = new Map<string, string>()
  for (const entry of readdirSync(kit.home, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || /outbox-messenger|\/exports(\.dir)?\//.test(path)) continue
    found.set(path.slice(kit.home.length), `${entry.name} ${readFileSync(path, "latin1")}`)
  }
  return found
}

/** What PostgreSQL has written down itself, where it is the tests' own. */
const databaseLog = async () => {
  const [row] = await kit.sql<{ data_directory: string }>("show data_directory")
  const path = `${row!.data_directory}.log`
  return existsSync(path) ? readFileSync(path, "utf8") : ""
}

const codeOf = async (of: string) => {
  const outbox = await kit.samarkand.staff["municipality-admin"].get(`/v1/outbox?to=${encodeURIComponent(of)}`)
  return /\b\d{6}\b/.exec(String(outbox.body.items.findLast((one: { class: string }) => one.class === "code").text))![0]
}

describe("a dump, the logs and refusals hold nothing that was told in confidence", () => {
  let citizen: Client & { readonly id: string }

  test("after_signing_in_right_and_wrong", async () => {
    const client = makeClient(`${kit.url}/t/samarkand`)
    expect(tell(await client.post("/v1/auth/code", { phone })).status).toBe(202)
    const code = await codeOf(phone)
    tell(await client.post("/v1/auth/session", { phone, code: code === "000001" ? "000002" : "000001" }))
    tell(await client.post("/v1/auth/session", { phone: nationalId, code }))
    tell(await client.post("/v1/auth/session", { phone, code: `${code}x` }))
    tell(await client.get(`/v1/outbox?to=${encodeURIComponent(phone)}`))
    tell(await client.get(`/v1/${bare(phone)}`))
    const { body } = tell(await client.post("/v1/auth/session", { phone, code }))
    tell(await client.post("/v1/auth/session", { phone, code }))
    tell(await client.post("/v1/auth/code", { phone: stranger }))
    const strange = await codeOf(stranger)
    const token = String(body.accessToken)
    citizen = { ...client.with({ authorization: `Bearer ${token}` }), id: String(body.principalId) }
    tell(await client.with({ authorization: `Bearer ${token}x` }).get("/v1/me"))
    tell(await client.with({ authorization: `Bearer ${token}` }).get("/v1/event-log"))
    marks.push(bare(phone), bare(stranger), nationalId, token, ` ${code} `, `"${code}"`, ` ${strange} `, `"${strange}"`)
  })

  test("after_a_profile_a_report_its_repetition_and_a_payout_that_failed", async () => {
    tell(await citizen.call("PATCH", "/v1/me", { body: { name: `${nationalId} Mashrabov` } }))
    const admin = kit.samarkand.staff["municipality-admin"]
    const key = newKey()
    const made = tell(await admin.post("/v1/principals", { name: staffName }, { "idempotency-key": key }))
    const again = await admin.post("/v1/principals", { name: staffName }, { "idempotency-key": key })
    expect([again.status, again.body]).toEqual([201, made.body])
    expect(made.body.name).toBe(staffName)
    tell(await admin.post("/v1/principals", { name: `${staffName} II` }, { "idempotency-key": key }))
    // Found again by a part of the name, though it is nowhere to be read.
    const found = await admin.get("/v1/principals?q=farruxbek")
    expect(found.body.items.map((one: { id: string }) => one.id)).toEqual([made.body.id])
    marks.push("Mashrabov", staffName)

    const check = { register: "light-register", birthDate: "1977-07-19", consent: "1" }
    tell(await citizen.post("/v1/me/identity-checks", { ...check, number: `${nationalId}x` }))
    tell(await citizen.post("/v1/me/identity-checks", { ...check, number: nationalId, consent: nationalId }))
    expect((await citizen.post("/v1/me/identity-checks", { ...check, number: nationalId })).status).toBe(202)
    await until("the register has answered", async () => {
      const { body } = await citizen.get("/v1/me/identity-checks")
      return body.items[0].state === "not-confirmed"
    })

    const { id: caseId } = await report(citizen)
    await kit.city
      .as({ tenant: "samarkand", principal: "system" })
      .run(requestReward({ caseId, principalId: citizen.id, amount: 100n, rule: "share-of-fine" }))
    await until("the payout has failed", async () => {
      const { body } = await citizen.get("/v1/payouts")
      return body.items[0]?.state === "failed" && body.items[0].payee === `…${phone.slice(-2)}`
    })
    const [payout] = await kit.sql<{ detail: string }>("select detail from mahalla.payout where principal_id = $1", [
      citizen.id
    ])
    expect(payout!.detail).toBe("no-such: <…77> is not one of our numbers")
    // A job that breaks on a value, and keeps its error.
    await kit.sql(
      "insert into mahalla.job (tenant_id, id, topic, body, max_attempts) values ($1, gen_random_uuid(), 'payouts.pay', '{\"payoutId\": 7}', 1)",
      [kit.samarkand.id]
    )
    await until("it is dead", async () => (await kit.sql("select from mahalla.job where state = 'dead'")).length > 0)
    tell(await citizen.call("DELETE", "/v1/me", { headers: { "confirmation-code": "000000" } }))
    expect((await citizen.get("/v1/me")).body).toMatchObject({ name: `${nationalId} Mashrabov`, phone: "…77" })
  })

  test("after_sessions_that_were_renewed_copied_and_ended", async () => {
    const visitor = makeClient(kit.samarkand.visitor.base)
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '2 days'")
    await visitor.post("/v1/auth/code", { phone })
    const code = await codeOf(phone)
    const first = (await visitor.post("/v1/auth/session", { phone, code })).body
    const next = (await visitor.post("/v1/auth/refresh", { refreshToken: first.refreshToken })).body
    tell(await visitor.post("/v1/auth/refresh", { refreshToken: first.refreshToken }))
    tell(await visitor.post("/v1/auth/refresh", { refreshToken: next.refreshToken }))
    tell(await visitor.get(`/v1/me?access_token=${next.accessToken}`))
    tell(await visitor.get(`/v1/me/sessions/${first.refreshToken}`))
    tell(await visitor.post("/v1/auth/code", { phone, device: first.device }))
    const link = await kit.city.admin.run("samarkand", issueLink(kit.samarkand.staff.inspector.id))
    tell(await visitor.get(`/v1/auth/link/${link}`))
    const opened = (await visitor.post("/v1/auth/link", { token: link })).body
    tell(await visitor.post("/v1/auth/link", { token: link }))
    const secrets = [first, next, opened].flatMap((one) => [one.accessToken, one.refreshToken, one.device])
    marks.push(link, ...secrets.filter((one) => one !== undefined).map((one) => String(one).replace(/^m.._/, "")))
    marks.push(` ${code} `, `"${code}"`)
  })

  test("after_second_factors_that_were_set_up_shown_and_guessed", async () => {
    const staff = await kit.samarkand.staffMember(["inspector"])
    const { secret, uri } = tell(await staff.post("/v1/me/factors/totp")).body
    const codeAt = (seconds: number) =>
      new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + seconds * 1000 })
    tell(await staff.post("/v1/me/factors/totp/confirm", { code: codeAt(-600) }))
    const { recoveryCodes } = tell(await staff.post("/v1/me/factors/totp/confirm", { code: codeAt(0) })).body
    expect(recoveryCodes).toHaveLength(10)
    const again = await kit.samarkand.signedIn(staff.id)
    tell(await again.post("/v1/auth/second-factor", { code: `${recoveryCodes[0]}x` }))
    tell(await again.post("/v1/auth/second-factor", { code: recoveryCodes[1] }))
    tell(await again.post("/v1/auth/second-factor", { code: recoveryCodes[1] }))
    tell(await again.get(`/v1/me?code=${recoveryCodes[2]}`))
    const raw = Buffer.from(Secret.fromBase32(secret).bytes).toString("latin1")
    marks.push(secret, new URL(uri).searchParams.get("secret")!, raw, ...recoveryCodes)
  })

  test("case_19_after_keys_in_addresses_headers_and_bodies_where_they_do_not_belong", async () => {
    const admin = kit.samarkand.staff["municipality-admin"]
    const { key, id } = tell(await admin.post("/v1/api-keys", { name: "A partner", scopes: ["principal.read"] })).body
    const visitor = makeClient(kit.samarkand.visitor.base)
    const withKey = visitor.with({ authorization: `Bearer ${key}` })
    for (const ask of [
      () => withKey.get("/v1/principals"),
      () => visitor.get(`/v1/principals?api_key=${key}&access_token=${key}`),
      () => visitor.get(`/v1/${key}`),
      () => visitor.get(`/v1/api-keys/${key}`),
      () => visitor.with({ authorization: key }).get("/v1/me"),
      () => visitor.with({ authorization: `Basic ${Buffer.from(`key:${key}`).toString("base64")}` }).get("/v1/me"),
      () => visitor.with({ "x-api-key": key, cookie: `key=${key}`, "user-agent": key }).get("/v1/principals"),
      () => visitor.get("/v1/me", { referer: `https://partner.example/?key=${key}` }),
      () => visitor.post("/v1/auth/link", { token: key }),
      () => visitor.post("/v1/auth/session", { phone: key, code: key, device: key }),
      () => withKey.with({ "idempotency-key": key }).post("/v1/principals", { name: key }),
      () => admin.call("DELETE", `/v1/api-keys/${id}`),
      () => withKey.get("/v1/principals")
    ])
      tell(await ask())
    expect((await withKey.get("/v1/principals")).status).toBe(401)
    marks.push(key.slice(12))
  })

  test("after_an_app_that_was_let_in_and_did_everything_wrong", async () => {
    const app = await newApp(kit.samarkand, await kit.samarkand.citizen("+998907773399"))
    const { code, phone: theirs, request, tokens } = await connected(kit, kit.samarkand, app)
    const bad = async (answer: Promise<{ status: number; body: object }>) => {
      const { body, status } = await answer
      expect(status).toBeGreaterThanOrEqual(400)
      refusals.push(JSON.stringify(body))
    }
    const redemption = {
      grant_type: "authorization_code",
      code,
      redirect_uri: callback,
      code_verifier: request.verifier
    }
    await bad(tokenCall({ ...app, secret: `${app.secret}x` }, redemption))
    await bad(tokenCall(app, { ...redemption, redirect_uri: `${callback}?phone=${bare(phone)}` }))
    await bad(tokenCall(app, redemption))
    await bad(tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! }))
    await bad(
      tokenCall(app, { grant_type: "refresh_token", refresh_token: tokens.access_token, scope: tokens.id_token! })
    )
    for (const token of [tokens.access_token, tokens.id_token!])
      for (const url of [
        `${app.server.userinfo_endpoint}?access_token=${token}`,
        `${app.issuer}/${token}`,
        `${app.issuer}/auth?client_id=${app.id}&id_token_hint=${token}&login_hint=${bare(phone)}`
      ])
        refusals.push(await (await fetch(url, { redirect: "manual" })).text())
    tell(await kit.samarkand.visitor.with({ authorization: `Bearer ${tokens.access_token}` }).get("/v1/me"))
    const errors = await kit.samarkand.staff["municipality-admin"].get(`/v1/apps/${app.id}/errors`)
    refusals.push(errors.text)
    marks.push(
      app.secret!,
      code,
      request.verifier,
      tokens.access_token,
      tokens.refresh_token!,
      tokens.id_token!,
      bare(theirs)
    )
  })

  test("after_every_door_was_given_marks_where_it_wants_something_else", async () => {
    const { accessToken } = (
      await kit.samarkand.visitor.post("/v1/auth/link", {
        token: await kit.city.admin.run("samarkand", issueLink(kit.samarkand.staff.auditor.id))
      })
    ).body
    marks.push(accessToken)
    const admin = kit.samarkand.staff["municipality-admin"]
    const clients = [citizen, admin, kit.samarkand.visitor]
    for (const [place, { method, path }] of (await operations(kit)).entries()) {
      const client = clients[place % clients.length]!
      for (const mark of [phone, nationalId, String(accessToken)]) {
        const target = path.replaceAll(/\{[^}]+\}/g, encodeURIComponent(mark))
        const query = ["q", "to", "cursor", "limit", "after", "owner", "type", "state", "bbox"]
        const body = Object.fromEntries(
          [
            "phone",
            "code",
            "token",
            "refreshToken",
            "device",
            "name",
            "data",
            "text",
            "place",
            "attachments",
            "id",
            "role",
            "scopes",
            "reason"
          ].map((name) => [name, mark])
        )
        const headers = {
          "if-match": `"${bare(mark)}"`,
          "tus-resumable": mark,
          "upload-length": mark,
          "upload-metadata": mark
        }
        const plain = method === "GET" || method === "HEAD"
        tell(
          await client.call(
            method,
            plain ? `${target}?${query.map((name) => `${name}=${encodeURIComponent(mark)}`).join("&")}` : target,
            plain ? {} : { body, headers }
          )
        )
      }
    }
    for (const text of [
      `{"phone":"${phone}"`,
      `{"phone":${phone}}`,
      `${nationalId}`,
      `["${accessToken}"]`,
      `${accessToken}`
    ])
      tell(
        await citizen.call("POST", "/v1/cases/traffic-report", {
          body: text,
          headers: { "content-type": "application/json" }
        })
      )
    tell(await rawCall(kit.url, "GET", `/${bare(phone)}`, { "x-forwarded-for": phone, host: `${bare(phone)}.example` }))
    tell(
      await rawCall(kit.url, bare(nationalId) === "" ? "GET" : "REPORT", `/t/samarkand/v1/${nationalId}`, {
        accept: phone,
        "accept-language": phone
      })
    )
    const file = await upload(citizen, Buffer.from(`no picture, but ${phone}`), "photo.jpg")
    tell(file.answer)
  })

  test("after_a_copy_and_the_end_of_an_account", async () => {
    const gone = "+998907774400"
    const person = await kit.samarkand.citizen(gone)
    await person.call("PATCH", "/v1/me", { body: { name: "Belgi Ketgan" } })
    await report(person, { description: "Seen by Belgi Ketgan" })
    tell(await person.post("/v1/me/export"))
    await until("the copy is made", async () => (await person.get("/v1/me/export")).body.state === "done")
    await kit.sql("update mahalla.sign_in_code set sent_at = sent_at - interval '1 hour'")
    await person.post("/v1/auth/code", { phone: gone, purpose: "delete-account" })
    const code = await codeOf(gone)
    const answer = await person.call("DELETE", "/v1/me", { headers: { "confirmation-code": code } })
    expect(answer.status).toBe(202)
    await until(
      "it is over",
      async () => (await kit.samarkand.visitor.get(`/v1/erasures/${answer.body.id}`)).body.state === "done"
    )
    tell(await person.get("/v1/me"))
    marks.push(bare(gone), "Belgi Ketgan", ` ${code} `, `"${code}"`)
  })

  test("case_39_nowhere_is_a_mark", async () => {
    expect(marks.length).toBeGreaterThan(40)
    const texts = new Map([
      ...(await dump(kit.sql)),
      ...(await files()),
      ["the logs", logged],
      ["the database's log", await databaseLog()],
      ...refusals.map((text) => [`refusal ${text.slice(0, 400)}`, text] as const),
      ["checkpoints", readFileSync(`${kit.home}/checkpoints/${kit.samarkand.id}.checkpoints`, "utf8")],
      ["metrics", await metrics()],
      ["cases as CSV", (await kit.samarkand.staff.inspector.get("/v1/cases.csv")).text],
      ["the log's export", (await kit.samarkand.staff.auditor.get("/v1/audit/export")).text]
    ])
    expect(places(texts, marks)).toEqual([])
    // And it was looked for where something is.
    expect(refusals.length).toBeGreaterThan(200)
    expect(logged).toContain('"message":"request"')
    for (const table of ["principal", "event_personal", "idempotency_key", "payout", "message", "event_order", "job"])
      expect([table, (texts.get(table) ?? "").length > 0]).toEqual([table, true])
    // In every form in which one would be found.
    const spelt = ["+998 90 777-11-77", "(90) 777 11 77", "90.777.11.77", bare(phone), encodeURIComponent(phone)]
    const packed = (text: string) =>
      ["hex", "base64", "base64url"].map((form) => Buffer.from(text).toString(form as "hex"))
    for (const text of [...spelt, ...packed(bare(phone)), ...packed(`{"to":"${phone}"}`), ...packed(`(x) ${phone} y`)])
      expect([text, places(new Map([["a row", `(x,${text})`]]), [bare(phone)])]).toEqual([
        text,
        [`a row: ${bare(phone)}`]
      ])
  })
})

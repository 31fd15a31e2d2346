/** Attacks with tokens: forged ones, and real ones in a place that they are not for. */
import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as oauth from "oauth4webapi"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"
import { type Answer, type Client, makeClient, newKey } from "../client.ts"
import { type CityKit, openCityKit } from "../cityKit.ts"
import { operations } from "../isolation/things.ts"
import { type App, callback, connected, consent, newApp, plain, redeem, requestOf, tokenCall } from "../oauth/kit.ts"

let kit: CityKit
let citizen: Client & { readonly id: string }
let app: App
let appToken: string
let apiKey: string
/** Counts who comes to the addresses that forged tokens name. */
let visits = 0
const listener = createServer((_request, response) => {
  visits++
  response.end('{"keys":[]}')
})
beforeAll(async () => {
  kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  citizen = await kit.samarkand.citizen("+998938000001")
  app = await newApp(kit.samarkand, citizen)
  appToken = (await connected(kit, kit.samarkand, app)).tokens.access_token
  const made = await kit.samarkand.staff["municipality-admin"].post("/v1/api-keys", {
    name: "A partner",
    scopes: ["principal.read"]
  })
  apiKey = made.body.key
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
})
afterAll(async () => {
  listener.close()
  await kit?.close()
})

const sessionToken = (of: Client) => of.headers["authorization"]!.slice("Bearer ".length)
const bearing = (token: string, base = kit.samarkand.visitor.base) =>
  makeClient(base, { authorization: `Bearer ${token}` })
const filled = (path: string) =>
  path
    .replace("{type}", "traffic-report")
    .replaceAll("{kind}", "parent")
    .replaceAll(/\{[^}]+\}/g, newKey())

/** What a token opens of every address that there is: all but those where it was refused for what it is. */
const opened = async (client: Client) => {
  const found: Array<string> = []
  for (const { method, path } of await operations(kit)) {
    // The platform has tokens of its own.
    if (path.startsWith("/v1/platform")) continue
    const answer = await client.call(method, filled(path), method === "GET" || method === "HEAD" ? {} : { body: {} })
    const { status } = answer
    // Whatever is wrong in itself may be refused before anybody is asked for.
    const before = status === 400 && answer.body?.type === "urn:mahalla:problem:invalid-input" && method !== "GET"
    if (status === 401 || before || (path.includes("/uploads") && status === 412)) continue
    found.push(`${method} ${path}: ${status}`)
  }
  return found
}

describe("case 7", () => {
  test("case_07_real_tokens_of_every_kind_open_no_address_of_another_city_or_audience", async () => {
    const elsewhere = kit.bukhara.visitor.base
    const request = await requestOf(app)
    const userinfo = await redeem(app, await consent(kit, kit.samarkand, request.url), request)
    for (const [name, client] of [
      ["a session's", bearing(sessionToken(citizen), elsewhere)],
      ["an app's", bearing(appToken, elsewhere)],
      ["a key", bearing(apiKey, elsewhere)],
      ["for userinfo", bearing(userinfo.access_token)],
      ["an id token", bearing(userinfo.id_token!)],
      ["a refresh token", bearing(userinfo.refresh_token!)]
    ] as const)
      expect([name, await opened(client)]).toEqual([name, []])
    const info = await fetch(app.server.userinfo_endpoint!.replace("/samarkand/", "/bukhara/"), {
      headers: { authorization: `Bearer ${userinfo.access_token}` }
    })
    expect(info.status).toBe(401)
  })

  test("case_07_what_one_app_holds_is_worth_nothing_to_another", async () => {
    const other = await newApp(kit.samarkand, citizen)
    const { tokens } = await connected(kit, kit.samarkand, app)
    const stolen = await tokenCall(other, { grant_type: "refresh_token", refresh_token: tokens.refresh_token! })
    expect([stolen.status, stolen.body.error]).toEqual([400, "invalid_grant"])
    const request = await requestOf(app)
    const code = (await consent(kit, kit.samarkand, request.url)).searchParams.get("code")!
    const given = { grant_type: "authorization_code", code, redirect_uri: callback, code_verifier: request.verifier }
    expect((await tokenCall(other, given)).body.error).toBe("invalid_grant")
    for (const token of [tokens.access_token, tokens.refresh_token!]) {
      const response = await oauth.introspectionRequest(other.server, other.client, other.auth, token, plain)
      expect(((await response.json()) as { active?: boolean }).active).not.toBe(true)
      await oauth.revocationRequest(other.server, other.client, other.auth, token, plain)
    }
    expect((await bearing(tokens.access_token).get("/v1/cases?owner=me")).status).toBe(200)
  })
})

describe("case 8", () => {
  const part = (value: unknown) =>
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
  const read = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString()) as Record<string, unknown>

  /** Everything that is done to tokens, to one that was good: signed with a key of the attacker's, or not at all. */
  const forgeries = (token: string, theirs: KeyObject, publicKey: KeyObject, victim: string) => {
    const [header, body, signature] = token.split(".") as [string, string, string]
    const [head, claims] = [read(header), read(body)]
    const at = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/keys`
    const jwk = publicKey.export({ format: "jwk" })
    const hash = head["alg"] === "ES256" ? "sha256" : null
    const signed = (input: string) =>
      `${input}.${signBytes(hash, Buffer.from(input), { key: theirs, dsaEncoding: "ieee-p1363" }).toString("base64url")}`
    const forged = (more: Record<string, unknown>, text: string = part({ ...claims, sub: victim })) =>
      signed(`${part({ ...head, ...more })}.${text}`)
    const twice = (name: string, value: unknown) =>
      part(`{${JSON.stringify(name)}:${JSON.stringify(value)},${JSON.stringify(claims).slice(1)}`)
    const hmac = (secret: string) => {
      const input = `${part({ ...head, alg: "HS256" })}.${part({ ...claims, sub: victim })}`
      return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`
    }
    return {
      "alg none": `${part({ ...head, alg: "none" })}.${body}.`,
      "alg nOnE": `${part({ ...head, alg: "nOnE" })}.${part({ ...claims, sub: victim })}.`,
      "alg none with the old signature": `${part({ ...head, alg: "none" })}.${body}.${signature}`,
      "no alg": forged({ alg: undefined }),
      "HS256 with nothing": hmac(""),
      "HS256 with the key's name": hmac(String(head["kid"])),
      "RS256 in name": forged({ alg: "RS256" }),
      "ES256K in name": forged({ alg: "ES256K" }),
      "a key of theirs under our kid": forged({}),
      "a foreign kid": forged({ kid: "theirs" }),
      "a kid that is a path": forged({ kid: "../../../../dev/null" }),
      "a kid that is SQL": forged({ kid: "x' union select 'AA' --" }),
      "a kid that is no text": forged({ kid: { $ne: "" } }),
      "no kid": forged({ kid: undefined }),
      "jwk in the header": forged({ jwk }),
      "jwk and no kid": forged({ jwk, kid: undefined }),
      jku: forged({ jku: at }),
      x5u: forged({ x5u: at }),
      x5c: forged({ x5c: [Buffer.alloc(64).toString("base64")] }),
      "all of them": forged({ jwk, jku: at, x5u: at, x5t: "AAAA", kid: at }),
      "a critical extension": forged({ crit: ["b64"], b64: false }),
      "alg twice": signed(`${part(`{"alg":"none",${JSON.stringify(head).slice(1)}`)}.${body}`),
      "another subject": `${header}.${part({ ...claims, sub: victim })}.${signature}`,
      "subject twice": `${header}.${twice("sub", victim)}.${signature}`,
      "subject twice, signed by them": forged({}, twice("sub", victim)),
      "expired and prolonged": `${header}.${part({ ...claims, exp: 9_999_999_999 })}.${signature}`,
      "an audience of many": forged({}, part({ ...claims, aud: [claims["aud"], "https://evil.example"] })),
      "prototype pollution": forged(
        {},
        part(`{"__proto__":{"sub":${JSON.stringify(victim)}},${JSON.stringify(claims).slice(1)}`)
      ),
      "no claims": `${header}.${part({})}.${signature}`,
      "claims that are no object": `${header}.${part("null")}.${signature}`,
      "four parts": `${token}.${signature}`,
      "a signature of zeros": `${header}.${body}.${Buffer.alloc(64).toString("base64url")}`,
      "no signature": `${header}.${body}.`,
      huge: `${header}.${part({ ...claims, more: "x".repeat(8_000) })}.${signature}`
    }
  }
  const shapeOf = ({ body, headers, status }: Answer) => {
    const names = [...headers.keys()].filter((name) => name !== "date").toSorted()
    return JSON.stringify([status, headers.get("www-authenticate"), names, { ...body, requestId: "", detail: "" }])
  }

  test("case_08_every_forged_token_gets_one_answer_at_every_kind_of_door_and_none_makes_us_look_anywhere", async () => {
    const victim = kit.samarkand.staff["municipality-admin"].id
    const ed = generateKeyPairSync("ed25519")
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const doors: ReadonlyArray<(client: Client) => Promise<Answer>> = [
      (client) => client.get("/v1/cases?owner=me"),
      (client) => client.get("/v1/city"),
      (client) => client.post("/v1/cases/traffic-report", {}),
      (client) => client.call("POST", "/v1/uploads", { headers: { "tus-resumable": "1.0.0", "upload-length": "5" } }),
      (client) => client.get("/v1/events")
    ]
    for (const [family, all] of [
      ["a session's", forgeries(sessionToken(citizen), ed.privateKey, ed.publicKey, victim)],
      ["an app's", forgeries(appToken, ec.privateKey, ec.publicKey, victim)]
    ] as const) {
      const shapes = new Map<string, string>()
      const details = new Set<string>()
      for (const [name, token] of Object.entries(all)) {
        for (const [place, door] of doors.entries()) {
          const answer = await door(bearing(token))
          expect([family, name, place, answer.status]).toEqual([family, name, place, 401])
          if (place > 0) continue
          shapes.set(shapeOf(answer), name)
          details.add(String(answer.body.detail))
        }
      }
      expect([family, [...shapes.values()].length]).toEqual([family, 1])
      // In words: one for each family, and what cannot be told is answered as a session's.
      expect(details.size).toBeLessThanOrEqual(2)
    }
    expect(visits).toBe(0)
    expect((await bearing("x".repeat(15_000)).get("/v1/city")).status).toBe(401)
    expect(
      (
        await bearing("x".repeat(60_000))
          .get("/v1/city")
          .catch(() => ({ status: 431 }))
      ).status
    ).toBe(431)
    for (const good of [sessionToken(citizen), appToken])
      expect((await bearing(good).get("/v1/cases?owner=me")).status).toBe(200)
  })
})

describe("case 9", () => {
  test("case_09_an_apps_token_opens_no_address_but_its_scopes", async () => {
    const found: Array<string> = []
    for (const { method, path } of await operations(kit)) {
      if (path.startsWith("/v1/platform")) continue
      const { body, status } = await bearing(appToken).call(
        method,
        filled(path),
        method === "GET" || method === "HEAD" ? {} : { body: {} }
      )
      if (status === 401 || (status === 403 && /scopes .* do not open/.test(body?.detail))) continue
      if (status === 400 && method !== "GET" && body?.type === "urn:mahalla:problem:invalid-input") continue
      found.push(`${method} ${path}`)
    }
    const inScope =
      /^(GET \/v1\/(cases|attachments|city|territories|case-types|offences)|(POST|PUT|DELETE) \/v1\/cases\/|(POST|PATCH|HEAD|GET|DELETE|OPTIONS) \/v1\/uploads)/
    expect(found.filter((one) => !inScope.test(one))).toEqual([])
    expect(found.length).toBeGreaterThan(5)
  })

  test("case_09_a_sessions_token_is_no_token_at_any_address_of_the_provider", async () => {
    const token = sessionToken(citizen)
    const { server } = app
    const form = (fields: Record<string, string>) => ({ method: "POST", body: new URLSearchParams(fields) })
    const basic = { authorization: `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString("base64")}` }
    const asBearer = { authorization: `Bearer ${token}` }
    const asked: ReadonlyArray<readonly [string, string, RequestInit, number]> = [
      ["userinfo", server.userinfo_endpoint!, { headers: asBearer }, 401],
      ["userinfo by POST", server.userinfo_endpoint!, { ...form({ access_token: token }) }, 401],
      ["introspection in its name", server.introspection_endpoint!, { ...form({ token }), headers: asBearer }, 401],
      ["revocation in its name", server.revocation_endpoint!, { ...form({ token }), headers: asBearer }, 401],
      [
        "PAR in its name",
        server.pushed_authorization_request_endpoint!,
        { ...form({ client_id: app.id }), headers: asBearer },
        401
      ],
      [
        "a token in its name",
        server.token_endpoint!,
        { ...form({ grant_type: "refresh_token" }), headers: asBearer },
        401
      ]
    ]
    for (const [name, url, init, status] of asked) {
      const response = await fetch(url, init)
      await response.arrayBuffer()
      expect([name, response.status >= 400 && response.status <= status]).toEqual([name, true])
    }
    for (const hint of ["access_token", "refresh_token", "authorization_code"]) {
      const about = { token, token_type_hint: hint }
      const inspected = await fetch(server.introspection_endpoint!, { ...form(about), headers: basic })
      expect([hint, ((await inspected.json()) as { active?: boolean }).active ?? false]).toEqual([hint, false])
      await fetch(server.revocation_endpoint!, { ...form(about), headers: basic })
    }
    for (const grant of [
      { grant_type: "refresh_token", refresh_token: token },
      { grant_type: "authorization_code", code: token, redirect_uri: callback, code_verifier: "x".repeat(43) },
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: token,
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token"
      },
      { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: token }
    ])
      expect([grant.grant_type, (await tokenCall(app, grant)).status]).toEqual([grant.grant_type, 400])
    const assertion = await tokenCall(
      { ...app, secret: null },
      {
        grant_type: "refresh_token",
        client_assertion: token,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      }
    )
    expect([assertion.status >= 400, assertion.body.access_token]).toEqual([true, undefined])
    // And nothing of all this has ended the session.
    expect((await bearing(token).get("/v1/me")).status).toBe(200)
  })
})

describe("case 23", () => {
  test("case_23_writes_end_with_the_role_and_with_the_person", async () => {
    const admin = kit.samarkand.staff["municipality-admin"]
    const person = await kit.samarkand.staffMember([])
    const give = () => admin.post(`/v1/principals/${person.id}/grants`, { role: "municipality-admin" })
    const writes = async (amount: number) =>
      (
        await Promise.all(Array.from({ length: amount }, () => person.post("/v1/principals", { name: "Made after" })))
      ).map(({ status }) => status)
    const kept = async () =>
      (
        await kit.sql<{ amount: number }>(
          "select count(*)::int as amount from mahalla.event where type = 'principal.created' and actor_id = $1",
          [person.id]
        )
      )[0]!.amount
    const grant = await give()
    expect(await writes(1)).toEqual([201])
    await admin.call("DELETE", `/v1/principals/${person.id}/grants/${grant.body.id}`)
    expect(new Set(await writes(10))).toEqual(new Set([403]))
    await give()
    expect(await writes(1)).toEqual([201])
    const before = await kept()
    await kit.sql("update mahalla.principal set status = 'blocked' where id = $1", [person.id])
    expect(new Set(await writes(10))).toEqual(new Set([401]))
    expect(await kept()).toBe(before)
  })
})

/** What the provider needs of a deployment: refused at the start where it is missing, and followed where it is there. */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { type CityConfig, createCity, identity, oauth, security } from "@mahalla/core"
import { freshDatabase } from "@mahalla/core/testing"
import { filesystem } from "@mahalla/filesystem"
import { outboxMessenger } from "@mahalla/outbox-messenger"
import { postgres } from "@mahalla/postgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as jose from "jose"
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest"
import { ensureProgram } from "../../../../scripts/services/debian.ts"
import { serve } from "../serve.ts"
import { type CityKit, openCityKit } from "./cityKit.ts"
import { rawCall } from "./client.ts"
import { newApp, tokenCall } from "./oauth/kit.ts"

const scope = Scope.makeUnsafe()
let home: string
let databaseUrl: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "mahalla-oauth-"))
  const database = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  databaseUrl = Redacted.value(database.owner)
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await rm(home, { recursive: true, force: true })
})

const cityWith = (config: Partial<CityConfig>) =>
  createCity({
    home,
    secret: "a secret for the tests of setting up, not for use",
    plugins: [postgres({ url: databaseUrl, maxConnections: 6 }), filesystem({}), outboxMessenger({})],
    modules: [security(), identity(), oauth()],
    logFormat: "silent",
    ...config
  })

/** An https server inside the network, with a certificate made for the occasion; hears how often it is asked. */
const innerServer = async (asked: () => void) => {
  const [key, cert] = [join(home, "inner.key"), join(home, "inner.pem")]
  await promisify(execFile)(await ensureProgram("openssl"), [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", "/CN=inner", "-keyout", key, "-out", cert]
  ])
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (_request, response) => {
    asked()
    response.end('{"keys":[]}')
  })
  await new Promise<void>((resolve) => server.listen(0, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}

describe("outside dev", () => {
  test.each([
    ["without_an_address", {}, /Set publicUrl, as https:/],
    ["with_an_address_in_the_clear", { publicUrl: "http://city.example" }, /codes and tokens would go in the clear/]
  ])("does_not_start_%s", async (_name, config, message) => {
    const city = cityWith(config)
    await expect(city.start()).rejects.toMatchObject({
      _tag: "CityError",
      reason: "Config",
      message: expect.stringMatching(message)
    })
    await city.close()
  })

  test("serves_https_addresses_behind_a_trusted_proxy_and_nobody_else", async () => {
    const warnings = vi.spyOn(console, "warn")
    const told = [vi.spyOn(console, "info"), vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")]
    const city = cityWith({ publicUrl: "https://city.example", trustedProxies: ["127.0.0.1"] })
    await city.start()
    await city.admin.tenants.create({
      slug: "samarkand",
      name: "Samarkand",
      hosts: ["samarkand.example"],
      settings: {
        timeZone: "Asia/Samarkand",
        languages: ["en"],
        country: "UZ",
        currency: "UZS",
        calendar: { days: [1], from: "09:00", to: "18:00", holidays: [] },
        corsOrigins: []
      }
    })
    const serving = await serve(city, { port: 0, host: "127.0.0.1" })
    const url = `http://127.0.0.1:${serving.port}`
    const path = "/oauth/.well-known/openid-configuration"
    const secure = { host: "samarkand.example", "x-forwarded-proto": "https" }
    const answer = await rawCall(url, "GET", path, secure)
    expect(answer.body.issuer).toBe("https://samarkand.example/oauth")
    expect(answer.body.token_endpoint).toBe("https://samarkand.example/oauth/token")
    const inPath = await rawCall(url, "GET", `/t/samarkand${path}`, { ...secure, host: "city.example" })
    expect(inPath.body.issuer).toBe("https://samarkand.example/oauth")
    const rfc8414 = await rawCall(url, "GET", "/.well-known/oauth-authorization-server/oauth", secure)
    expect(rfc8414.body.issuer).toBe("https://samarkand.example/oauth")
    const inTheClear = await rawCall(url, "GET", path, { host: "samarkand.example" })
    expect([inTheClear.status, inTheClear.body.detail]).toEqual([400, expect.stringContaining("trustedProxies")])
    // Cookies of an https address are for https only.
    const begun = await rawCall(url, "GET", "/oauth/auth?client_id=none", secure)
    expect(begun.status).toBe(400)
    const stranger = await rawCall(url, "GET", path, { ...secure, "x-forwarded-host": "evil.example" })
    expect(stranger.text).not.toContain("evil.example")
    // `fetch` says that it cannot carry this.
    const carried = await city.fetch(new Request(`https://samarkand.example${path}`))
    expect(carried.status).toBe(501)
    // The library complains on the console of everything that was left as it is for development.
    const said = [warnings, ...told].flatMap((spy) => spy.mock.calls.flat().map(String)).join("\n")
    expect(said).not.toMatch(/oidc-provider|SHOULD|MUST|WARNING/)
    vi.restoreAllMocks()
    await serving.close(1_000)
  })
})

describe("a city without the module", () => {
  test("has_neither_its_addresses_nor_its_tables_and_takes_no_app_tokens", async () => {
    const database = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
    const city = cityWith({
      plugins: [postgres({ url: Redacted.value(database.owner) }), filesystem({}), outboxMessenger({})],
      modules: [security(), identity()]
    })
    await city.start()
    const serving = await serve(city, { port: 0, host: "127.0.0.1" })
    const url = `http://127.0.0.1:${serving.port}`
    expect((await rawCall(url, "GET", "/oauth/.well-known/openid-configuration")).status).toBe(404)
    const document = await rawCall(url, "GET", "/openapi.json")
    expect(Object.keys(document.body.paths).filter((path) => path.startsWith("/v1/apps"))).toEqual([])
    await serving.close(1_000)
  })
})

describe("the provider's own requests", () => {
  let kit: CityKit
  beforeAll(async () => {
    kit = await openCityKit({ postgresUrl: inject("postgresUrl") })
  })
  afterAll(() => kit?.close())

  test("go_to_no_address_of_our_own_network", async () => {
    let calls = 0
    const inner = await innerServer(() => calls++)
    // Its certificate is nobody's; only the guard stands between.
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0")
    const reachable = await fetch(`https://127.0.0.1:${inner.port}/`)
    expect([reachable.status, calls]).toEqual([200, 1])
    const developer = await kit.samarkand.citizen("+998907700001")
    const { privateKey } = await jose.generateKeyPair("ES256")
    for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]) {
      const jwksUri = `https://${host}:${inner.port}/jwks`
      const app = await newApp(kit.samarkand, developer, {
        auth: "private_key_jwt",
        jwksUri,
        grantTypes: ["client_credentials"],
        redirectUris: [],
        scopes: ["cases.read-all"]
      })
      const assertion = await new jose.SignJWT({ jti: crypto.randomUUID() })
        .setProtectedHeader({ alg: "ES256" })
        .setIssuer(app.id)
        .setSubject(app.id)
        .setAudience(app.issuer)
        .setIssuedAt()
        .setExpirationTime("1 minute")
        .sign(privateKey)
      const call = await tokenCall(app, {
        grant_type: "client_credentials",
        client_assertion: assertion,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      })
      expect([jwksUri, call.status, call.body.error]).toEqual([jwksUri, 401, "invalid_client"])
    }
    expect(calls).toBe(1)
    vi.unstubAllEnvs()
    inner.close()
  })
})

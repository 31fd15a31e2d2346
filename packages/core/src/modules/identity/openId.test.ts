/** OpenID providers below HTTP: what claims must say, what a change of keys and the sweep do, and where requests do not go. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { assert, describe, it, layer } from "@effect/vitest"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { TenantTx, withTenant } from "../../kernel/db/Database.ts"
import { Deployment, type DeploymentFacts } from "../../kernel/Deployment.ts"
import { RequestInfo } from "../../kernel/http/Door.ts"
import { newId } from "../../kernel/ids.ts"
import { OutwardNetworks } from "../../kernel/outward/networks.ts"
import { resealTurn, rotateTenantKey } from "../../kernel/personal/reseal.ts"
import { Actor, system } from "../../kernel/policy/Principal.ts"
import type { TenantSettings } from "../../kernel/tenancy/Tenant.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { enterByIdentity, invitedColumn, meets } from "./openIdAccounts.ts"
import { OpenIdClients } from "./openIdClient.ts"
import { openIdPlace } from "./openIdHandlers.ts"
import { listInvitations } from "./openIdLinks.ts"
import type { OutsideIdentity, Provider } from "./openIdModel.ts"
import { providerInForce, putProvider } from "./openIdProviders.ts"
import { openIdSealed } from "./openIdSealed.ts"
import { sweepIdentity } from "./sweep.ts"

const migrations = ["0001_identity", "0002_sessions-and-factors", "0004_openid"].map((name) =>
  readMigration("identity", new URL(`./migrations/${name}.sql`, import.meta.url))
)
const rooms = testKernel({ postgresUrl: inject("postgresUrl"), migrations })

const provider: Provider = {
  id: "country",
  title: { en: "The country" },
  issuer: "https://id.example",
  clientId: "the-city",
  scopes: ["openid"],
  admits: ["citizens"],
  requires: {},
  secondFactor: null,
  redirectUris: [],
  active: true
}
const identity = (change: Partial<OutsideIdentity> = {}): OutsideIdentity => ({
  issuer: provider.issuer,
  subject: "somebody",
  email: undefined,
  name: undefined,
  secondFactor: false,
  at: undefined,
  claims: {},
  ...change
})

describe("what a city requires", () => {
  it("is_met_by_the_claims_themselves_and_by_nothing_that_looks_like_them", () => {
    const rows: ReadonlyArray<readonly [Provider["requires"], Partial<OutsideIdentity>, boolean]> = [
      [{}, {}, true],
      [{ emailDomains: ["a.uz"] }, {}, false],
      [{ emailDomains: ["a.uz"] }, { email: "x@a.uz" }, true],
      [{ emailDomains: ["a.uz"] }, { email: "x@b.a.uz" }, false],
      [{ emailDomains: ["a.uz"] }, { email: "x@a.uz@evil.example" }, false],
      [{ emailDomains: ["a.uz"] }, { claims: { email: "x@a.uz" } }, false],
      [{ claims: { hd: ["a"] } }, { claims: { hd: "a" } }, true],
      [{ claims: { hd: ["a"] } }, { claims: { hd: ["b", "a"] } }, true],
      [{ claims: { hd: ["a"] } }, { claims: { hd: "ab" } }, false],
      [{ claims: { resident: ["true"] } }, { claims: { resident: true } }, true],
      [{ claims: { missing: ["undefined"] } }, {}, false],
      [{ claims: { toString: ["x"] } }, {}, false],
      [{ claims: { a: ["1"], b: ["2"] } }, { claims: { a: "1" } }, false]
    ]
    for (const [requires, shown, met] of rows)
      assert.strictEqual(meets({ requires }, identity(shown)), met, JSON.stringify([requires, shown]))
  })
})

describe("the cookie of a sign-in", () => {
  const place = (deployment: DeploymentFacts, cookie: string) =>
    Effect.gen(function* () {
      const { browser, callbackOf, withCookie } = yield* openIdPlace
      const web = HttpServerResponse.toWeb(withCookie(HttpServerResponse.empty(), "v".repeat(43)))
      return { browser, callback: callbackOf("country"), cookie: web.headers.get("set-cookie") }
    }).pipe(
      Effect.provideService(Deployment, deployment),
      Effect.provideService(RequestInfo, {
        id: "request",
        ip: "10.0.0.1",
        tenant: { tenantId: "t", slug: "samarkand", name: "Samarkand", hosts: [], settings: {} as TenantSettings }
      }),
      Effect.provideService(
        HttpServerRequest.HttpServerRequest,
        HttpServerRequest.fromWeb(new Request("http://localhost:8080/", { headers: { host: "evil.example", cookie } }))
      )
    )

  it.effect("is_of_this_host_and_https_alone_and_no_header_decides_where_people_come_back_to", () =>
    Effect.gen(function* () {
      const known = "k".repeat(43)
      const deployment = { mode: "production", publicUrl: "https://city.example" } as const
      const { browser, callback, cookie } = yield* place(deployment, `__Host-mahalla-openid=${known}; mahalla-openid=x`)
      assert.strictEqual(browser, known)
      assert.strictEqual(callback, "https://city.example/t/samarkand/v1/auth/openid/country/callback")
      assert.match(cookie!, /^__Host-mahalla-openid=v{43}; /)
      for (const part of ["Path=/", "HttpOnly", "Secure", "SameSite=Lax", "Max-Age=600"])
        assert.include(cookie!.split("; "), part)
      const odd = yield* place(deployment, "__Host-mahalla-openid=short")
      assert.isUndefined(odd.browser)
      for (const mode of ["dev", "production"] as const) {
        const nowhere = yield* Effect.flip(place({ mode, publicUrl: undefined }, ""))
        assert.strictEqual(nowhere.code, "no-address")
      }
    })
  )
})

layer(rooms, { excludeTestServices: true })("what is kept", (it) => {
  const start = Effect.gen(function* () {
    const { tenantId } = yield* createTenant()
    const inside = withTenant(tenantId)
    const secret = Redacted.make("a secret of the provider's")
    yield* inside(putProvider(provider, secret)).pipe(Effect.provideService(Actor, system(tenantId)))
    const rows = <Row extends object>(text: (tx: TenantTx["Service"]) => Effect.Effect<ReadonlyArray<Row>, unknown>) =>
      inside(Effect.flatMap(TenantTx, text))
    return { tenantId, inside, rows }
  })
  const inviteFor = Effect.fnUntraced(function* (principalId: string, value: string, days: number) {
    const { sql, tenantId } = yield* TenantTx
    const id = yield* newId
    yield* sql`
      insert into mahalla.openid_invitation (tenant_id, id, principal_id, provider_id, claim, value_index, value_sealed, created_by, created_at, expires_at)
      values (${tenantId}, ${id}, ${principalId}, 'country', 'sub', ${value}, ${yield* invitedColumn.seal(id, value)}, ${principalId}, now(),
              now() + make_interval(days => ${days}))`
  })

  it.effect("outlives_a_change_of_keys", () =>
    Effect.gen(function* () {
      const { inside, rows, tenantId } = yield* start
      const entered = yield* inside(enterByIdentity(provider, identity(), "uz"))
      yield* inside(inviteFor(entered, "expected", 1))
      const all = rows<{ sealed: string }>(
        ({ sql }) => sql`
          select client_secret as sealed from mahalla.openid_provider where tenant_id = ${tenantId}
          union all select subject_sealed from mahalla.openid_link where tenant_id = ${tenantId}
          union all select value_sealed from mahalla.openid_invitation where tenant_id = ${tenantId}`
      )
      const versions = Effect.map(all, (found) => found.map(({ sealed }) => sealed.slice(0, 5)))
      assert.deepStrictEqual(yield* versions, ["v1.1.", "v1.1.", "v1.1."])
      assert.strictEqual(yield* rotateTenantKey(tenantId, openIdSealed), 2)
      while ((yield* resealTurn(openIdSealed)) > 0);
      assert.deepStrictEqual(yield* versions, ["v1.2.", "v1.2.", "v1.2."])
      const { secret } = yield* inside(providerInForce("country"))
      assert.strictEqual(secret === null ? null : Redacted.value(secret), "a secret of the provider's")
      assert.deepStrictEqual(
        (yield* inside(listInvitations(entered))).map(({ value }) => value),
        ["expected"]
      )
      assert.strictEqual(yield* inside(enterByIdentity(provider, identity(), "uz")), entered)
    })
  )

  it.effect("is_swept_when_its_time_is_over_and_not_before", () =>
    Effect.gen(function* () {
      const { inside, rows, tenantId } = yield* start
      const [one, other] = [yield* createPrincipal(tenantId), yield* createPrincipal(tenantId)]
      yield* inside(inviteFor(one.id!, "late", -1))
      yield* inside(inviteFor(other.id!, "in time", 1))
      yield* rows(
        ({ sql }) => sql`
          insert into mahalla.openid_attempt (tenant_id, state_hash, provider_id, browser_hash, redirect_uri, challenge, fresh, expires_at)
          select ${tenantId}, state, 'country', 'browser', 'https://app.example/', 'challenge', false, now() + make_interval(secs => seconds)
          from (values ('late', -1), ('in time', 60)) as given (state, seconds)`
      )
      yield* sweepIdentity
      const left = yield* rows<{ left: string }>(
        ({ sql }) => sql`
          select value_index as left from mahalla.openid_invitation where tenant_id = ${tenantId}
          union all select state_hash from mahalla.openid_attempt where tenant_id = ${tenantId}`
      )
      assert.deepStrictEqual(left, [{ left: "in time" }, { left: "in time" }])
    })
  )

  it.effect("holds_no_identity_twice_however_many_come_at_once", () =>
    Effect.gen(function* () {
      const { inside } = yield* start
      const once = inside(enterByIdentity(provider, identity({ subject: "at once" }), "uz"))
      const all = yield* Effect.all(
        Array.from({ length: 8 }, () => once),
        { concurrency: 8 }
      )
      assert.strictEqual(new Set(all).size, 1)
    })
  )
})

describe("requests to a provider", () => {
  /** A provider on this machine that counts who asks it. */
  const house = Effect.acquireRelease(
    Effect.promise(async () => {
      let asked = 0
      const server = createServer((request, response) => {
        asked++
        const issuer = `http://${request.headers.host}`
        const document = {
          issuer: request.url?.startsWith("/other") === true ? "http://another.example" : issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`
        }
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document))
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked, server }
    }),
    ({ server }) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
  )
  const ask = (issuer: string, mode: "dev" | "production", networks: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const exchange = { state: "s", nonce: "n", verifier: "v".repeat(43), fresh: false }
      const city = { callback: "https://city.example/callback", language: undefined }
      const clients = yield* OpenIdClients
      return yield* Effect.result(
        clients.authorizationUrl({ ...provider, issuer, secret: null }, { ...exchange, ...city })
      )
    }).pipe(
      Effect.provide(
        OpenIdClients.layer.pipe(
          Layer.provide(Layer.succeed(Deployment, { mode, publicUrl: undefined })),
          Layer.provide(Layer.succeed(OutwardNetworks, networks))
        )
      ),
      Effect.map((result) => (result._tag === "Success" ? result.success.origin : result.failure._tag))
    )

  it.live("go_inside_only_where_the_operator_said_so_and_in_the_clear_only_in_dev", () =>
    Effect.gen(function* () {
      const { asked, issuer } = yield* house
      assert.strictEqual(yield* ask(issuer, "dev", []), "OpenIdUnavailable")
      assert.strictEqual(yield* ask(issuer, "production", ["127.0.0.0/8"]), "OpenIdUnavailable")
      assert.strictEqual(asked(), 0)
      assert.strictEqual(yield* ask(issuer, "dev", ["127.0.0.0/8"]), issuer)
      assert.strictEqual(asked(), 1)
      assert.strictEqual(yield* ask(`${issuer}/other`, "dev", ["127.0.0.0/8"]), "OpenIdUnavailable")
    })
  )
})

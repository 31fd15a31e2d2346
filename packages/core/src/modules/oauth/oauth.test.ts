import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { assert, describe, it, layer } from "@effect/vitest"
import * as jose from "jose"
import { inject } from "vitest"
import { readMigration } from "../../kernel/db/Migration.ts"
import { PlatformTx, TenantTx, withPlatform, withTenant } from "../../kernel/db/Database.ts"
import { Keys } from "../../kernel/keys/Keys.ts"
import { createPrincipal, createTenant, testKernel } from "../../testing/kernel.ts"
import { newSecret, secretMatches, secretText } from "./clients.ts"
import { sweep } from "./errors.ts"
import { findGrant, keepGrant, revokeGrant } from "./grants.ts"
import { addressesFor } from "./issuer.ts"
import { lives } from "./model.ts"
import { redirectProblem } from "../../kernel/http/redirects.ts"
import { apiScopes, opens, permissionsOf, serverScopes } from "./scopes.ts"
import { sealOf } from "./seal.ts"
import { publicPart, signingKeys, turnOf } from "./signing.ts"

const keys = Keys.layer(Redacted.make("a secret for the tests of the oauth provider"))
const tenant = { slug: "samarkand", hosts: [] as ReadonlyArray<string> }

describe("addresses", () => {
  it("belong_to_the_tenants_own_host_or_lie_below_the_deployments", () => {
    const deployment = { mode: "production", publicUrl: "https://city.example:8443/sub" } as const
    assert.deepStrictEqual(addressesFor(deployment, tenant, "evil.example"), {
      issuer: "https://city.example:8443/sub/t/samarkand/oauth",
      mountPath: "/sub/t/samarkand/oauth",
      resource: "https://city.example:8443/sub/t/samarkand/v1",
      base: "https://city.example:8443/sub"
    })
    const own = addressesFor(deployment, { ...tenant, hosts: ["samarkand.uz", "other.uz"] }, "evil.example")
    assert.strictEqual(own?.issuer, "https://samarkand.uz:8443/sub/oauth")
    assert.strictEqual(own?.resource, "https://samarkand.uz:8443/sub/t/samarkand/v1")
  })

  it("come_from_a_host_header_in_dev_on_this_machine_only", () => {
    const dev = { mode: "dev", publicUrl: undefined } as const
    assert.strictEqual(addressesFor(dev, tenant, "localhost:8080")?.issuer, "http://localhost:8080/t/samarkand/oauth")
    for (const host of ["city.example", "127.0.0.1.evil.example", "localhost:80/x", ""])
      assert.isUndefined(addressesFor(dev, tenant, host))
    assert.isUndefined(addressesFor({ mode: "production", publicUrl: undefined }, tenant, "localhost:8080"))
  })
})

describe("scopes", () => {
  it("open_their_own_addresses_and_nothing_beside", () => {
    const rows: ReadonlyArray<readonly [string, string, string, boolean]> = [
      ["cases.read", "GET", "/v1/cases", true],
      ["cases.read", "HEAD", "/v1/cases/traffic-report/x", true],
      ["cases.read", "GET", "/v1/cases.csv", false],
      ["cases.read", "POST", "/v1/cases/traffic-report", false],
      ["cases.write", "POST", "/v1/cases/traffic-report", true],
      ["cases.write", "POST", "/v1/cases/", false],
      ["cases.write", "POST", "/v1/cases/traffic-report/x/transitions/withdraw", true],
      ["cases.write", "POST", "/v1/cases/traffic-report/x/merge", false],
      ["cases.write", "PUT", "/v1/cases/traffic-report/x/assignee", false],
      ["cases.write", "PATCH", "/v1/uploads/x", true],
      ["payouts.read", "GET", "/v1/payouts/x", true],
      ["payouts.read", "POST", "/v1/payouts/x/retry", false],
      ["openid", "GET", "/v1/city", true],
      ["openid", "GET", "/v1/me", false],
      ["", "GET", "/v1/events", false]
    ]
    for (const [scope, method, path, open] of rows)
      assert.deepStrictEqual([scope, method, path, opens([scope], method, path)], [scope, method, path, open])
  })

  it("give_a_citizens_app_rights_on_what_is_the_citizens_own_only", () => {
    const harmless = ["case-type.read", "*.create", "*.subscribe", "attachment.create"]
    for (const permission of permissionsOf(apiScopes.map(({ id }) => id)))
      assert.isTrue(permission.endsWith(":own") || harmless.includes(permission), permission)
    assert.notInclude(permissionsOf(serverScopes.map(({ id }) => id)).join(), "write")
  })
})

describe("redirect addresses", () => {
  it("are_https_this_machine_or_a_scheme_of_the_apps_own", () => {
    for (const good of ["https://a.example/cb", "http://127.0.0.1/cb", "http://[::1]/", "uz.example.app:/cb"])
      assert.isUndefined(redirectProblem(good), good)
    for (const bad of [
      "http://a.example/",
      "javascript:1",
      "data:,x",
      "app:/cb",
      "https://*.a.example/",
      "/cb",
      "https://a.example/#",
      "file:///x",
      "https://u:p@a.example/"
    ])
      assert.isString(redirectProblem(bad), bad)
  })
})

describe("signing keys", () => {
  it.effect("turn_each_quarter_and_are_published_before_and_after", () =>
    Effect.gen(function* () {
      const turn = turnOf(1_800_000_000_000)
      const [now, last, next] = yield* signingKeys("tenant", turn)
      const later = yield* signingKeys("tenant", turn + 1)
      assert.deepStrictEqual([later[0]?.kid, later[1]?.kid], [next?.kid, now?.kid])
      assert.strictEqual(new Set([now?.kid, last?.kid, next?.kid]).size, 3)
      const other = yield* signingKeys("another", turn)
      assert.notStrictEqual(other[0]?.kid, now?.kid)
      const token = yield* Effect.promise(async () =>
        new jose.SignJWT({ sub: "x" })
          .setProtectedHeader({ alg: "ES256", kid: now!.kid })
          .sign(await jose.importJWK(now!))
      )
      const open = later.map(publicPart)
      const verified = yield* Effect.promise(() => jose.jwtVerify(token, jose.createLocalJWKSet({ keys: open })))
      assert.strictEqual(verified.payload.sub, "x")
      assert.strictEqual(yield* Effect.promise(() => jose.calculateJwkThumbprint(now!)), now?.kid)
    }).pipe(Effect.provide(keys))
  )
})

describe("what is sealed", () => {
  it.effect("opens_in_its_own_place_and_tenant_only", () =>
    Effect.gen(function* () {
      const [seal, other] = [yield* sealOf("a"), yield* sealOf("b")]
      const closed = seal.close("Session 1", { secret: "x" })
      assert.deepStrictEqual(seal.open("Session 1", closed), { secret: "x" })
      assert.isUndefined(seal.open("Session 2", closed))
      assert.isUndefined(other.open("Session 1", closed))
      const bytes = Buffer.from(closed, "base64url")
      for (let place = 0; place < bytes.length; place++) {
        const changed = Buffer.from(bytes)
        changed[place]! ^= 1
        assert.isUndefined(seal.open("Session 1", changed.toString("base64url")))
      }
      assert.isUndefined(seal.open("Session 1", ""))
    }).pipe(Effect.provide(keys))
  )
})

const migrations = [
  readMigration("identity", new URL("../identity/migrations/0001_identity.sql", import.meta.url)),
  readMigration("oauth", new URL("./migrations/0001_oauth.sql", import.meta.url))
]
const rooms = Layer.provideMerge(keys, testKernel({ postgresUrl: inject("postgresUrl"), migrations }))

/** A citizen and an app in a city of their own. */
const start = Effect.gen(function* () {
  const { tenantId } = yield* createTenant()
  const citizen = yield* createPrincipal(tenantId, { kind: "person" })
  const app = yield* createPrincipal(tenantId, { kind: "app" })
  const inside = withTenant(tenantId)
  const now = new Date(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
  yield* inside(
    Effect.flatMap(
      TenantTx,
      ({ sql }) => sql`
        insert into mahalla.oauth_client (tenant_id, id, owner_id, name, auth_method, redirect_uris, grant_types, scopes, status, created_at)
        values (${tenantId}, ${app.id}, ${citizen.id}, 'App', 'none', '{}', '{}', '{}', 'active', ${now})`
    )
  )
  const payload = { accountId: citizen.id!, clientId: app.id!, openid: { scope: "openid" } }
  const inForce = (grant: string | null) =>
    inside(
      Effect.flatMap(TenantTx, ({ sql }) =>
        Effect.gen(function* () {
          const at = new Date(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
          const [row] = yield* sql<{
            live: boolean
          }>`select mahalla.app_in_force(${tenantId}, ${app.id}, ${grant}, ${at}) as live`
          return row!.live
        })
      )
    )
  return { tenantId, app: app.id!, inside, payload, inForce }
})

layer(rooms)("grants", (it) => {
  it.effect("stay_revoked_whatever_is_kept_afterwards", () =>
    Effect.gen(function* () {
      const { inForce, inside, payload } = yield* start
      yield* inside(keepGrant("g1", payload, 60))
      assert.isTrue(yield* inForce("g1"))
      yield* inside(revokeGrant("g1", "reuse"))
      yield* inside(keepGrant("g1", payload, 60))
      assert.isUndefined(yield* inside(findGrant("g1")))
      assert.isFalse(yield* inForce("g1"))
      assert.isTrue(yield* inForce(null), "what an app does by itself needs no grant")
      assert.isFalse(yield* inForce("another"))
    })
  )

  it.effect("end_with_their_time_and_are_swept", () =>
    Effect.gen(function* () {
      const { inForce, inside, payload, tenantId } = yield* start
      yield* inside(keepGrant("g2", payload, lives.refreshToken))
      yield* TestClock.adjust("89 days")
      assert.isTrue(yield* inForce("g2"))
      yield* sweep
      assert.isDefined(yield* inside(findGrant("g2")))
      yield* TestClock.adjust("2 days")
      assert.isFalse(yield* inForce("g2"))
      yield* sweep
      const left = yield* withPlatform(
        Effect.flatMap(PlatformTx, ({ sql }) => sql`select from mahalla.oauth_grant where tenant_id = ${tenantId}`)
      )
      assert.strictEqual(left.length, 0)
    })
  )
})

layer(rooms)("secrets", (it) => {
  it.effect("count_side_by_side_for_a_day_and_are_kept_as_hashes", () =>
    Effect.gen(function* () {
      const { app, inside } = yield* start
      const first = yield* inside(newSecret(app))
      const text = yield* inside(secretText(app, first.id))
      const second = yield* inside(newSecret(app))
      const other = yield* inside(secretText(app, second.id))
      assert.notStrictEqual(text, other)
      const both = [yield* inside(secretMatches(app, text)), yield* inside(secretMatches(app, other))]
      assert.deepStrictEqual(both, [true, true])
      yield* TestClock.adjust("25 hours")
      const later = [yield* inside(secretMatches(app, text)), yield* inside(secretMatches(app, other))]
      assert.deepStrictEqual(later, [false, true])
      assert.isFalse(yield* inside(secretMatches(app, "")))
    })
  )
})

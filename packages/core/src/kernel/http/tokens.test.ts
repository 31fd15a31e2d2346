import { generateKeyPairSync, sign as signBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { assert, describe, it } from "@effect/vitest"
import { Keys } from "../keys/Keys.ts"
import { accessTokenLife, AccessTokens } from "./tokens.ts"

const keys = Keys.layer(Redacted.make("a secret for the tests of access tokens"))
const claims = {
  tenantId: "01a1fb96-0a6f-7324-b14e-40eab5e1b19c",
  principalId: "01a1fb96-0a6f-7324-b14e-40eab5e1b19d",
  sessionId: "01a1fb96-0a6f-7324-b14e-40eab5e1b19e"
}
const ours = Layer.provideMerge(AccessTokens.layer("https://city.example"), keys)
const issuedBy = (issuer: string, secret = keys) =>
  Effect.flatMap(AccessTokens, (tokens) => tokens.issue(claims)).pipe(
    Effect.provide(Layer.provide(AccessTokens.layer(issuer), secret), { local: true }),
    Effect.map(({ token }) => token)
  )
const refusal = (token: string) =>
  Effect.flatMap(AccessTokens, (tokens) => Effect.flip(tokens.verify(token))).pipe(Effect.map((error) => error.message))

describe("access tokens", () => {
  it.effect("say_who_and_where_until_they_expire_even_when_they_were_checked_a_moment_before", () =>
    Effect.gen(function* () {
      const tokens = yield* AccessTokens
      yield* TestClock.adjust("1 hour")
      const { expiresIn, token } = yield* tokens.issue(claims)
      assert.strictEqual(expiresIn, accessTokenLife)
      assert.deepInclude(yield* tokens.verify(token), claims)
      yield* TestClock.adjust(`${accessTokenLife - 5} seconds`)
      assert.deepInclude(yield* tokens.verify(token), claims)
      yield* TestClock.adjust("6 seconds")
      assert.match(yield* refusal(token), /not valid any more/)
    }).pipe(Effect.provide(ours))
  )

  it.effect("case_8_are_believed_for_nothing_in_their_own_header_and_not_before_or_after_their_time", () =>
    Effect.gen(function* () {
      const { sign } = yield* Keys
      const [issuer, expiresIn] = ["https://city.example", "1 hour"] as const
      const claim = {
        iss: issuer,
        aud: `${issuer}/v1`,
        sub: claims.principalId,
        tenant: claims.tenantId,
        sid: claims.sessionId
      }
      yield* TestClock.setTime(1_800_000_000_000)
      const good = yield* sign("access-token", claim, { typ: "session+jwt", expiresIn })
      const [header, body, signature] = good.split(".") as [string, string, string]
      const head = JSON.parse(Buffer.from(header, "base64url").toString()) as Record<string, unknown>
      const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
      // A key of the attacker's, with which the token is really signed.
      const theirs = generateKeyPairSync("ed25519")
      const jwk = theirs.publicKey.export({ format: "jwk" })
      const forged = (more: Record<string, unknown>, text = body) => {
        const input = `${part({ ...head, ...more })}.${text}`
        return `${input}.${signBytes(null, Buffer.from(input), theirs.privateKey).toString("base64url")}`
      }
      const secondSubject = Buffer.from(
        `{"sub":"${claims.tenantId}",${Buffer.from(body, "base64url").toString().slice(1)}`
      ).toString("base64url")
      const wrong: Record<string, string> = {
        "alg none": `${part({ ...head, alg: "none" })}.${body}.`,
        "another key under our kid": forged({}),
        "a foreign kid": forged({ kid: "theirs" }),
        "no kid": forged({ kid: undefined }),
        "its own key": forged({ jwk }),
        "its own key's address": forged({ jku: "https://evil.example/jwks.json" }),
        "its own certificate's address": forged({ x5u: "https://evil.example/cert.pem" }),
        "its own certificate": forged({ x5c: ["MIIB"] }),
        "a critical extension": forged({ crit: ["exp"] }),
        "a claim twice": forged({}, secondSubject),
        "a claim twice under the old signature": `${header}.${secondSubject}.${signature}`,
        "not yet": yield* sign("access-token", { ...claim, nbf: 1_800_000_600 }, { typ: "session+jwt", expiresIn }),
        "run out": yield* sign("access-token", { ...claim, exp: 1_799_999_999 }, { typ: "session+jwt" }),
        huge: `${header}.${part({ ...claim, more: "x".repeat(100_000) })}.${signature}`
      }
      for (const [name, token] of Object.entries(wrong)) assert.match(yield* refusal(token), /not valid any more/, name)
      assert.deepInclude(yield* Effect.flatMap(AccessTokens, (tokens) => tokens.verify(good)), claims)
    }).pipe(Effect.provide(ours))
  )

  it.effect("are_refused_alike_whatever_is_wrong_with_them", () =>
    Effect.gen(function* () {
      const { sign } = yield* Keys
      const claim = {
        iss: "https://city.example",
        aud: "https://city.example/v1",
        sub: claims.principalId,
        tenant: claims.tenantId,
        sid: claims.sessionId
      }
      const expiresIn = "1 hour" as const
      const wrong: Record<string, string> = {
        "another issuer": yield* issuedBy("https://other.example"),
        "another secret": yield* issuedBy(
          "https://city.example",
          Keys.layer(Redacted.make("another secret for the tests of tokens"))
        ),
        "a receipt": yield* sign("receipt", claim, { typ: "receipt+jwt", expiresIn }),
        "a receipt that calls itself a token": yield* sign("receipt", claim, { typ: "session+jwt", expiresIn }),
        "another type": yield* sign("access-token", claim, { typ: "receipt+jwt", expiresIn }),
        "an access token of OAuth": yield* sign("access-token", claim, { typ: "at+jwt", expiresIn }),
        "another audience": yield* sign(
          "access-token",
          { ...claim, aud: "https://city.example/v2" },
          { typ: "session+jwt", expiresIn }
        ),
        "no session": yield* sign("access-token", { ...claim, sid: undefined }, { typ: "session+jwt", expiresIn }),
        "no tenant": yield* sign("access-token", { ...claim, tenant: undefined }, { typ: "session+jwt", expiresIn }),
        "a tenant that is none": yield* sign(
          "access-token",
          { ...claim, tenant: "x' or 1=1" },
          { typ: "session+jwt", expiresIn }
        ),
        "a subject that is none": yield* sign(
          "access-token",
          { ...claim, sub: "system" },
          { typ: "session+jwt", expiresIn }
        ),
        "no expiry": yield* sign("access-token", claim, { typ: "session+jwt" }),
        garbage: "a.b.c",
        nothing: ""
      }
      const texts = new Set<string>()
      for (const [name, token] of Object.entries(wrong)) {
        const error = yield* Effect.flip(Effect.flatMap(AccessTokens, (tokens) => tokens.verify(token)))
        assert.strictEqual(error._tag, "Unauthorized", name)
        texts.add(error.message)
      }
      assert.strictEqual(texts.size, 1)
      const good = yield* sign("access-token", claim, { typ: "session+jwt", expiresIn })
      assert.deepInclude(yield* Effect.flatMap(AccessTokens, (tokens) => tokens.verify(good)), claims)
    }).pipe(Effect.provide(ours))
  )
})

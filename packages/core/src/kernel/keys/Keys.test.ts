import { createPublicKey, verify as verifySignature } from "node:crypto"
import * as jose from "jose"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { assert, describe, it } from "@effect/vitest"
import { keyOverlap, Keys, keyTurns, signingPurposes } from "./Keys.ts"

const makeKeys = (given: Redacted.Redacted<string>) => Keys.pipe(Effect.provide(Keys.layer(given), { local: true }))

const secret = Redacted.make("a secret of this deployment, long enough")
const issuer = "https://city.example"

describe("Keys", () => {
  it.effect("signs_and_verifies_claims", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const token = yield* keys.sign("receipt", { iss: issuer, sub: "anonymous" }, { typ: "receipt+jwt" })
      const claims = yield* keys.verify("receipt", token, { typ: "receipt+jwt", issuer })
      assert.deepStrictEqual(claims, { iss: issuer, sub: "anonymous", iat: 0 })
    })
  )

  it.effect("every_replica_derives_the_same_keys_and_another_secret_derives_others", () =>
    Effect.gen(function* () {
      const [one, two, other] = [
        yield* makeKeys(secret),
        yield* makeKeys(secret),
        yield* makeKeys(Redacted.make("another secret of this deployment, long enough"))
      ]
      assert.deepStrictEqual(yield* one.jwks, yield* two.jwks)
      assert.deepStrictEqual(one.mac("code", "7F3K"), two.mac("code", "7F3K"))
      assert.notDeepEqual(yield* one.jwks, yield* other.jwks)
      const token = yield* one.sign("access-token", { iss: issuer }, { typ: "at+jwt" })
      yield* two.verify("access-token", token, { typ: "at+jwt", issuer })
      const refused = yield* Effect.flip(other.verify("access-token", token, { typ: "at+jwt", issuer }))
      assert.strictEqual(refused.reason, "Signature")
    })
  )

  it.effect("refuses_a_token_of_one_purpose_for_another", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      for (const purpose of signingPurposes)
        for (const other of signingPurposes) {
          if (purpose === other) continue
          // Same type on purpose: the keys alone must tell them apart.
          const token = yield* keys.sign(purpose, { iss: issuer }, { typ: "same" })
          const refused = yield* Effect.flip(keys.verify(other, token, { typ: "same", issuer }))
          assert.strictEqual(refused.reason, "Signature")
        }
      const token = yield* keys.sign("receipt", { iss: issuer }, { typ: "receipt+jwt" })
      const refused = yield* Effect.flip(keys.verify("receipt", token, { typ: "at+jwt", issuer }))
      assert.strictEqual(refused.reason, "Claims")
    })
  )

  it.effect("expires_by_the_clock", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const token = yield* keys.sign("access-token", { iss: issuer }, { typ: "at+jwt", expiresIn: "10 minutes" })
      yield* TestClock.adjust("9 minutes")
      yield* keys.verify("access-token", token, { typ: "at+jwt", issuer })
      yield* TestClock.adjust("2 minutes")
      const refused = yield* Effect.flip(keys.verify("access-token", token, { typ: "at+jwt", issuer }))
      assert.strictEqual(refused.reason, "Expired")
    })
  )

  it.effect("holds_issuer_and_audience", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const token = yield* keys.sign("access-token", { iss: issuer, aud: "api" }, { typ: "at+jwt" })
      yield* keys.verify("access-token", token, { typ: "at+jwt", issuer, audience: "api" })
      for (const options of [
        { typ: "at+jwt", issuer: "https://other.example", audience: "api" },
        { typ: "at+jwt", issuer, audience: "other" },
        { typ: "at+jwt", issuer }
      ])
        assert.strictEqual((yield* Effect.flip(keys.verify("access-token", token, options))).reason, "Claims")
    })
  )

  it.effect("refuses_any_changed_byte_and_unsigned_tokens", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const options = { typ: "receipt+jwt", issuer }
      const token = yield* keys.sign("receipt", { iss: issuer, size: 1 }, { typ: "receipt+jwt" })
      for (let place = 0; place < token.length; place += 7) {
        if (token[place] === ".") continue
        // A and Q differ in the upper bits of a character, which count also in the last one of a part.
        const changed = token.slice(0, place) + (token[place] === "A" ? "Q" : "A") + token.slice(place + 1)
        yield* Effect.flip(keys.verify("receipt", changed, options))
      }
      const unsigned = new jose.UnsecuredJWT({ iss: issuer }).encode()
      assert.strictEqual((yield* Effect.flip(keys.verify("receipt", unsigned, options))).reason, "Signature")
      for (const text of ["", "x", "a.b.c", "…"])
        assert.strictEqual((yield* Effect.flip(keys.verify("receipt", text, options))).reason, "Malformed")
    })
  )

  it.effect("an_outsider_verifies_with_the_published_keys_alone", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const token = yield* keys.sign("receipt", { iss: issuer }, { typ: "receipt+jwt" })
      const [header, payload, signature] = token.split(".") as [string, string, string]
      const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string }
      const jwk = (yield* keys.jwks).keys.find((key) => key.kid === kid)!
      assert.notProperty(jwk, "d")
      assert.strictEqual(kid, yield* Effect.promise(() => jose.calculateJwkThumbprint(jwk)))
      const publicKey = createPublicKey({ key: jwk as never, format: "jwk" })
      assert.isTrue(
        verifySignature(null, Buffer.from(`${header}.${payload}`), publicKey, Buffer.from(signature, "base64url"))
      )
    })
  )

  it.effect("turns_the_key_of_access_tokens_with_an_overlap_and_no_other", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      const turn = keyTurns["access-token"]!
      const sign = keys.sign("access-token", { iss: issuer }, { typ: "session+jwt" })
      const holds = (token: string) =>
        Effect.map(
          Effect.result(keys.verify("access-token", token, { typ: "session+jwt", issuer })),
          (result) => result._tag
        )
      const published = Effect.map(keys.jwks, (jwks) => jwks.keys.map((key) => key.kid))
      const kidOf = (token: string) => jose.decodeProtectedHeader(token).kid
      yield* TestClock.setTime((turn * 10 + turn / 2) * 1000)
      const first = yield* sign
      const calm = yield* published
      assert.strictEqual(calm.length, signingPurposes.length)
      assert.include(calm, kidOf(first))
      // A day before the turn the next key is published, so that whoever caches the list has it in time.
      yield* TestClock.setTime((turn * 11 - keyOverlap + 60) * 1000)
      const before = yield* published
      assert.strictEqual(before.length, signingPurposes.length + 1)
      const last = yield* sign
      assert.strictEqual(kidOf(last), kidOf(first))
      yield* TestClock.setTime((turn * 11 + 60) * 1000)
      const second = yield* sign
      assert.notStrictEqual(kidOf(second), kidOf(first))
      assert.include(before, kidOf(second))
      assert.strictEqual(yield* holds(last), "Success", "a token of a minute before the turn still holds")
      yield* TestClock.setTime((turn * 11 + keyOverlap + 60) * 1000)
      assert.strictEqual(yield* holds(second), "Success")
      assert.strictEqual(yield* holds(last), "Failure", "the old key has had its time")
      assert.notInclude(yield* published, kidOf(first))
      assert.deepStrictEqual(
        (yield* published).filter((kid) => kid !== kidOf(second)),
        calm.filter((kid) => kid !== kidOf(first)),
        "receipts and checkpoints keep theirs"
      )
    })
  )

  it.effect("macs_differ_by_purpose", () =>
    Effect.gen(function* () {
      const keys = yield* makeKeys(secret)
      assert.strictEqual(keys.mac("code", "7F3K").length, 32)
      assert.notDeepEqual(keys.mac("code", "7F3K"), keys.mac("upload", "7F3K"))
      assert.notDeepEqual(keys.mac("code", "7F3K"), keys.mac("code", "7F3L"))
    })
  )

  it.effect("refuses_a_short_secret_with_the_next_step", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(makeKeys(Redacted.make("x".repeat(31))))
      assert.include(error.message, "31 characters")
      assert.include(error.message, "MAHALLA_SECRET")
    })
  )
})

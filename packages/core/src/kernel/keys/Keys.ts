/**
 * The deployment's keys, all derived from its one secret: nothing to store, nothing to copy between replicas. Every purpose has keys
 * of its own, so what was signed for one is worth nothing for another.
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"

/** What we sign for. Each has its own Ed25519 key, and all of them stand in `jwks`. */
export const signingPurposes = ["access-token", "receipt", "checkpoint", "platform-token"] as const
export type SigningPurpose = (typeof signingPurposes)[number]

/**
 * Seconds after which a purpose gets a new key. Receipts and checkpoints are verified for years and keep theirs; a token of minutes
 * needs no old key.
 */
export const keyTurns: Partial<Record<SigningPurpose, number>> = { "access-token": 30 * 86_400 }
/** Seconds before and after a turn in which both keys count and are published: longer than any token or cached list of keys lives. */
export const keyOverlap = 86_400

/** Characters a deployment's secret must have. */
export const minimumSecret = 32

export class KeysError extends Data.TaggedError("KeysError")<{ readonly message: string }> {}

/** A token that is not to be trusted. `reason` tells an expired one, which the holder may renew, from the others. */
export class TokenError extends Data.TaggedError("TokenError")<{
  readonly reason: "Malformed" | "Signature" | "Expired" | "Claims"
  readonly purpose: SigningPurpose
  readonly message: string
  readonly cause?: unknown
}> {}

export interface SignOptions {
  /** The `typ` header, as `at+jwt`: what the token is, so that it cannot pass for something else. */
  readonly typ: string
  /** From now; sets `exp`. Never expires when absent. */
  readonly expiresIn?: Duration.Input
}

export interface VerifyOptions {
  readonly typ: string
  /** The `iss` that is expected. */
  readonly issuer: string
  /** The `aud` that is expected. Absent: the token must not be bound to an audience that we did not ask for, so none may be in it. */
  readonly audience?: string
}

export class Keys extends Context.Service<
  Keys,
  {
    /** Compact JWS (EdDSA) over the claims; `iat` is now and `kid` the key's RFC 7638 thumbprint. */
    readonly sign: (purpose: SigningPurpose, claims: jose.JWTPayload, options: SignOptions) => Effect.Effect<string>
    /** The claims of a token of this purpose and type, signed by this deployment and in force. */
    readonly verify: (
      purpose: SigningPurpose,
      token: string,
      options: VerifyOptions
    ) => Effect.Effect<jose.JWTPayload, TokenError>
    /** Public keys of every purpose that count now (RFC 7517), for whoever verifies without us. */
    readonly jwks: Effect.Effect<{ readonly keys: ReadonlyArray<jose.JWK> }>
    /** HMAC-SHA256 with a key of this purpose: for short codes and secrets of which we keep only the code of authentication. */
    readonly mac: (purpose: string, data: string | Uint8Array) => Uint8Array
  }
>()("@mahalla/kernel/Keys") {
  static readonly layer = (secret: Redacted.Redacted<string>): Layer.Layer<Keys, KeysError> =>
    Layer.effect(Keys, makeKeys(secret))
}

/** The deployment's public address, `iss` of what it signs. */
export const Issuer = Context.Reference<string>("@mahalla/kernel/Issuer", { defaultValue: () => "mahalla" })

/** RFC 8410: what stands before the 32 bytes of an Ed25519 private key in PKCS#8. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

const derive = (secret: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync("sha256", secret, "mahalla", purpose, 32))

interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: jose.JWK
}

const signingKey = (secret: string, purpose: string): SigningKey => {
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, derive(secret, `sign:${purpose}`)]),
    format: "der",
    type: "pkcs8"
  })
  const publicKey = createPublicKey(privateKey)
  const { crv, kty, x } = publicKey.export({ format: "jwk" }) as { crv: string; kty: string; x: string }
  // RFC 7638: the required members in the order of their names, without white space.
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url")
  return { kid, privateKey, publicKey, jwk: { kty, crv, x, kid, alg: "EdDSA", use: "sig" } }
}

/** Words for what jose found wrong. */
const tokenError = (purpose: SigningPurpose, cause: unknown): TokenError => {
  const fail = (reason: TokenError["reason"], message: string) => new TokenError({ reason, purpose, message, cause })
  if (cause instanceof jose.errors.JWTExpired) return fail("Expired", `This ${purpose} has expired; ask for a new one.`)
  if (cause instanceof jose.errors.JWTClaimValidationFailed)
    return fail(
      "Claims",
      `This ${purpose} is not meant for this use (${cause.claim}); use the one that was given for it.`
    )
  if (
    cause instanceof jose.errors.JWSSignatureVerificationFailed ||
    cause instanceof jose.errors.JWKSNoMatchingKey ||
    cause instanceof jose.errors.JOSEAlgNotAllowed
  )
    return fail("Signature", `This ${purpose} was not signed by this deployment, or was changed; ask for a new one.`)
  return fail("Malformed", `This is not a ${purpose}; send the text exactly as it was given.`)
}

const makeKeys = (secret: Redacted.Redacted<string>): Effect.Effect<Keys["Service"], KeysError> =>
  Effect.gen(function* () {
    const text = Redacted.value(secret)
    if (text.length < minimumSecret) {
      return yield* new KeysError({
        message: `The deployment's secret has ${text.length} characters and needs at least ${minimumSecret}. Set MAHALLA_SECRET to random text, as from "openssl rand -base64 48".`
      })
    }
    const keys = new Map<string, SigningKey>()
    const macKeys = new Map<string, Buffer>()
    /** The key in force at a moment, in epoch seconds. Replicas agree without a word: turns are counted from 1970. */
    const keyAt = (purpose: SigningPurpose, at: number): SigningKey => {
      const turn = keyTurns[purpose]
      const name = turn === undefined ? purpose : `${purpose}:${Math.floor(at / turn)}`
      const known = keys.get(name)
      const key = known ?? signingKey(text, name)
      if (known === undefined) keys.set(name, key)
      return key
    }
    const keysAround = (purpose: SigningPurpose, at: number): ReadonlySet<SigningKey> =>
      new Set([keyAt(purpose, at), keyAt(purpose, at - keyOverlap), keyAt(purpose, at + keyOverlap)])
    const seconds = Effect.map(Clock.currentTimeMillis, (now) => Math.floor(now / 1000))
    return {
      jwks: Effect.map(seconds, (now) => ({
        keys: signingPurposes.flatMap((purpose) => [...keysAround(purpose, now)].map((key) => key.jwk))
      })),
      sign: Effect.fnUntraced(function* (purpose, claims, options) {
        const now = yield* seconds
        const key = keyAt(purpose, now)
        const token = new jose.SignJWT(claims)
          .setProtectedHeader({ alg: "EdDSA", typ: options.typ, kid: key.kid })
          .setIssuedAt(now)
        if (options.expiresIn !== undefined)
          token.setExpirationTime(now + Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(options.expiresIn))))
        return yield* Effect.promise(() => token.sign(key.privateKey))
      }),
      verify: Effect.fnUntraced(function* (purpose, token, options) {
        const now = yield* Clock.currentTimeMillis
        const verified = yield* Effect.tryPromise({
          try: () =>
            jose.jwtVerify(
              token,
              (header) => {
                for (const key of keysAround(purpose, Math.floor(now / 1000)))
                  if (header.kid === key.kid) return key.publicKey
                throw new jose.errors.JWKSNoMatchingKey()
              },
              {
                algorithms: ["EdDSA"],
                typ: options.typ,
                issuer: options.issuer,
                currentDate: new Date(now),
                ...(options.audience === undefined ? {} : { audience: options.audience })
              }
            ),
          catch: (cause) => tokenError(purpose, cause)
        })
        if (options.audience === undefined && verified.payload.aud !== undefined) {
          return yield* new TokenError({
            reason: "Claims",
            purpose,
            message: `This ${purpose} is meant for another audience; use the one that was given for it.`
          })
        }
        return verified.payload
      }),
      mac: (purpose, data) => {
        const known = macKeys.get(purpose)
        const key = known ?? derive(text, `mac:${purpose}`)
        if (known === undefined) macKeys.set(purpose, key)
        return createHmac("sha256", key).update(data).digest()
      }
    }
  })

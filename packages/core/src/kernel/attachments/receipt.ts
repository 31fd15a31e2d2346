/**
 * The receipt a citizen holds: signed by the deployment, it says which bytes arrived when. Anybody verifies it with the published
 * keys alone, also when the deployment is gone.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import { Issuer, Keys, TokenError } from "../keys/Keys.ts"

export const receiptType = "mahalla-receipt+jwt"

export const Receipt = Schema.Struct({
  /** The deployment's public address. */
  iss: Schema.String,
  /** The sender's principal, or `anonymous`. */
  sub: Schema.String,
  tenant: Schema.String,
  attachment: Schema.String,
  /** Hex SHA-256 of the file. */
  sha256: Schema.String,
  /** Bytes. */
  size: Schema.Finite,
  mediaType: Schema.String,
  /** RFC 3339, UTC. */
  receivedAt: Schema.String,
  /** Id of the `attachment.stored` event, whose place in the transparency log can be proved. */
  event: Schema.String,
  /** When it was signed: seconds since 1970. */
  iat: Schema.Finite
})
export type Receipt = typeof Receipt.Type

export const signReceipt = Effect.fnUntraced(function* (facts: Omit<Receipt, "iss" | "iat">) {
  const keys = yield* Keys
  return yield* keys.sign("receipt", { iss: yield* Issuer, ...facts }, { typ: receiptType })
})

const decode = Schema.decodeUnknownEffect(Receipt)

const invalid = (cause: unknown) =>
  new TokenError({
    reason: cause instanceof jose.errors.JWTClaimValidationFailed ? "Claims" : "Signature",
    purpose: "receipt",
    message: "This is no receipt of that deployment, or it was changed. Compare it with the original text.",
    cause
  })

/** What a receipt says, once its signature holds against a deployment's published keys (`/.well-known/jwks.json`). */
export const verifyReceipt = Effect.fn("verifyReceipt")(function* (
  receipt: string,
  issued: { readonly by: string; readonly jwks: { readonly keys: ReadonlyArray<jose.JWK> } }
) {
  const now = yield* Clock.currentTimeMillis
  const { payload } = yield* Effect.tryPromise({
    try: () =>
      jose.jwtVerify(receipt, jose.createLocalJWKSet({ keys: [...issued.jwks.keys] }), {
        algorithms: ["EdDSA"],
        typ: receiptType,
        issuer: issued.by,
        currentDate: new Date(now)
      }),
    catch: invalid
  })
  return yield* Effect.mapError(decode(payload), invalid)
})

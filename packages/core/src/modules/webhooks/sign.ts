/**
 * Signatures of Standard Webhooks: HMAC-SHA256 (`v1`, secret `whsec_…`) and Ed25519 (`v1a`, keys `whsk_…` and `whpk_…`) over id, time and body. Every
 * secret in force signs, so that a receiver may change over at its own time.
 */
import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { limits } from "./model.ts"

export type SecretKind = "v1" | "v1a"

export interface NewSecret {
  readonly kind: SecretKind
  readonly text: string
  /** What the receiver verifies with; null where that is the secret itself. */
  readonly publicKey: string | null
}

/** RFC 8410: what stands before the 32 bytes of an Ed25519 private key in PKCS#8. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

export const makeSecret = (kind: SecretKind): NewSecret => {
  if (kind === "v1") return { kind, text: `whsec_${randomBytes(limits.secret).toString("base64")}`, publicKey: null }
  const pair = generateKeyPairSync("ed25519")
  const jwk = pair.privateKey.export({ format: "jwk" }) as { readonly d: string; readonly x: string }
  const [seed, open] = [Buffer.from(jwk.d, "base64url"), Buffer.from(jwk.x, "base64url")]
  return {
    kind,
    text: `whsk_${Buffer.concat([seed, open]).toString("base64")}`,
    publicKey: `whpk_${open.toString("base64")}`
  }
}

/** A secret ready to sign with. */
export interface Signer {
  readonly kind: SecretKind
  readonly key: Buffer | KeyObject
}

export const signerOf = (kind: SecretKind, text: string): Signer => {
  const bytes = Buffer.from(text.slice(text.indexOf("_") + 1), "base64")
  return kind === "v1"
    ? { kind, key: bytes }
    : {
        kind,
        key: createPrivateKey({
          key: Buffer.concat([pkcs8Prefix, bytes.subarray(0, 32)]),
          format: "der",
          type: "pkcs8"
        })
      }
}

/** The header `webhook-signature`; `timestamp` in seconds since 1970. */
export const signatures = (signers: ReadonlyArray<Signer>, id: string, timestamp: number, body: string): string => {
  const content = `${id}.${timestamp}.${body}`
  return signers
    .map(({ key, kind }) =>
      kind === "v1"
        ? `v1,${createHmac("sha256", key).update(content).digest("base64")}`
        : `v1a,${sign(null, Buffer.from(content), key as KeyObject).toString("base64")}`
    )
    .join(" ")
}

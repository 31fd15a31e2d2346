/**
 * The provider's signing keys: ES256, one for each tenant and quarter of a year, derived from the deployment's secret. Nothing is stored, all
 * replicas agree, and the published list holds the last, this and the next one.
 */
import { createECDH, createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import type { JWK } from "jose"
import { Keys } from "../../kernel/keys/Keys.ts"

/** Days a key signs. */
const turnDays = 90

/** The number of the quarter that a moment lies in. */
export const turnOf = (now: number): number => Math.floor(now / (turnDays * 86_400_000))

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** FIPS 186-5, A.2.1: more bits than the curve's order has, reduced, so that no scalar is likelier than another. */
const scalarOf = (seed: Uint8Array): Buffer => {
  const scalar = (BigInt(`0x${Buffer.from(seed).toString("hex")}`) % (order - 1n)) + 1n
  return Buffer.from(scalar.toString(16).padStart(64, "0"), "hex")
}

export type SigningJwk = JWK & { readonly kty: "EC"; readonly kid: string }

/** The private key of a tenant and turn as a JWK (RFC 7517); `kid` is its thumbprint (RFC 7638). */
const keyOf = (keys: Keys["Service"], tenantId: string, turn: number): SigningJwk => {
  const part = (place: number) => keys.mac("oauth-signing", `${tenantId} ${turn} ${place}`)
  const scalar = scalarOf(Buffer.concat([part(0), part(1)]))
  const curve = createECDH("prime256v1")
  curve.setPrivateKey(scalar)
  const point = curve.getPublicKey()
  const x = point.subarray(1, 33).toString("base64url")
  const y = point.subarray(33).toString("base64url")
  const kid = createHash("sha256")
    .update(JSON.stringify({ crv: "P-256", kty: "EC", x, y }))
    .digest("base64url")
  return { kty: "EC", crv: "P-256", x, y, d: scalar.toString("base64url"), kid, alg: "ES256", use: "sig" }
}

/** What others may see of a key. */
export const publicPart = ({ alg, crv, kid, kty, use, x, y }: JWK): JWK => ({ alg, crv, kid, kty, use, x, y }) as JWK

/** The key that signs first, then those that only verify. */
export const signingKeys = (tenantId: string, turn: number) =>
  Effect.map(Keys, (keys) => [turn, turn - 1, turn + 1].map((one) => keyOf(keys, tenantId, one)))

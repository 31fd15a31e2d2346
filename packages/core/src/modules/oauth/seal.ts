/** Sealing what the provider keeps: who reads the database finds nothing that works. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Keys } from "../../kernel/keys/Keys.ts"

export interface Seal {
  /** AES-256-GCM; `place` is bound in, so that a value moved elsewhere does not open. */
  readonly close: (place: string, value: unknown) => string
  /** Undefined for what was not sealed here, or was changed. */
  readonly open: (place: string, sealed: string) => unknown
}

/** SHA-256 of a code or token of 256 random bits. */
export const hashOf = (token: string): string => createHash("sha256").update(token).digest("base64url")

/** Each tenant has a key of its own, derived from the deployment's secret. */
export const sealOf = (tenantId: string) =>
  Effect.map(Keys, (keys): Seal => {
    const key = keys.mac("oauth-seal", tenantId)
    return {
      close: (place, value) => {
        const nonce = randomBytes(12)
        const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(place))
        const text = Buffer.concat([cipher.update(JSON.stringify(value), "utf8"), cipher.final()])
        return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64url")
      },
      open: (place, sealed) => {
        const bytes = Buffer.from(sealed, "base64url")
        if (bytes.length < 28) return undefined
        try {
          const cipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12)).setAAD(Buffer.from(place))
          cipher.setAuthTag(bytes.subarray(12, 28))
          return JSON.parse(Buffer.concat([cipher.update(bytes.subarray(28)), cipher.final()]).toString("utf8"))
        } catch {
          return undefined
        }
      }
    }
  })

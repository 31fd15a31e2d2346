/** Secrets that must be read again, sealed for the row they stand in: AES-256-GCM with a key of the tenant. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Keys } from "../../kernel/keys/Keys.ts"

const keyOf = (tenantId: string) => Effect.map(Keys, (keys) => keys.mac("seal", `identity ${tenantId}`))

/** base64url of nonce, ciphertext and tag. `row` names table and row: elsewhere it does not open. */
export const seal = Effect.fnUntraced(function* (tenantId: string, row: string, text: string) {
  const nonce = randomBytes(12)
  const cipher = createCipheriv("aes-256-gcm", yield* keyOf(tenantId), nonce).setAAD(Buffer.from(`${tenantId} ${row}`))
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()])
  return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString("base64url")
})

/** Dies when it was changed, moved to another row, or sealed under another secret of the deployment. */
export const unseal = Effect.fnUntraced(function* (tenantId: string, row: string, sealed: string) {
  const bytes = Buffer.from(sealed, "base64url")
  const key = yield* keyOf(tenantId)
  return yield* Effect.try({
    try: () => {
      const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12), { authTagLength: 16 })
      decipher.setAAD(Buffer.from(`${tenantId} ${row}`)).setAuthTag(bytes.subarray(-16))
      return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString("utf8")
    },
    catch: (cause) =>
      new Error("A sealed secret does not open: it was changed, or the deployment has another secret now.", { cause })
  }).pipe(Effect.orDie)
})

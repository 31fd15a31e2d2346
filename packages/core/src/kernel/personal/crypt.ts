/**
 * Sealing a value: AES-256-GCM with a random nonce, bound to the place where it stands. In another column, row or tenant, or under
 * another version of the key, it does not open. Pure functions over keys; `Vault.ts` knows whose keys they are.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject, randomBytes } from "node:crypto"
import { draw } from "../ids.ts"

/** Where a sealed value stands. A row's name is its key without the tenant; several columns are joined by the caller. */
export interface Place {
  readonly tenantId: string
  readonly table: string
  readonly column: string
  readonly row: string
}

/** `v1.<key version>.<base64url of nonce, ciphertext and tag>`. */
const form = /^v1\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{38,})$/

/** The key version that a sealed value names; undefined when the text is none. */
export const versionOf = (sealed: string): number | undefined => {
  const parts = form.exec(sealed)
  return parts === null ? undefined : Number(parts[1])
}

/** What every sealed value under this version begins with; for counting them in SQL. */
export const prefixOf = (version: number): string => `v1.${version}.`

export const newKey = (): KeyObject => createSecretKey(randomBytes(32))

const nonceSize = 12
const tagSize = 16

const encrypt = (key: KeyObject, bound: string, plain: Uint8Array): string => {
  const nonce = draw(nonceSize)
  const cipher = createCipheriv("aes-256-gcm", key, nonce)
  cipher.setAAD(Buffer.from(bound))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString("base64url")
}

/** Undefined when it was changed, moved, or is of another key. */
const decrypt = (key: KeyObject, bound: string, text: string): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url")
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, nonceSize))
  decipher.setAAD(Buffer.from(bound))
  decipher.setAuthTag(bytes.subarray(-tagSize))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceSize, -tagSize)), decipher.final()])
  } catch {
    return undefined
  }
}

/** A JSON array keeps the parts apart whatever is in them. */
const boundTo = ({ column, row, table, tenantId }: Place, version: number): string =>
  JSON.stringify(["value", tenantId, table, column, row, version])

export const sealText = (key: KeyObject, version: number, place: Place, text: string): string =>
  prefixOf(version) + encrypt(key, boundTo(place, version), Buffer.from(text))

/** The text; undefined when the value was changed, stood elsewhere, or is of another key. */
export const openText = (key: KeyObject, version: number, place: Place, sealed: string): string | undefined => {
  const parts = form.exec(sealed)
  if (parts === null || Number(parts[1]) !== version) return undefined
  return decrypt(key, boundTo(place, version), parts[2]!)?.toString()
}

/** What a tenant's key is for: `data` seals, `index` makes look-ups. Of `index` there is one version. */
export type KeyPurpose = "data" | "index"

export interface KeyPlace {
  readonly tenantId: string
  readonly purpose: KeyPurpose
  readonly version: number
  readonly masterId: string
}

const boundKey = ({ masterId, purpose, tenantId, version }: KeyPlace): string =>
  JSON.stringify(["key", tenantId, purpose, version, masterId])

/** A tenant's key as it stands in the database. */
export const wrapKey = (master: KeyObject, place: KeyPlace, key: KeyObject): string =>
  `v1.${encrypt(master, boundKey(place), key.export())}`

/** Undefined when it is of another master key, was changed, or belongs elsewhere. */
export const unwrapKey = (master: KeyObject, place: KeyPlace, wrapped: string): KeyObject | undefined => {
  const bytes = /^v1\.[A-Za-z0-9_-]{80}$/.test(wrapped) ? decrypt(master, boundKey(place), wrapped.slice(3)) : undefined
  return bytes === undefined ? undefined : createSecretKey(bytes)
}

/** Equal for equal values of one column in one tenant, and of no use elsewhere; base64url, 43 characters. */
export const indexOf = (key: KeyObject, column: string, value: string): string =>
  createHmac("sha256", key)
    .update(JSON.stringify([column, value]))
    .digest("base64url")

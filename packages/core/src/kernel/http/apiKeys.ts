/**
 * Keys with which servers call, as `mak_…`: 256 random bits and a checksum, so that a key cut short or mistyped is told without a look
 * into the database, and programs that search for lost secrets can tell a real one.
 */
import { createHash, randomBytes } from "node:crypto"
import { crc32 } from "node:zlib"

const form = /^mak_[A-Za-z0-9_-]{43}[0-9a-f]{8}$/

const checksum = (text: string) => crc32(text).toString(16).padStart(8, "0")

export const newApiKey = (): string => {
  const text = `mak_${randomBytes(32).toString("base64url")}`
  return text + checksum(text)
}

/** The first characters, by which people tell keys apart; they say nothing about the rest. */
export const prefixOf = (key: string): string => key.slice(0, 12)

/** Whether a bearer token means to be a key. */
export const isApiKey = (token: string): boolean => token.startsWith("mak_")

/** What is kept of a key: SHA-256, base64url. Undefined when it cannot be one. */
export const hashOfApiKey = (key: string): string | undefined =>
  form.test(key) && checksum(key.slice(0, -8)) === key.slice(-8)
    ? createHash("sha256").update(key).digest("base64url")
    : undefined

/** Names made of contents. */
import { createHash } from "node:crypto"

const digest = (text: string) => createHash("sha256").update(text).digest()

/** Eight characters that tell two conditions of one rule apart. */
export const shortHash = (text: string): string => digest(text).toString("base64url").slice(0, 8)

/** A UUID of version 8 (RFC 9562, section 5.8) from the SHA-256 of what names the episode. */
export const episodeOf = (parts: ReadonlyArray<string | number>): string => {
  const bytes = digest(JSON.stringify(parts)).subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

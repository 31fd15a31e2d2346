/** Signed checkpoints: compact JWS (RFC 7515) with Ed25519 (RFC 8037), one on each line of a file. */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto"
import { readFileSync } from "node:fs"
import { Finding } from "./findings.ts"
import { linesOf } from "./lines.ts"

export interface Checkpoint {
  readonly issuer: string
  readonly tenant: string
  readonly size: number
  /** base64url. */
  readonly root: string
  /** Seconds since 1970. */
  readonly signedAt: number
}

interface Jwk {
  readonly kty?: unknown
  readonly crv?: unknown
  readonly x?: unknown
}

/** Public keys by their RFC 7638 thumbprint, which is their `kid`. */
export type Keys = ReadonlyMap<string, KeyObject>

const keysIn = (text: string, from: string): Keys => {
  const given = JSON.parse(text) as Jwk & { readonly keys?: ReadonlyArray<Jwk> }
  const found = new Map<string, KeyObject>()
  for (const { crv, kty, x } of given.keys ?? [given]) {
    if (kty !== "OKP" || crv !== "Ed25519" || typeof x !== "string") continue
    const kid = createHash("sha256")
      .update(`{"crv":"Ed25519","kty":"OKP","x":${JSON.stringify(x)}}`)
      .digest("base64url")
    found.set(kid, createPublicKey({ key: { kty, crv, x }, format: "jwk" }))
  }
  if (found.size === 0) throw new Error(`${from} has no Ed25519 key`)
  return found
}

/** Keys of a file or an address: a JWK set (RFC 7517), or one JWK. */
export const readKeys = async (from: string): Promise<Keys> => {
  try {
    if (!/^https?:\/\//.test(from)) return keysIn(readFileSync(from, "utf8"), from)
    const answer = await fetch(from, { signal: AbortSignal.timeout(20_000) })
    if (!answer.ok) throw new Error(`${from} answers ${answer.status}`)
    return keysIn(await answer.text(), from)
  } catch (error) {
    throw new Finding("usage", `The key cannot be read: ${(error as Error).message}. Give --key FILE or --key URL.`)
  }
}

const part = (text: string | undefined): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(Buffer.from(text ?? "", "base64url").toString("utf8"))
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** What a line claims, signed or not; undefined when it is no checkpoint. */
const claimsOf = (line: string): Checkpoint | undefined => {
  const { iat, iss, root, size, tenant } = part(line.split(".")[1])
  const whole = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value)
  return typeof iss === "string" && typeof tenant === "string" && typeof root === "string" && whole(size) && whole(iat)
    ? { issuer: iss, tenant, size, root, signedAt: iat }
    : undefined
}

const isSigned = (line: string, keys: Keys): boolean => {
  const [header, body, signature, ...more] = line.split(".")
  const { alg, kid, typ } = part(header)
  const key = typeof kid === "string" ? keys.get(kid) : undefined
  if (more.length > 0 || alg !== "EdDSA" || typ !== "mahalla-checkpoint+jwt" || key === undefined) return false
  return verify(null, Buffer.from(`${header}.${body}`), key, Buffer.from(signature ?? "", "base64url"))
}

/** Who signed the first line, to find their keys; not to be believed before the signature was checked. */
export const issuerOf = async (file: string): Promise<string | undefined> => {
  for await (const { text } of linesOf(file)) return claimsOf(text)?.issuer
  return undefined
}

/** Every checkpoint of a file by size. Fails at the first line that is not signed, or contradicts another. */
export const readCheckpoints = async (file: string, keys: Keys): Promise<ReadonlyArray<Checkpoint>> => {
  const bySize = new Map<number, Checkpoint>()
  let first: Checkpoint | undefined
  for await (const { number, text } of linesOf(file)) {
    if (text === "") continue
    const at = `line ${number} of ${file}`
    const found = claimsOf(text)
    if (found === undefined || found.size < 1) throw new Finding("malformed", `There is no checkpoint in ${at}.`)
    if (!isSigned(text, keys))
      throw new Finding("bad-signature", `The checkpoint of size ${found.size} in ${at} was not signed by the key.`)
    first ??= found
    if (found.tenant !== first.tenant || found.issuer !== first.issuer)
      throw new Finding("malformed", `The checkpoint in ${at} is another log's: ${found.issuer}, ${found.tenant}.`)
    const other = bySize.get(found.size)
    if (other !== undefined && other.root !== found.root)
      throw new Finding(
        "fork",
        `Two checkpoints of size ${found.size} have different roots, ${other.root} and ${found.root} (${at}): the log has two pasts, and its keeper signed both.`,
        { position: found.size }
      )
    if (other === undefined) bySize.set(found.size, found)
  }
  if (bySize.size === 0) throw new Finding("malformed", `There is no checkpoint in ${file}.`)
  return [...bySize.values()].sort((one, other) => one.size - other.size)
}

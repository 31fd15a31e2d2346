/**
 * The mutual secret: every request, every answer and every callback carries an HMAC-SHA256 over what it says. An answer is bound to its
 * request, so that yesterday's is not taken for today's; a callback to its moment.
 */
import { createHmac, timingSafeEqual } from "node:crypto"

/** Header names. */
export const signed = { client: "asbt-client", timestamp: "asbt-timestamp", signature: "asbt-signature" } as const

/** Seconds by which two clocks may differ. */
export const tolerance = 300

const hmac = (secret: string, parts: ReadonlyArray<string | Uint8Array>): string => {
  const mac = createHmac("sha256", secret)
  // Lengths first: no part can be moved into its neighbour.
  for (const part of parts) mac.update(`${Buffer.byteLength(part)}\n`).update(part)
  return mac.digest("hex")
}

export const signRequest = (secret: string, timestamp: string, path: string, body: string | Uint8Array) =>
  hmac(secret, ["request", timestamp, path, body])

/** `request`: the signature of the request that it answers. */
export const signAnswer = (secret: string, request: string, status: number, body: string) =>
  hmac(secret, ["answer", request, String(status), body])

export const signCallback = (secret: string, timestamp: string, body: string | Uint8Array) =>
  hmac(secret, ["callback", timestamp, body])

/** In constant time. */
export const isSame = (expected: string, given: string | undefined): boolean => {
  if (given === undefined) return false
  const [one, other] = [Buffer.from(expected), Buffer.from(given)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** Whether a header's moment, in epoch seconds, is now. `now`: epoch milliseconds. */
export const isRecent = (timestamp: string | undefined, now: number): boolean =>
  timestamp !== undefined && /^\d{9,11}$/.test(timestamp) && Math.abs(Number(timestamp) - now / 1_000) <= tolerance

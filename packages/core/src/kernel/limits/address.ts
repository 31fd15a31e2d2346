/** Limits by the address that a request comes from. */
import * as Effect from "effect/Effect"
import { RequestFacts } from "../http/Door.ts"
import { Actor } from "../policy/Principal.ts"
import { takeFrom } from "./gcra.ts"

/** What counts as one sender: an IPv4 address, or the /64 that an IPv6 subscriber is given (RFC 6177). */
export const senderOf = (ip: string): string => {
  if (!ip.includes(":")) return ip
  const [head = "", tail] = ip.split("%")[0]!.toLowerCase().split("::")
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const gap = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array.from({ length: gap }, () => "0"), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`
}

/** What one address may begin without an account: so many at once, and as many an hour. */
const anonymousPerHour = 60

/** Takes one from what visitors without an account may begin from their address; others are not limited here. */
export const limitAnonymous = Effect.fnUntraced(function* (what: "case" | "upload") {
  const actor = yield* Actor
  const { ip } = yield* RequestFacts
  if (actor.kind !== "anonymous" || ip === "") return
  yield* takeFrom(actor.tenantId, {
    key: `anonymous-${what}:ip:${senderOf(ip)}`,
    amount: anonymousPerHour,
    window: 3_600,
    message: "Too much was sent from here without an account. Sign in, or wait a while."
  })
})

/** Limits by the address that a request comes from. */
import * as Effect from "effect/Effect"
import { RequestFacts } from "../http/Door.ts"
import { Actor } from "../policy/Principal.ts"
import { type Limit, takeFrom } from "./gcra.ts"

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

/**
 * The network of a sender, where one may have many: an IPv4 address alone, or the /48 that a provider gives to one site (RFC 6177).
 */
export const networkOf = (ip: string): string =>
  ip.includes(":") ? `${senderOf(ip).split(":").slice(0, 3).join(":")}::/48` : ip

/** The block that an address belongs to, for what its owner may do with many: an IPv4 /24 or an IPv6 /48. */
export const blockOf = (ip: string): string =>
  ip.includes(":") ? networkOf(ip) : `${ip.split(".").slice(0, 3).join(".")}.0/24`

/** Takes one from what an address may do; from IPv6 also from what its site may, which has 65,536 such senders: three times as much. */
export const takeByAddress = Effect.fnUntraced(function* (
  tenantId: string,
  ip: string,
  { what, ...limit }: Omit<Limit, "key"> & { readonly what: string }
) {
  yield* takeFrom(tenantId, { ...limit, key: `${what}:ip:${senderOf(ip)}` })
  if (ip.includes(":"))
    yield* takeFrom(tenantId, { ...limit, key: `${what}:network:${networkOf(ip)}`, amount: limit.amount * 3 })
})

/** What one address may begin without an account: so many at once, and as many an hour. */
const anonymousPerHour = 60

/** Takes one from what visitors without an account may begin from their address; others are not limited here. */
export const limitAnonymous = Effect.fnUntraced(function* (what: "case" | "upload") {
  const actor = yield* Actor
  const { ip } = yield* RequestFacts
  if (actor.kind !== "anonymous" || ip === "") return
  yield* takeByAddress(actor.tenantId, ip, {
    what: `anonymous-${what}`,
    amount: anonymousPerHour,
    window: 3_600,
    message: "Too much was sent from here without an account. Sign in, or wait a while."
  })
})

/** Work that costs much more than it takes to ask for it, by whoever asks: so many, in so many seconds. */
const dearReads = {
  search: { amount: 120, window: 60, message: "Too many searches. Wait a minute." },
  export: { amount: 20, window: 600, message: "Too many exports. Wait a few minutes." }
} as const

/** Takes one from what the actor, or a visitor's address, may search or export. Lets it through while limits cannot be counted. */
export const limitReads = Effect.fnUntraced(function* (what: keyof typeof dearReads) {
  const actor = yield* Actor
  const { ip } = yield* RequestFacts
  const limit = { ...dearReads[what], whenDown: "admit" } as const
  if (actor.id !== null) return yield* takeFrom(actor.tenantId, { ...limit, key: `${what}:person:${actor.id}` })
  if (ip !== "") yield* takeByAddress(actor.tenantId, ip, { ...limit, what })
})

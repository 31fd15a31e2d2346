/** Places for those who watch, as many as a process can carry and one person may take. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { problem, type ProblemAnswer } from "../http/problems.ts"
import { senderOf } from "../limits/address.ts"
import type { Principal } from "../policy/Principal.ts"

/** Live connections of this process, feeds and WebSockets each. */
export const maxSeats = 2_000
/** Of one principal, and of one address without one. */
export const maxEach = 30

export interface Seats {
  /** Why there is no place for somebody; undefined where there is one. */
  readonly refusal: (who: Holder, ip: string) => ProblemAnswer | undefined
  /** Takes a place until the scope ends. */
  readonly take: (who: Holder, ip: string) => Effect.Effect<void, never, Scope.Scope>
}

type Holder = Pick<Principal, "id" | "tenantId">

const nameOf = ({ id, tenantId }: Holder, ip: string) => `${tenantId} ${id ?? senderOf(ip)}`

export const makeSeats = (whole: number = maxSeats, each: number = maxEach): Seats => {
  let taken = 0
  const perHolder = new Map<string, number>()
  const soon = { "retry-after": "5" }
  return {
    refusal: (who, ip) => {
      if (taken >= whole) return problem(503, "busy", "Too many live connections; try again shortly.", {}, soon)
      if ((perHolder.get(nameOf(who, ip)) ?? 0) >= each)
        return problem(429, "too-many-requests", `You have ${each} live connections; close some first.`, {}, soon)
      return undefined
    },
    take: (who, ip) => {
      const holder = nameOf(who, ip)
      return Effect.acquireRelease(
        Effect.sync(() => {
          taken++
          perHolder.set(holder, (perHolder.get(holder) ?? 0) + 1)
        }),
        () =>
          Effect.sync(() => {
            taken--
            const left = (perHolder.get(holder) ?? 1) - 1
            if (left === 0) perHolder.delete(holder)
            else perHolder.set(holder, left)
          })
      )
    }
  }
}

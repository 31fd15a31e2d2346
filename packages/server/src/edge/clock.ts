/**
 * Times of arrival, where the edge's clock was wrong when they were taken: a small machine wakes up in 1970 and learns the time when the network is
 * back. The clock that only runs says how long ago a message came; what time it is now, the city says. Pure.
 */
import type { Moment } from "./frame.ts"

/** Milliseconds by which a clock may be wrong without being corrected. */
export const tolerance = 30_000

/** When the machine was started, by the clock that people set. */
const started = ({ uptime, wall }: Moment) => wall - uptime

/**
 * Milliseconds to be added to times that were stamped by `stamped`. `now`: the present moment with the right time. `later`: clocks of later segments,
 * for times of a start of the machine that is over: a clock that was set then was set right.
 */
export const correctionOf = (stamped: Moment | undefined, later: ReadonlyArray<Moment>, now: Moment): number => {
  if (stamped === undefined) return 0
  const witness = stamped.boot === now.boot ? now : later.findLast(({ boot }) => boot === stamped.boot)
  const off = witness === undefined ? 0 : Math.round(started(witness) - started(stamped))
  return Math.abs(off) < tolerance ? 0 : off
}

/** The right time: our own clock, unless the city's is another. `skew`: how far the city's is ahead, in milliseconds. */
export const rightWall = (wall: number, skew: number): number => (Math.abs(skew) < tolerance ? wall : wall + skew)

import * as DateTime from "effect/DateTime"
import { day } from "./model.ts"

const dayMillis = day * 1000
/** Zones change their offset at full quarters of an hour, and at most once a day. */
const quarter = 900_000
/** Ten years of days. */
const most = 3653

/** One day of UTC: seconds ahead at its beginning and at its end, and the epoch milliseconds from which the latter hold. */
interface Day {
  readonly before: number
  readonly after: number
  readonly change: number
}

/**
 * Seconds by which a place's time is ahead of UTC at a moment, daylight saving included; fast enough for every reading, for it remembers the
 * days it was asked about. Throws on a name that is no IANA time zone: a tenant's zone is checked when it is set.
 */
export const utcOffsetIn = (timeZone: string): ((at: number) => number) => {
  const zone = DateTime.zoneMakeNamedUnsafe(timeZone)
  const offset = (at: number) => DateTime.zonedOffset(DateTime.makeZonedUnsafe(at, { timeZone: zone })) / 1000
  const known = new Map<number, Day>()
  const look = (number: number): Day => {
    let [early, late] = [number * dayMillis, (number + 1) * dayMillis]
    const [before, after] = [offset(early), offset(late)]
    if (before === after) return { before, after, change: late }
    while (late - early > quarter) {
      const middle = early + Math.round((late - early) / 2 / quarter) * quarter
      if (offset(middle) === before) early = middle
      else late = middle
    }
    return { before, after, change: late }
  }
  return (at) => {
    const number = Math.floor(at / dayMillis)
    let found = known.get(number)
    if (found === undefined) {
      if (known.size >= most) known.clear()
      found = look(number)
      known.set(number, found)
    }
    return at < found.change ? found.before : found.after
  }
}

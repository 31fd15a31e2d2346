/** Hours of the week as spans of time, for `schedule` leaves. */
import { clocksOf, dateOf, type Day, minutesOf, weekdayOf } from "../../../kernel/deadlines/calendar.ts"
import type { ScheduleLeaf } from "./definition.ts"

/** Where and when the tenant lives: `TenantSettings` has both. */
export interface TenantTime {
  /** IANA name. */
  readonly timeZone: string
  /** Local dates `YYYY-MM-DD`. */
  readonly holidays: ReadonlyArray<string>
}

export interface Span {
  readonly inside: boolean
  /** When that ends; Infinity when not within about a year. */
  readonly until: number
}

const daysAhead = 400

/** Whether a moment lies in the hours, and until when that stays so. Remembers the last span, for whoever asks next asks of about then. */
export const hoursOf = (leaf: ScheduleLeaf, { holidays, timeZone }: TenantTime): ((now: number) => Span) => {
  const { instant, local } = clocksOf(timeZone)
  const free = new Set(holidays)
  const weekdays = new Set(leaf.days)
  const from = minutesOf(leaf.from) * 60_000
  const to = minutesOf(leaf.to) * 60_000
  const isOn = (day: Day): boolean => {
    if (!weekdays.has(weekdayOf(day))) return false
    if (leaf.holidays === "except") return !free.has(dateOf(day))
    return leaf.holidays !== "only" || free.has(dateOf(day))
  }
  const begin = (day: Day) => instant(day, from)
  const end = (day: Day) => (to > from ? instant(day, to) : instant(day + 1, to))

  const spanAt = (now: number): Span => {
    const { day } = local(now)
    let until = now
    // Hours that begin where others end are one span.
    for (let next = day - 1; next <= day + daysAhead; next++) {
      if (!isOn(next)) continue
      if (begin(next) <= until && end(next) > until) until = end(next)
      else if (begin(next) > until) return until > now ? { inside: true, until } : { inside: false, until: begin(next) }
    }
    return until > now && until < begin(day + daysAhead)
      ? { inside: true, until }
      : { inside: until > now, until: Infinity }
  }

  let since = Infinity
  let last: Span = { inside: false, until: -Infinity }
  return (now) => {
    if (now < since || now >= last.until) {
      last = spanAt(now)
      since = now
    }
    return last
  }
}

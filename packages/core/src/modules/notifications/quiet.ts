/** When people may be called, and when their digest is due: local times of the city, whatever its clocks do. Pure. */
import { clocksOf, type Day, minutesOf, weekdayOf } from "../../kernel/deadlines/calendar.ts"
import type { NotificationSettings } from "../../kernel/tenancy/Tenant.ts"

/** Minutes of the day; `until` not after `from` is on the next day. Of equal ones there are no quiet hours. */
export interface QuietHours {
  readonly from: number
  readonly until: number
}

/** The quiet hours of a day: those that begin on it are its own, and they end as the day on which they end has it. */
export type QuietDays = (weekday: number) => QuietHours

const minuteMillis = 60_000

/** When the quiet hours of a moment are over, epoch milliseconds; undefined when it is not quiet. */
export const quietUntil = (now: number, days: QuietDays, timeZone: string): number | undefined => {
  const { instant, local } = clocksOf(timeZone)
  const { day: today } = local(now)
  let end: number | undefined
  const over = (from: Day, until: Day) => {
    const begins = days(weekdayOf(from))
    if (begins.from === begins.until) return
    const last = until === from ? begins : days(weekdayOf(until))
    const [start, stop] = [instant(from, begins.from * minuteMillis), instant(until, last.until * minuteMillis)]
    if (start <= now && now < stop) end = Math.max(end ?? 0, stop)
  }
  for (const day of [today - 1, today])
    over(day, days(weekdayOf(day)).until > days(weekdayOf(day)).from ? day : day + 1)
  return end
}

/** The city's quiet hours, if it has any. */
export const quietDaysOf = ({ quietHours }: NotificationSettings): QuietDays | undefined => {
  if (quietHours === undefined) return undefined
  const of = ({ from, until }: { readonly from: string; readonly until: string }) => ({
    from: minutesOf(from),
    until: minutesOf(until)
  })
  const [week, weekend] = [of(quietHours), of(quietHours.weekend ?? quietHours)]
  return (weekday) => (weekday > 5 ? weekend : week)
}

export interface DigestTime {
  readonly digest: "daily" | "weekly"
  /** 0–23. */
  readonly hour: number
  /** ISO weekday of weekly ones. */
  readonly day: number
}

/** The next moment for a digest after another one, epoch milliseconds. */
export const nextDigest = (now: number, { day: weekday, digest, hour }: DigestTime, timeZone: string): number => {
  const { instant, local } = clocksOf(timeZone)
  for (let { day } = local(now); ; day++) {
    const at = instant(day, hour * 3_600_000)
    if (at > now && (digest === "daily" || weekdayOf(day) === weekday)) return at
  }
}

/** The first moment of the next day, epoch milliseconds. */
export const nextDay = (now: number, timeZone: string): number => {
  const { instant, local } = clocksOf(timeZone)
  return instant(local(now).day + 1, 0)
}

/** The first moment of the day. */
export const startOfDay = (now: number, timeZone: string): number => {
  const { instant, local } = clocksOf(timeZone)
  return instant(local(now).day, 0)
}

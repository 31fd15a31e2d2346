/**
 * Working time: when a span of a city's office hours is over. Pure; deadlines and statistics use it.
 *
 * A city's hours are closed intervals of local time on working days. A day of working time leads to the same local time on the next
 * working day; hours, minutes and seconds are elapsed time within the hours, whatever the clocks do meanwhile.
 */
import * as DateTime from "effect/DateTime"
import type { WorkingCalendar } from "../tenancy/Tenant.ts"

/** Whole days, then elapsed time. */
export interface CalendarDuration {
  readonly days: number
  readonly seconds: number
}

const durationPattern = /^P(?=\d|T\d)(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$/

/** Reads an ISO 8601 duration of days and time, as `P2D`, `PT4H30M`. Throws on others: a definition's mistake, not a request's. */
export const parseDuration = (text: string): CalendarDuration => {
  const parts = durationPattern.exec(text)
  if (parts === null) {
    throw new Error(`The duration ${text} cannot be read. Write days and time as in ISO 8601: P2D, PT4H, P1DT12H.`)
  }
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0))
  return { days: days!, seconds: hours! * 3600 + minutes! * 60 + seconds! }
}

/** A moment after calendar days of the zone and elapsed seconds; every hour counts. */
export const addPlainTime = (start: DateTime.DateTime, duration: CalendarDuration, timeZone: string): DateTime.Utc =>
  DateTime.setZone(start, DateTime.zoneMakeNamedUnsafe(timeZone)).pipe(
    DateTime.add({ days: duration.days }),
    DateTime.add({ seconds: duration.seconds }),
    DateTime.toUtc
  )

/** A local date, as days since 1970-01-01. */
export type Day = number

const dayMillis = 86_400_000

/** ISO weekday, 1 is Monday. */
export const weekdayOf = (day: Day): number =>
  // 1970-01-01 was a Thursday.
  ((((day + 3) % 7) + 7) % 7) + 1

/** The date as `YYYY-MM-DD`. */
export const dateOf = (day: Day): string => new Date(day * dayMillis).toISOString().slice(0, 10)

/** A zone's clocks: what they show at a moment, and the moment at which they show something. */
export const clocksOf = (timeZone: string) => {
  const zone = DateTime.zoneMakeNamedUnsafe(timeZone)
  return {
    /** Epoch milliseconds of a local time; one that the clocks jump over moves forward with them, one that comes twice is the first. */
    instant: (day: Day, localMillis: number): number =>
      DateTime.toEpochMillis(
        DateTime.makeZonedUnsafe(day * dayMillis + localMillis, { timeZone: zone, adjustForTimeZone: true })
      ),
    local: (epoch: number) => {
      const millis = epoch + DateTime.zonedOffset(DateTime.makeZonedUnsafe(epoch, { timeZone: zone }))
      const day: Day = Math.floor(millis / dayMillis)
      return { day, millis: millis - day * dayMillis }
    }
  }
}

/** Minutes since midnight of `HH:MM`. */
export const minutesOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

/** `HH:MM` of a minute of the day, 0–1439. */
export const clockOf = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`

/** The office hours of one calendar, as instants. */
const officeHours = (calendar: WorkingCalendar, timeZone: string) => {
  const { instant, local } = clocksOf(timeZone)
  const holidays = new Set(calendar.holidays)
  const weekdays = new Set(calendar.days)
  const from = minutesOf(calendar.from)
  const to = minutesOf(calendar.to)
  if (weekdays.size === 0 || from >= to)
    throw new Error("A working calendar needs a weekday, and hours that end after they begin.")

  const isWorking = (day: Day): boolean => weekdays.has(weekdayOf(day)) && !holidays.has(dateOf(day))
  const nextWorking = (day: Day): Day => {
    for (let next = day + 1; ; next++) if (isWorking(next)) return next
  }
  const open = (day: Day) => instant(day, from * 60_000)
  const close = (day: Day) => instant(day, to * 60_000)

  /** The moment itself inside the hours, else the next opening. At closing time nothing is left of the day. */
  const forward = (epoch: number): { readonly day: Day; readonly epoch: number } => {
    const { day } = local(epoch)
    if (isWorking(day) && epoch < close(day)) return { day, epoch: Math.max(epoch, open(day)) }
    const next = nextWorking(day)
    return { day: next, epoch: open(next) }
  }
  return { instant, local, isWorking, nextWorking, open, close, forward }
}

/** When a span of working time that begins at `start` is over: always inside the hours, at closing time at the latest. */
export const addWorkingTime = (
  start: DateTime.DateTime,
  duration: CalendarDuration,
  calendar: WorkingCalendar,
  timeZone: string
): DateTime.Utc => {
  const hours = officeHours(calendar, timeZone)
  let { day, epoch } = hours.forward(DateTime.toEpochMillis(start))
  if (duration.days > 0) {
    const { millis } = hours.local(epoch)
    for (let left = duration.days; left > 0; left--) day = hours.nextWorking(day)
    epoch = Math.min(Math.max(hours.instant(day, millis), hours.open(day)), hours.close(day))
  }
  let left = duration.seconds * 1000
  while (left > hours.close(day) - epoch) {
    left -= hours.close(day) - epoch
    day = hours.nextWorking(day)
    epoch = hours.open(day)
  }
  return DateTime.makeUnsafe(epoch + left)
}

/** Working milliseconds from `a` to `b`; 0 when `b` is not after `a`. */
export const workingTimeBetween = (
  a: DateTime.DateTime,
  b: DateTime.DateTime,
  calendar: WorkingCalendar,
  timeZone: string
): number => {
  const hours = officeHours(calendar, timeZone)
  const [from, to] = [DateTime.toEpochMillis(a), DateTime.toEpochMillis(b)]
  let sum = 0
  for (let { day } = hours.forward(from); hours.open(day) < to; day = hours.nextWorking(day)) {
    sum += Math.max(0, Math.min(hours.close(day), to) - Math.max(hours.open(day), from))
  }
  return sum
}

/** The processing centre's calendar: Asia/Tashkent, five hours before UTC all the year. */
import * as DateTime from "effect/DateTime"

const ahead = 5 * 3_600_000
const pad = (value: number) => String(value).padStart(2, "0")

/** Epoch milliseconds of a `yyMMddHHmmss` of Tashkent; undefined where it is no moment. */
export const fromDate12 = (text: string): number | undefined => {
  const [, year, month, day, hour, minute, second] = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text) ?? []
  const at = Date.parse(`20${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  // `Date.parse` takes the 30th of February for the 2nd of March.
  return Number.isNaN(at) || toDate12(at - ahead) !== text ? undefined : at - ahead
}

export const toDate12 = (at: number): string => {
  const { day, hour, minute, month, second, year } = DateTime.toPartsUtc(DateTime.makeUnsafe(at + ahead))
  return [year % 100, month, day, hour, minute, second].map(pad).join("")
}

/** The two days of Tashkent, `yyyyMMdd`, that together hold a UTC day (`2026-11-20`). */
export const daysAround = (utcDay: string): { readonly from: string; readonly to: string } => {
  const day = DateTime.makeUnsafe(`${utcDay}T00:00:00.000Z`)
  const compact = (date: DateTime.Utc) => DateTime.formatIsoDateUtc(date).replaceAll("-", "")
  return { from: compact(day), to: compact(DateTime.add(day, { days: 1 })) }
}

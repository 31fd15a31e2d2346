/** Moments that requests give. */
import * as Schema from "effect/Schema"

const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/

/** A moment that the calendar and the database have: years 0001 to 9999. */
export const isMoment = (text: string): boolean =>
  rfc3339.test(text) && !text.startsWith("0000") && !Number.isNaN(Date.parse(text))

/** A moment that a request gives. */
export const GivenMoment = Schema.String.check(
  Schema.makeFilter((text: string) => isMoment(text) || "Give an RFC 3339 time, as 2026-11-20T08:00:00Z.")
).annotate({ format: "date-time", description: "RFC 3339" })

/** A day that a request gives. */
export const GivenDay = Schema.String.check(
  Schema.makeFilter(
    (text: string) =>
      (isMoment(`${text}T00:00:00Z`) && new Date(text).toISOString().startsWith(text)) || "Give a day, as 2026-11-20."
  )
).annotate({ format: "date", description: "A day of the city's calendar" })

const rfc3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/

/** RFC 3339 with any number of digits of a second, to whole milliseconds; undefined where it is none. */
export const parseTime = (text: unknown): number | undefined => {
  const [, day, clock, fraction = "", zone] =
    typeof text === "string" && text.length <= 64 ? (rfc3339.exec(text) ?? []) : []
  if (zone === undefined) return undefined
  const time = Date.parse(`${day}T${clock}.${fraction.slice(0, 3).padEnd(3, "0")}${zone.toUpperCase()}`)
  return Number.isNaN(time) ? undefined : time
}

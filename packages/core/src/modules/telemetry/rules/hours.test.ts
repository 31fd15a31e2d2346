import fc from "fast-check"
import { assert, describe, it } from "vitest"
import type { ScheduleLeaf } from "./definition.ts"
import { hoursOf } from "./hours.ts"

const schedule = (more: Partial<ScheduleLeaf> = {}): ScheduleLeaf => ({
  ...{ kind: "schedule", days: [1, 2, 3, 4, 5], from: "22:00", to: "06:00" },
  ...more
})
const minutes = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
const timeZone = "Europe/Berlin"
const holidays = ["2026-03-30", "2026-10-26"]
const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" })

/** What the clock on the wall says, at any one moment. */
const isInside = (leaf: ScheduleLeaf, now: number): boolean => {
  const [date, time] = format.format(now).split(" ") as [string, string]
  const isOn = (day: Date) => {
    if (!leaf.days.includes(((day.getUTCDay() + 6) % 7) + 1)) return false
    const isFree = holidays.includes(day.toISOString().slice(0, 10))
    return leaf.holidays === "except" ? !isFree : leaf.holidays !== "only" || isFree
  }
  const today = new Date(`${date}T00:00:00Z`)
  const yesterday = new Date(today.getTime() - 86_400_000)
  const [at, from, to] = [minutes(time), minutes(leaf.from), minutes(leaf.to)]
  if (from < to) return isOn(today) && at >= from && at < to
  return (isOn(today) && at >= from) || (isOn(yesterday) && at < to)
}

// Not between 2 and 4, where Berlin's clocks jump.
const time = fc.constantFrom("00:00", "01:30", "04:00", "06:00", "09:30", "18:00", "22:00", "23:59")
const leaf = fc
  .record({
    days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 }),
    from: time,
    to: fc.oneof(time, fc.constant("24:00")),
    holidays: fc.constantFrom("include" as const, "except" as const, "only" as const)
  })
  .filter(({ from, to }) => from !== to)
  .map((more) => schedule(more))
/** Around both changes of the clocks. */
const moment = fc.oneof(
  ...["2026-03-27", "2026-10-23"].map((day) =>
    fc.integer({ min: 0, max: 5 * 1440 }).map((minute) => Date.parse(`${day}T12:00:00Z`) + minute * 60_000)
  )
)

describe("hoursOf", () => {
  it("is_what_the_clock_on_the_wall_says_until_it_says_otherwise", () => {
    fc.assert(
      fc.property(leaf, fc.array(moment, { minLength: 1, maxLength: 8 }), (one, moments) => {
        const hours = hoursOf(one, { timeZone, holidays })
        for (const now of moments) {
          const { inside, until } = hours(now)
          assert.strictEqual(inside, isInside(one, now), new Date(now).toISOString())
          if (until === Infinity) continue
          assert.isAbove(until, now)
          assert.strictEqual(isInside(one, until), !inside, "it ends there")
          const step = Math.max(60_000, (until - now) / 50)
          for (let between = now; between < until; between += step) assert.strictEqual(isInside(one, between), inside)
        }
      }),
      { numRuns: 500 }
    )
  })
  it("never_ends_where_it_never_changes", () => {
    const always = schedule({ days: [1, 2, 3, 4, 5, 6, 7], from: "00:00", to: "24:00" })
    assert.deepEqual(hoursOf(always, { timeZone, holidays })(0), { inside: true, until: Infinity })
    const never = schedule({ holidays: "only" })
    assert.deepEqual(hoursOf(never, { timeZone, holidays: [] })(0), { inside: false, until: Infinity })
  })
})

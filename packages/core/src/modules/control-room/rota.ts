/** Who is on call at a moment. Pure: a rota is weekly hours and rotations of people in layers, with overrides above them. */
import { clocksOf, type Day, weekdayOf } from "../../kernel/deadlines/calendar.ts"

export interface Shift {
  /** From 0: the first layer that has a shift at a moment answers for it. */
  readonly layer: number
  /** ISO weekdays, 1 is Monday, on which it begins. */
  readonly days: ReadonlyArray<number>
  /** Minutes of the local day, 0–1439. Where `to` is not after `from`, it ends on the next day; equal is a whole day. */
  readonly from: number
  readonly to: number
  readonly principalId: string
}

/** People who take turns of whole weeks; each is on call all the time from one handover to the next. */
export interface Rotation {
  /** As of a shift. */
  readonly layer: number
  /** In their order. Null: somebody who is gone; whoever comes next takes their turns too, and the others keep their weeks. */
  readonly members: ReadonlyArray<string | null>
  /** Of the first handover, whose weekday is that of all others; before it nobody of the rotation is on call. */
  readonly begins: Day
  /** Minute of the local day of every handover, 0–1439. */
  readonly handover: number
  /** How long a turn is. */
  readonly weeks: number
}

export interface Rota {
  readonly shifts: ReadonlyArray<Shift>
  readonly rotations: ReadonlyArray<Rotation>
  readonly overrides: ReadonlyArray<Override>
}

export interface Override {
  /** Epoch milliseconds; `until` is not part of it. */
  readonly from: number
  readonly until: number
  readonly principalId: string
}

const covers = ({ days, from, to }: Shift, weekday: number, minute: number): boolean => {
  if (from < to) return days.includes(weekday) && from <= minute && minute < to
  const before = weekday === 1 ? 7 : weekday - 1
  return (days.includes(weekday) && minute >= from) || (days.includes(before) && minute < to)
}

/** Whose turn it is; undefined before the first handover and where nobody is left. */
const turnOf = (
  { begins, handover, members, weeks }: Rotation,
  at: number,
  { instant, local }: ReturnType<typeof clocksOf>
): string | undefined => {
  const span = weeks * 7
  const count = Math.floor((local(at).day - begins) / span)
  // A handover is a moment, not a time on the clock: an hour that comes twice does not hand back.
  const turn = at < instant(begins + count * span, handover * 60_000) ? count - 1 : count
  if (turn < 0) return undefined
  const first = turn % members.length
  return [...members.slice(first), ...members.slice(0, first)].find((member) => member !== null) ?? undefined
}

/** Ids of those on call; of nobody where no override and no layer covers the moment. `at`: epoch milliseconds. */
export const onCall = (rota: Rota, at: number, timeZone: string): ReadonlyArray<string> => {
  const instead = rota.overrides.filter(({ from, until }) => from <= at && at < until)
  if (instead.length > 0) return [...new Set(instead.map(({ principalId }) => principalId))]
  const clocks = clocksOf(timeZone)
  const { day, millis } = clocks.local(at)
  const minute = Math.floor(millis / 60_000)
  const now = [
    ...rota.shifts.filter((shift) => covers(shift, weekdayOf(day), minute)),
    ...rota.rotations.flatMap((rotation) => {
      const principalId = turnOf(rotation, at, clocks)
      return principalId === undefined ? [] : [{ layer: rotation.layer, principalId }]
    })
  ]
  const first = Math.min(...now.map(({ layer }) => layer))
  return [...new Set(now.filter(({ layer }) => layer === first).map(({ principalId }) => principalId))]
}

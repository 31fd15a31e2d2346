/** Readings of one night, sensor by sensor, until the night is over. */
import { parameters } from "./group.ts"

const hour = 3_600_000
const day = 24 * hour

interface Zone {
  readonly format: Intl.DateTimeFormat
  quarter: number
  offset: number
}
const zones = new Map<string, Zone>()

/** Local time as if it were UTC. An offset is asked for once a quarter of an hour, for no zone changes more often. */
const localTime = (at: number, timeZone: string): number => {
  let zone = zones.get(timeZone)
  if (zone === undefined) {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric"
    })
    zones.set(timeZone, (zone = { format, quarter: Number.NaN, offset: 0 }))
  }
  const quarter = Math.floor(at / (hour / 4))
  if (quarter !== zone.quarter) {
    const start = quarter * (hour / 4)
    const part = Object.fromEntries(zone.format.formatToParts(start).map(({ type, value }) => [type, Number(value)]))
    zone.offset =
      Date.UTC(part["year"]!, part["month"]! - 1, part["day"], part["hour"], part["minute"], part["second"]) - start
    zone.quarter = quarter
  }
  return at + zone.offset
}

export interface NightPlace {
  /** Days since 1970 in local time. */
  readonly night: number
  /** The night in whose middle the 24 hours end that it belongs to. */
  readonly day: number
  /** Is it in the window? */
  readonly inside: boolean
  /** Epoch milliseconds at which this night's window ends. */
  readonly end: number
}

export const nightOf = (at: number, timeZone: string): NightPlace => {
  const local = localTime(at, timeZone)
  const night = Math.floor(local / day)
  const into = local - night * day
  const { from, to } = parameters.window
  const middle = ((from + to) / 2) * hour
  return {
    night,
    day: into < middle ? night : night + 1,
    inside: into >= from * hour && into < to * hour,
    end: at + to * hour - into
  }
}

/** 0 for Monday to 6. */
export const weekdayOf = (night: number): number => (((night + 3) % 7) + 7) % 7

/** Of the night: sum, count, last value, sum of squared steps, their count. Of the 24 hours to its middle: sum, count. Of the next 24: too. */
export const tallyWidth = 9

/** Counts in a reading of the night; each sensor has its own place, so that the order among sensors is nothing. */
export const countNight = (tally: Float64Array, sensor: number, value: number): void => {
  const place = sensor * tallyWidth
  if (tally[place + 1]! > 0) {
    tally[place + 3]! += (value - tally[place + 2]!) ** 2
    tally[place + 4]! += 1
  }
  tally[place]! += value
  tally[place + 1]! += 1
  tally[place + 2] = value
}

/** Counts in a reading of the 24 hours that end in the middle of the tallied night, or of the 24 hours after. */
export const countDay = (tally: Float64Array, sensor: number, value: number, after: boolean): void => {
  const place = sensor * tallyWidth + (after ? 7 : 5)
  tally[place]! += value
  tally[place + 1]! += 1
}

/** Makes room for the next night; the 24 hours after become those before. `stale` forgets them too. */
export const turnTally = (tally: Float64Array, stale: boolean): void => {
  for (let place = 0; place < tally.length; place += tallyWidth) {
    const [sum, readings] = stale ? [0, 0] : [tally[place + 7]!, tally[place + 8]!]
    tally.fill(0, place, place + tallyWidth)
    tally[place + 5] = sum
    tally[place + 6] = readings
  }
}

export interface NightMeans {
  /** NaN for a sensor that sent too little. */
  readonly mean: Float64Array
  /** Variance of the mean, from steps between neighbours (von Neumann 1941), which a slow drift does not swell. */
  readonly noise: Float64Array
  /** Mean of the 24 hours to the middle of the night. */
  readonly day: Float64Array
}

export const meansOf = (tally: Float64Array): NightMeans => {
  const sensors = Array.from({ length: tally.length / tallyWidth }, (_, sensor) => sensor * tallyWidth)
  const mean = (sum: number) => {
    const needed = Math.max(2, parameters.share * Math.max(...sensors.map((place) => tally[place + sum + 1]!)))
    return Float64Array.from(sensors, (place) =>
      tally[place + sum + 1]! < needed ? Number.NaN : tally[place + sum]! / tally[place + sum + 1]!
    )
  }
  const night = mean(0)
  return {
    mean: night,
    noise: Float64Array.from(sensors, (place, sensor) =>
      Number.isNaN(night[sensor]!) ? Number.NaN : tally[place + 3]! / (2 * tally[place + 4]!) / tally[place + 1]!
    ),
    day: mean(5)
  }
}

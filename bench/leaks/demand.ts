/**
 * What a town draws over months: the file's weekly shapes, a year's season, weather that moves everybody for days, holidays, and noise of
 * each junction (days and minutes). The town itself differs from its model: demands and pipe roughness are not quite those of the file.
 */
import { gaussian, uniform } from "./random.ts"
import { type Network, stepsPerDay } from "./network.ts"

/** Deviations are of the factor's logarithm. */
const town = {
  /** Junction's demand against the file's. */
  base: 0.2,
  /** Pipe's roughness against the file's. */
  roughness: 0.07,
  /** Season: half the range between winter and summer. */
  season: 0.1,
  /** Weather and whatever else moves all alike, from day to day, with memory of about four days. */
  weather: { deviation: 0.03, memory: 0.78 },
  /** A junction's own days, with memory of about ten. */
  days: { deviation: 0.12, memory: 0.9 },
  /** A junction's own minutes, with memory of half an hour. */
  minutes: { deviation: 0.5, memory: Math.exp(-5 / 30) },
  /** Days in a year that are like a Sunday. */
  holidays: 12
}

export interface Town {
  readonly roughness: ReadonlyArray<number>
  /** Demands in m³/h of a day (0 = 1 January 2017, a Sunday), junction by junction, `stepsPerDay` each. */
  readonly day: (day: number) => ReadonlyArray<Float64Array>
}

/** Days since 1 January 2017 of a time. */
export const dayOf = (iso: string): number =>
  Math.floor((Date.parse(`${iso.replace(" ", "T")}Z`) - Date.UTC(2017, 0, 1)) / 86_400_000)

const walk = (length: number, deviation: number, memory: number, next: () => number): Float64Array => {
  const values = new Float64Array(length)
  let value = deviation * next()
  for (let index = 0; index < length; index++) {
    values[index] = value
    value = memory * value + deviation * Math.sqrt(1 - memory * memory) * next()
  }
  return values
}

const horizon = 365 * 4

export const makeTown = (network: Network, seed: number): Town => {
  const shift = gaussian(seed, 1)
  const base = network.junctions.map(() => Math.exp(town.base * shift()))
  const roughness = network.pipes.map(() => Math.exp(town.roughness * shift()))
  const kinds = [...new Set(network.demands.map(({ pattern }) => pattern))]
  const weather = kinds.map((_, kind) =>
    walk(horizon, town.weather.deviation, town.weather.memory, gaussian(seed, 2, kind))
  )
  const own = network.junctions.map((_, place) =>
    walk(horizon, town.days.deviation, town.days.memory, gaussian(seed, 3, place))
  )
  const holiday = uniform(seed, 4)
  const holidays = Array.from({ length: horizon }, () => holiday() < town.holidays / 365)
  return {
    roughness,
    day: (day) => {
      const total = network.junctions.map(() => new Float64Array(stepsPerDay))
      // The file's week begins on a Monday.
      const weekday = holidays[day] === true ? 6 : (day + 6) % 7
      const season = Math.exp(town.season * Math.cos((2 * Math.PI * (day - 200)) / 365.25))
      for (const { base: drawn, junction, pattern } of network.demands) {
        const factor =
          drawn * base[junction]! * season * Math.exp(weather[kinds.indexOf(pattern)]![day]! + own[junction]![day]!)
        const values = total[junction]!
        for (let step = 0; step < stepsPerDay; step++)
          values[step]! += factor * pattern[(weekday * stepsPerDay + step) % pattern.length]!
      }
      total.forEach((values, place) => {
        const { deviation, memory } = town.minutes
        const noise = walk(stepsPerDay, deviation, memory, gaussian(seed, 5, day, place))
        for (let step = 0; step < stepsPerDay; step++) values[step]! *= Math.exp(noise[step]! - deviation ** 2 / 2)
      })
      return total
    }
  }
}

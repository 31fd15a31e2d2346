/** Which runs there are: on some the parameters were chosen, on the others they are only measured. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { dayOf } from "./demand.ts"
import { type Leak, type Run, simulate, type Site, type Trace } from "./simulate.ts"
import { stepsPerDay } from "./network.ts"

/** First day of readings; the detector learns from here on. */
export const begin = dayOf("2017-10-01")
export const calmDays = dayOf("2019-01-01") - begin
/** How long a run with a leak goes on. */
export const leakDays = 200

export const seeds = { tuning: 11, test: 23, quietYear: 37 }

const secondsOf = (iso: string) => (Date.parse(`${iso.replace(" ", "T")}Z`) - Date.UTC(2017, 0, 1)) / 1_000

/** The four of the contest. */
export const testLeaks = (folder: string): ReadonlyArray<Leak> =>
  readFileSync(join(folder, "leaks-2018.csv"), "utf8")
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => {
      const [pipe = "", start = "", , diameter = "", , peak = ""] = line.split(",")
      return { pipe, start: secondsOf(start), peak: secondsOf(peak), diameter: Number(diameter) }
    })

const leak = (pipe: string, start: string, days: number, millimetres: number): Leak => ({
  pipe,
  start: secondsOf(start),
  peak: secondsOf(start) + days * 86_400,
  diameter: millimetres / 1_000
})

/** Others, all over the network, bursts and growing ones, on which the parameters were chosen. */
export const tuningLeaks: ReadonlyArray<Leak> = [
  leak("p31", "2018-01-20 10:00", 0, 12),
  leak("p123", "2018-02-03 05:30", 60, 10),
  leak("p193", "2018-02-20 14:00", 90, 9),
  leak("p280", "2018-03-11 01:00", 0, 9),
  leak("p331", "2018-03-25 16:00", 75, 11),
  leak("p455", "2018-04-08 09:00", 0, 10),
  leak("p523", "2018-04-22 20:00", 30, 10),
  leak("p586", "2018-05-06 13:00", 100, 9.5),
  leak("p680", "2018-05-20 02:00", 0, 8),
  leak("p721", "2018-06-03 18:00", 45, 9),
  leak("p800", "2018-01-30 07:00", 20, 11),
  leak("p879", "2018-03-18 22:00", 90, 10)
]

export const calm = (site: Site, seed: number): Promise<Trace> =>
  simulate(site, { seed, from: begin, days: calmDays, leaks: [] })

/** A run that is calm until the day of the first leak and goes on with leaks. */
export const withLeaks = async (
  site: Site,
  seed: number,
  leaks: ReadonlyArray<Leak>,
  days = leakDays
): Promise<Trace> => {
  const before = await calm(site, seed)
  const from = Math.floor(Math.min(...leaks.map(({ start }) => start)) / 86_400)
  const tank = site.pressures.length + site.flows.length
  const level = before.values[(from - begin) * stepsPerDay * before.width + tank]!
  const asked: Run = {
    seed,
    from,
    days: Math.min(days, begin + calmDays - from),
    leaks,
    level: Math.round(level * 1e4) / 1e4
  }
  return simulate(site, asked)
}

/**
 * Leaks in L-TOWN: for each of the contest's four, when it is alerted, how large it is by then and how near the named place is; and what is
 * alerted over quiet months. `--data=FOLDER` where the network and the leaks lie (default `../shared/data/water`); `--tuning` shows the
 * leaks on which the parameters were chosen instead. The first run simulates, which takes a quarter of an hour, and keeps what it
 * simulated under `.cache/leaks`.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { knownLeaks } from "../packages/core/src/modules/telemetry/leaks/detector.ts"
import type { LeakFound, LeakGroup } from "../packages/core/src/modules/telemetry/leaks/group.ts"
import type { Whereabouts } from "../packages/core/src/modules/telemetry/leaks/whereabouts.ts"
import { distances } from "./leaks/distance.ts"
import { epoch, feed, groupOf, statesAt } from "./leaks/evaluate.ts"
import { stepSeconds, stepsPerDay } from "./leaks/network.ts"
import { begin, calm, calmDays, seeds, testLeaks, tuningLeaks, withLeaks } from "./leaks/scenarios.ts"
import { sensitivity } from "./leaks/sensitivity.ts"
import type { Leak, Trace } from "./leaks/simulate.ts"
import { site as siteOf } from "./leaks/site.ts"
import { figure } from "./measure.ts"

const folder =
  process.argv.find((argument) => argument.startsWith("--data="))?.slice("--data=".length) ??
  join(import.meta.dirname, "../../shared/data/water")
const tuning = process.argv.includes("--tuning")

const day = 86_400_000
const date = (at: number) => new Date(at).toISOString().slice(0, 10)
/** Days after an alert after which its place is asked for again. */
const month = 28
/** Half a year, from the day on which the detector has learnt enough to speak. */
const half = 182

const run = async (): Promise<void> => {
  const site = siteOf(folder)
  const model = await sensitivity(site)
  const far = await distances(site)
  const seed = tuning ? seeds.tuning : seeds.test
  const leaks = tuning ? tuningLeaks : testLeaks(folder)
  const quiet = await calm(site, seed)
  const otherSeed = seeds.quietYear
  const other = tuning ? undefined : await calm(site, otherSeed)
  const runs: Array<readonly [Leak, Trace]> = []
  for (const leak of leaks) runs.push([leak, await withLeaks(site, seed, [leak])])
  const together = tuning ? undefined : await withLeaks(site, seed, leaks, calmDays)

  const flowOf = (trace: Trace, number: number, at: number) => {
    const step = Math.floor((at - epoch(trace.from * 86_400)) / 1_000 / stepSeconds)
    return trace.values[
      Math.min(step, trace.days * stepsPerDay - 1) * trace.width + trace.width - leaksOf(trace) + number
    ]!
  }
  const leaksOf = ({ width }: Trace) => width - site.pressures.length - site.flows.length - 1
  const row = (
    leak: Leak,
    number: number,
    trace: Trace,
    found: LeakFound | undefined,
    later: Whereabouts | undefined,
    extra: number
  ): ReadonlyArray<string> => {
    if (found === undefined) return [leak.pipe, "not found"]
    const distance = found.place === undefined ? undefined : far(found.place, leak.pipe)
    const zone = found.zone.map((place) => far(place, leak.pipe).pipes)
    return [
      leak.pipe,
      leak.peak === leak.start ? "burst" : `grows ${((leak.peak - leak.start) / 86_400).toFixed(0)} d`,
      date(epoch(leak.start)),
      date(found.at),
      ((found.at - epoch(leak.start)) / day).toFixed(1),
      flowOf(trace, number, found.at).toFixed(1),
      found.flow?.toFixed(1) ?? "–",
      found.place ?? "–",
      distance?.pipes.toFixed(0) ?? "–",
      distance?.crow.toFixed(0) ?? "–",
      zone.length === 0 ? "–" : `${zone.length}, nearest ${Math.min(...zone).toFixed(0)} m`,
      later === undefined ? "–" : `${later.place}, ${far(later.place, leak.pipe).pipes.toFixed(0)} m`,
      String(extra)
    ]
  }
  const measure = (name: string, group: LeakGroup) => {
    const print = (metric: string, unit: string, value: number | undefined) =>
      value === undefined || Number.isNaN(value) ? undefined : figure("leaks", `${name}.${metric}`, unit, value)
    const calmRun = statesAt(
      site,
      group,
      quiet,
      seed,
      runs.map(([, { from }]) => from)
    )
    const rows: Array<ReadonlyArray<string>> = []
    for (const [leak, trace] of runs) {
      const state = calmRun.states.get(trace.from)!()
      const found: Array<LeakFound> = []
      let later: Whereabouts | undefined
      for (let today = trace.from; today < trace.from + trace.days; today++) {
        found.push(...feed(site, group, state, trace, seed, today, today + 1))
        const alert = found.find(({ at }) => at >= epoch(leak.start))
        if (alert !== undefined && epoch(today * 86_400) < alert.at + month * day)
          later = knownLeaks(group, state)[0] ?? later
      }
      // The first after its beginning is the leak; whatever is alerted besides is a false alarm.
      const first = found.find(({ at }) => at >= epoch(leak.start))
      const line = row(leak, 0, trace, first, later, found.length - (first === undefined ? 0 : 1))
      rows.push(line)
      print(`${leak.pipe}.found`, "", first === undefined ? 0 : 1)
      if (first === undefined) continue
      print(`${leak.pipe}.delay`, "days", (first.at - epoch(leak.start)) / day)
      print(`${leak.pipe}.flow`, "m3/h", flowOf(trace, 0, first.at))
      if (first.place !== undefined) {
        const { crow, pipes } = far(first.place, leak.pipe)
        print(`${leak.pipe}.along-pipes`, "m", pipes)
        print(`${leak.pipe}.crow`, "m", crow)
      }
      if (later !== undefined) print(`${leak.pipe}.along-pipes-after-a-month`, "m", far(later.place, leak.pipe).pipes)
      print(`${leak.pipe}.false-alarms`, `in ${trace.days} days`, found.length - 1)
    }
    const since = epoch((begin + 60) * 86_400)
    const falseIn = (found: ReadonlyArray<LeakFound>, days: number) => found.filter(({ at }) => at < since + days * day)
    print("quiet-half-year.false-alarms", "", falseIn(calmRun.found, half).length)
    print("quiet-year.false-alarms", "", falseIn(calmRun.found, 365).length)
    const quietOther = other && statesAt(site, group, other, otherSeed, []).found
    if (quietOther !== undefined) print("quiet-year-other-seed.false-alarms", "", falseIn(quietOther, 365).length)
    const all = together && feed(site, group, calmRun.states.get(together.from)!(), together, seed)

    console.log(`\n${name}`)
    console.log(
      "| pipe | kind | begins | alerted | days | m³/h then | told | place | m along pipes | m by air | zone | a month later | other alarms in its run |"
    )
    console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (const text of rows) console.log(`| ${text.join(" | ")} |`)
    const tell = (found: ReadonlyArray<LeakFound>) =>
      found.map(({ at, flow, place }) => `${date(at)} ${place ?? "inflow"} ${flow?.toFixed(1) ?? ""}`).join("; ") ||
      "none"
    console.log(`Quiet, seed ${seed}: ${tell(calmRun.found)}.`)
    if (quietOther !== undefined) console.log(`Quiet, seed ${otherSeed}: ${tell(quietOther)}.`)
    if (all !== undefined && together !== undefined) {
      const near = ({ at, place }: LeakFound) =>
        place === undefined
          ? ""
          : leaks
              .filter(({ start }) => epoch(start) < at)
              .map(({ pipe }) => ({ pipe, metres: far(place, pipe).pipes }))
              .toSorted((a, b) => a.metres - b.metres)
              .slice(0, 1)
              .map(({ metres, pipe }) => `(${metres.toFixed(0)} m from ${pipe})`)
              .join("")
      console.log(
        `All together, nothing accepted in between: ${all.map((found) => `${date(found.at)} ${found.place ?? "inflow"} ${near(found)}`).join("; ")}.`
      )
      print("together.alarms", "", all.length)
    }
  }
  measure("model", groupOf(site, model))
  measure("sensors-only", groupOf(site, undefined))
}

if (existsSync(join(folder, "L-TOWN.inp"))) await run()
else console.log(`left out: there is no L-TOWN.inp in ${folder}; say where with --data=FOLDER`)

/** Feeds readings of a run to the detector and says what it found. */
import { decodeLeakState, encodeLeakState } from "../../packages/core/src/modules/telemetry/leaks/codec.ts"
import { observe } from "../../packages/core/src/modules/telemetry/leaks/detector.ts"
import type { LeakFound, LeakGroup } from "../../packages/core/src/modules/telemetry/leaks/group.ts"
import { emptyLeakState, type LeakState } from "../../packages/core/src/modules/telemetry/leaks/state.ts"
import { stepSeconds, stepsPerDay } from "./network.ts"
import { readStep } from "./readings.ts"
import type { Sensitivity } from "./sensitivity.ts"
import type { Site, Trace } from "./simulate.ts"

export const groupOf = ({ flows, pressures }: Site, model: Sensitivity | undefined): LeakGroup => ({
  timeZone: "UTC",
  sensors: [
    ...pressures.map((id) => ({ id, name: id, kind: "pressure" as const })),
    ...flows.map((id) =>
      id.startsWith("PUMP")
        ? { id, name: id, kind: "outflow" as const, tankLevel: "n31" }
        : { id, name: id, kind: "inflow" as const }
    )
  ],
  ...(model === undefined
    ? {}
    : { places: model.places.map((name, place) => ({ name, effects: [...model.effects[place]!] })) })
})

/** Epoch milliseconds of a second since 1 January 2017. */
export const epoch = (seconds: number): number => Date.UTC(2017, 0, 1) + seconds * 1_000

/** All that was found in the days from `from` on, `days` of them; the state goes on. */
export const feed = (
  site: Site,
  group: LeakGroup,
  state: LeakState,
  trace: Trace,
  seed: number,
  from = trace.from,
  until = trace.from + trace.days
): ReadonlyArray<LeakFound> => {
  const found: Array<LeakFound> = []
  for (let day = from; day < until; day++)
    for (let step = 0; step < stepsPerDay; step++) {
      const at = epoch(day * 86_400 + step * stepSeconds)
      readStep(site, trace, seed, day, step).forEach((value, sensor) => {
        const leak = observe(group, state, sensor, at, value)
        if (leak !== undefined) found.push(leak)
      })
    }
  return found
}

/** Runs the calm trace once and gives the state at the beginning of each asked day. */
export const statesAt = (
  site: Site,
  group: LeakGroup,
  calm: Trace,
  seed: number,
  days: ReadonlyArray<number>
): { readonly states: ReadonlyMap<number, () => LeakState>; readonly found: ReadonlyArray<LeakFound> } => {
  const state = emptyLeakState(group)
  const states = new Map<number, () => LeakState>()
  const found: Array<LeakFound> = []
  for (let day = calm.from; day < calm.from + calm.days; day++) {
    if (days.includes(day)) {
      const bytes = encodeLeakState(state)
      states.set(day, () => decodeLeakState(group, bytes)!)
    }
    found.push(...feed(site, group, state, calm, seed, day, day + 1))
  }
  return { states, found }
}

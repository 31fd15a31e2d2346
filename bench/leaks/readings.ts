/** What sensors make of the truth: noise and rounding, and a reading that now and then does not arrive. */
import { gaussian, uniform } from "./random.ts"
import { stepsPerDay } from "./network.ts"
import type { Site, Trace } from "./simulate.ts"

const sensors = {
  /** Deviation in metres, and what is shown. */
  pressure: { deviation: 0.02, resolution: 0.01 },
  /** Share of the flow, and m³/h. */
  flow: { share: 0.005, resolution: 0.01 },
  /** Share of readings that never arrive. */
  lost: 0.005
}

/** Readings of one step of a day, pressures and flows in the site's order; NaN where one was lost. */
export const readStep = (site: Site, trace: Trace, seed: number, day: number, step: number): Float64Array => {
  const noise = gaussian(seed, 6, day, step)
  const luck = uniform(seed, 7, day, step)
  const round = (value: number, resolution: number) => Math.round(value / resolution) * resolution
  const row = ((day - trace.from) * stepsPerDay + step) * trace.width
  return Float64Array.from({ length: site.pressures.length + site.flows.length }, (_, place) => {
    const truth = trace.values[row + place]!
    const seen =
      place < site.pressures.length
        ? round(truth + sensors.pressure.deviation * noise(), sensors.pressure.resolution)
        : round(truth * (1 + sensors.flow.share * noise()), sensors.flow.resolution)
    return luck() < sensors.lost ? Number.NaN : seen
  })
}

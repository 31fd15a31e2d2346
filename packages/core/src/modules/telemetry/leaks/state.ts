/** What a zone's detector remembers: of one size for ever. */
import { type Baseline, emptyBaseline, layoutOf } from "./baseline.ts"
import { type LeakGroup, parameters } from "./group.ts"
import { emptyInflowChart, type InflowChart } from "./inflow.ts"
import { tallyWidth } from "./night.ts"

/** A leak that was found and not yet accepted. */
export interface KnownLeak {
  /** `LeakFound.at`, which tells it from the others of its zone. */
  readonly at: number
  /** Nights since it was found. */
  nights: number
  /** Candidate, by number. */
  readonly place: number
  /** Sum of the remainders since it began, which is its pattern as it was seen, and of how many nights. */
  readonly seen: Float64Array
  counted: number
}

export interface LeakState {
  /** Local day of the night that is being tallied or is next, and the end of its window; 0 before it has begun. */
  night: number
  end: number
  readonly tally: Float64Array
  /** Values of the night before, NaN where there was none. */
  readonly before: Float64Array
  readonly baseline: Baseline
  /** Values of the last nights, turn about; `pushed` counts all. */
  readonly recent: Float64Array
  pushed: number
  /** What was accepted as normal: added to what is expected. */
  readonly offset: Float64Array
  /** For every candidate: CUSUM, and nights since it was 0. */
  readonly sums: Float64Array
  readonly runs: Float64Array
  /** For every candidate: its last score, the variance of its scores in calm nights, and their covariance with the night before's. */
  readonly scores: Float64Array
  readonly spread: Float64Array
  readonly lagged: Float64Array
  known: Array<KnownLeak>
  readonly inflow: InflowChart
}

/** Variance of a score before anything is known of it: more than 1, for what is normal is itself only estimated. */
const firstSpread = 2.5

/** Places of the model, or the pressure sensors. */
const candidatesOf = ({ places, sensors }: LeakGroup): number =>
  places?.length ?? sensors.filter(({ kind }) => kind === "pressure").length

export const emptyLeakState = (group: LeakGroup): LeakState => {
  const layout = layoutOf(group)
  const candidates = candidatesOf(group)
  return {
    night: -1,
    end: 0,
    tally: new Float64Array(group.sensors.length * tallyWidth),
    before: new Float64Array(layout.values).fill(Number.NaN),
    baseline: emptyBaseline(layout),
    recent: new Float64Array(layout.values * parameters.lag),
    pushed: 0,
    offset: new Float64Array(layout.responses.length),
    sums: new Float64Array(candidates),
    runs: new Float64Array(candidates),
    scores: new Float64Array(candidates),
    spread: new Float64Array(candidates).fill(firstSpread),
    lagged: new Float64Array(candidates),
    known: [],
    inflow: emptyInflowChart()
  }
}

/**
 * Finds leaks in a zone, reading by reading. Nothing of the future is looked at, and the state never grows: sums over nights, the last 28
 * nights, one CUSUM (Page 1954) for every place.
 *
 * For every night: what remains of pressures and inlets when the net inflow is known; for every place, how much of its pattern is in that
 * remainder, in deviations (a matched filter: remainders are weighed by how they vary together); that goes into the place's CUSUM, and
 * the highest one that is high enough is a leak. From then on its own pattern is taken out of what follows, so that it is not found
 * twice, grow as it may, and one elsewhere still is.
 */
import {
  complete,
  doubt,
  type Fit,
  filled,
  fit,
  type Layout,
  layoutOf,
  learn,
  netInflow,
  pattern,
  remainder,
  squared,
  valuesOf
} from "./baseline.ts"
import { type LeakFound, type LeakGroup, parameters } from "./group.ts"
import { inflowNight } from "./inflow.ts"
import { dot, times } from "./matrix.ts"
import { type Whereabouts, whereabouts } from "./whereabouts.ts"
import { countDay, countNight, meansOf, nightOf, turnTally } from "./night.ts"
import type { LeakState } from "./state.ts"

/** Whether a reading of this time ends the night that is being tallied: `observe` judges it before it counts the reading. */
export const endsNight = ({ end }: LeakState, at: number): boolean => end > 0 && at >= end + parameters.grace

/**
 * Counts in one reading: `sensor` by its place in `group.sensors`, `at` in epoch milliseconds. The state is changed in place. The answer
 * comes with the first reading after a night. A reading that is later than half an hour after its window is left out.
 */
export const observe = (
  group: LeakGroup,
  state: LeakState,
  sensor: number,
  at: number,
  value: number
): LeakFound | undefined => {
  const { day, end, inside, night } = nightOf(at, group.timeZone)
  let found: LeakFound | undefined
  if (endsNight(state, at)) {
    found = closeNight(group, state)
    turnTally(state.tally, false)
    state.end = 0
    state.night++
  }
  if (!Number.isFinite(value)) return found
  // The first of all, or a night in which nobody spoke.
  if (state.end === 0 && day > state.night) {
    turnTally(state.tally, day > state.night + 1)
    state.before.fill(Number.NaN)
    state.night = day
  }
  if (day === state.night || day === state.night + 1) countDay(state.tally, sensor, value, day > state.night)
  if (!inside || night !== state.night) return found
  state.end = end
  countNight(state.tally, sensor, value)
  return found
}

/**
 * Staff knows of what was found: what the leaks do to the sensors now becomes normal. A further leak at the same place is a new one, and so is
 * this one where it grows on.
 */
export const acceptLeaks = (group: LeakGroup, state: LeakState): void => {
  const layout = layoutOf(group)
  const fitted = fit(layout, state.baseline)
  const nights = fitted === undefined ? [] : recentNights(layout, state)
  const last = nights.at(-1)
  if (fitted !== undefined && last !== undefined && state.known.length > 0) {
    const directions = knownDirections(state, fitted, patternsOf(group, layout, state, fitted, last))
    const now = average(nights.slice(-settled).map((values) => remainderOf(layout, state, fitted, values)))
    const rest = without(now, directions)
    const added = now.map((value, index) => value - rest[index]!)
    // What is remembered is put as if the leak had always been as it is now, for it will be learnt with that taken off.
    for (const values of nights) {
      const seen = remainderOf(layout, state, fitted, values)
      const normal = without(seen, directions)
      layout.responses.forEach((value, index) => (values[value]! += normal[index]! - seen[index]! + added[index]!))
    }
    added.forEach((value, index) => (state.offset[index]! += value))
  }
  state.known = []
  state.sums.fill(0)
  state.runs.fill(0)
}

/** Nights whose mean is what the sensors say now. */
const settled = 5

const average = (vectors: ReadonlyArray<Float64Array>): Float64Array => {
  const result = new Float64Array(vectors[0]!.length)
  for (const vector of vectors) vector.forEach((value, index) => (result[index]! += value / vectors.length))
  return result
}

const remainderOf = (layout: Layout, state: LeakState, fitted: Fit, mean: Float64Array): Float64Array =>
  remainder(layout, state.baseline, fitted, mean).map((value, index) => value - state.offset[index]!)

/** Values of the remembered nights, oldest first; in place. */
const recentNights = (layout: Layout, { pushed, recent }: LeakState): ReadonlyArray<Float64Array> => {
  const nights = Math.min(pushed, parameters.lag)
  return Array.from({ length: nights }, (_, index) => {
    const slot = (pushed - nights + index) % parameters.lag
    return recent.subarray(slot * layout.values, (slot + 1) * layout.values)
  })
}

/** Learns the night that is old enough by now, but for what known leaks did to it, and remembers this one in its place. */
const remember = (
  layout: Layout,
  state: LeakState,
  fitted: Fit,
  directions: ReadonlyArray<Direction>,
  mean: Float64Array,
  noise: Float64Array
): void => {
  const slot = state.pushed % parameters.lag
  const old = state.recent.subarray(slot * mean.length, (slot + 1) * mean.length)
  if (state.pushed >= parameters.lag) {
    const values = filled(layout, state.baseline, fitted, old)
    const rest = remainderOf(layout, state, fitted, old)
    const normal = without(rest, directions)
    layout.responses.forEach((value, index) => {
      values[value] = values[value]! - state.offset[index]! - rest[index]! + normal[index]!
    })
    learn(layout, state.baseline, values, noise)
  }
  old.set(mean)
  state.pushed++
}

/** Of unit length in deviations; `weighed`: times the precision, so that a share of it costs no matrix. */
interface Direction {
  readonly vector: Float64Array
  readonly weighed: Float64Array
}

/** Directions, each at right angles to the others, that known leaks may take. */
const knownDirections = (
  state: LeakState,
  fitted: Fit,
  patternOf: (place: number) => Float64Array
): ReadonlyArray<Direction> => {
  const result: Array<Direction> = []
  for (const { place, seen } of state.known)
    for (const direction of [seen, patternOf(place)]) {
      const rest = without(direction, result)
      const length = squared(fitted, rest)
      if (!(length > 1e-4 * squared(fitted, direction))) continue
      const vector = rest.map((value) => value / Math.sqrt(length))
      result.push({ vector, weighed: times(fitted.precision, vector) })
    }
  return result
}

const without = (vector: Float64Array, directions: ReadonlyArray<Direction>): Float64Array => {
  let rest = vector
  for (const direction of directions) {
    const share = dot(direction.weighed, rest)
    rest = rest.map((value, index) => value - share * direction.vector[index]!)
  }
  return rest
}

const patternsOf = (group: LeakGroup, layout: Layout, state: LeakState, fitted: Fit, mean: Float64Array) => {
  const { places } = group
  return (place: number): Float64Array => {
    if (places !== undefined) return pattern(layout, state.baseline, fitted, mean, places[place]!.effects)
    // Without a model: this pressure is lower than the others let expect.
    const result = new Float64Array(layout.responses.length)
    result[place] = -1
    return result
  }
}

/**
 * Variance of a place's scores as a sum over nights sees it: where a high score is followed by high ones without any leak (weather that lasts
 * for days), ten nights say less than ten. As for an autoregression of the first order, (1 + ρ) ÷ (1 − ρ) times the variance.
 */
const longRun = ({ lagged, spread }: LeakState, place: number): number => {
  const correlation = Math.min(0.8, Math.max(0, lagged[place]! / spread[place]!))
  return (spread[place]! * (1 + correlation)) / (1 - correlation)
}

/** Nights over which a place's scores are averaged. */
const scoreMemory = 90

/** Scores are capped, so that a leak does not hide itself. */
const calmNight = (state: LeakState, place: number, score: number): void => {
  const spread = state.spread[place]!
  const cap = 1.5 * Math.sqrt(spread)
  const capped = (value: number) => Math.max(-cap, Math.min(cap, value))
  state.spread[place] = spread + (Math.min(score * score, 3 * spread) - spread) / scoreMemory
  state.lagged[place]! += (capped(score) * capped(state.scores[place]!) - state.lagged[place]!) / scoreMemory
}

const closeNight = (group: LeakGroup, state: LeakState): LeakFound | undefined => {
  const layout = layoutOf(group)
  const means = meansOf(state.tally)
  const mean = valuesOf(layout, means, state.before)
  const { noise } = means
  state.before.set(mean)
  if (!complete(layout, mean)) return undefined
  if (state.baseline.nights < parameters.learn) {
    if (!mean.some(Number.isNaN)) {
      learn(layout, state.baseline, mean, noise)
      inflowNight(state.inflow, layout.inflows.length === 0 ? Number.NaN : netInflow(layout, mean), state.night)
    }
    return undefined
  }
  const fitted = fit(layout, state.baseline)
  if (fitted === undefined) return undefined
  const rest = remainderOf(layout, state, fitted, mean)
  const patternOf = patternsOf(group, layout, state, fitted, mean)
  for (const leak of state.known) {
    leak.nights++
    if (leak.nights > parameters.settle) continue
    leak.seen.forEach((sum, index) => (leak.seen[index] = sum + rest[index]!))
    leak.counted++
  }
  const directions = knownDirections(state, fitted, patternOf)
  const patterns = Array.from(state.sums, (_, place) => without(patternOf(place), directions))
  const weighed = times(fitted.precision, without(rest, directions))
  const unsure = doubt(layout, state.baseline, fitted, mean)
  let best = -1
  for (let place = 0; place < patterns.length; place++) {
    const size = squared(fitted, patterns[place]!)
    // What is left of a place next to a known leak is nothing but error.
    const whole = directions.length === 0 ? size : squared(fitted, patternOf(place))
    if (!(size > 0.2 * whole)) {
      state.sums[place] = 0
      continue
    }
    const score = dot(patterns[place]!, weighed) / Math.sqrt(size * unsure)
    const long = longRun(state, place)
    state.sums[place] = Math.max(
      0,
      state.sums[place]! + Math.min(parameters.most, score / Math.sqrt(long)) - parameters.slack
    )
    state.runs[place] = state.sums[place] === 0 ? 0 : state.runs[place]! + 1
    if (best < 0 || state.sums[place]! > state.sums[best]!) best = place
    calmNight(state, place, score)
    state.scores[place] = score
  }
  remember(layout, state, fitted, directions, mean, noise)
  const inflow =
    layout.inflows.length === 0 ? undefined : inflowNight(state.inflow, netInflow(layout, mean), state.night)
  if (best >= 0 && state.sums[best]! > parameters.enough) {
    const since = Math.min(state.runs[best]!, parameters.lag, state.pushed)
    const nights = recentNights(layout, state)
      .slice(-since)
      .map((values) => remainderOf(layout, state, fitted, values))
    const found = locate(group, state, fitted, patterns, nights, directions, best)
    const seen = new Float64Array(rest.length)
    for (const night of nights) night.forEach((value, index) => (seen[index] = seen[index]! + value))
    state.known = [
      ...state.known.slice(1 - parameters.known),
      {
        at: state.end,
        nights: 0,
        place: found.best,
        counted: nights.length,
        seen: without(seen, directions)
      }
    ]
    state.sums.fill(0)
    state.runs.fill(0)
    state.inflow.sum = 0
    return found.leak
  }
  if (inflow !== undefined && state.known.length === 0)
    return {
      kind: "leak",
      at: state.end,
      since: state.end - inflow.nights * 86_400_000,
      place: undefined,
      zone: [],
      flow: inflow.excess,
      score: inflow.score,
      explanation: `The net inflow at night has been about ${inflow.excess.toFixed(1)} m³/h above what was expected for ${inflow.nights} nights; the pressures do not say where.`
    }
  return undefined
}

/** Where the leaks that were found and not accepted are, as far as the nights until now tell; oldest first, as in `state.known`. */
export const knownLeaks = (group: LeakGroup, state: LeakState): ReadonlyArray<Whereabouts> => {
  const layout = layoutOf(group)
  const fitted = fit(layout, state.baseline)
  const last = recentNights(layout, state).at(-1)
  if (fitted === undefined || last === undefined) return []
  const patternOf = patternsOf(group, layout, state, fitted, last)
  const patterns = Array.from(state.sums, (_, place) => patternOf(place))
  const longs = Array.from(state.sums, (_, place) => longRun(state, place))
  return state.known.map(({ counted, place, seen }) =>
    whereabouts(
      group,
      fitted,
      patterns,
      longs,
      seen.map((sum) => sum / counted),
      counted,
      place
    )
  )
}

/** What is alerted of the nights that were enough, and the candidate that is known from now on. */
const locate = (
  group: LeakGroup,
  state: LeakState,
  fitted: Fit,
  patterns: ReadonlyArray<Float64Array>,
  nights: ReadonlyArray<Float64Array>,
  directions: ReadonlyArray<Direction>,
  highest: number
): { readonly leak: LeakFound; readonly best: number } => {
  const mean = without(average(nights), directions)
  const longs = Array.from(state.sums, (_, place) => longRun(state, place))
  const { best, flow, place, zone } = whereabouts(group, fitted, patterns, longs, mean, nights.length, highest)
  const sum = state.sums[highest]!
  return {
    best,
    leak: {
      kind: "leak",
      at: state.end,
      since: state.end - nights.length * 86_400_000,
      place,
      zone,
      flow,
      score: sum / (sum + parameters.enough),
      explanation:
        `For ${nights.length} ${nights.length === 1 ? "night" : "nights"} the pressures together have been as a leak ` +
        `${flow === undefined ? "" : `of about ${flow.toFixed(1)} m³/h `}near ${place} would make them, ` +
        `given the zone's inflow; evidence ${sum.toFixed(1)}, enough is ${parameters.enough}.`
    }
  }
}

/**
 * What is usual at this hour of the week, and two ways of leaving it: at once, by an average of the last few readings (an EWMA chart), and little
 * by little, by a sum over days (a two-sided CUSUM), which is what finds leaks, drifting and stuck sensors.
 *
 * The profile is learned by hours: the mean of each of the 168, its memory eight weeks, and how much the hours' means scatter about it, pooled by
 * hour of day, because eight values are no deviation. What is far off moves the profile by a bounded step only. In its second week a datastream
 * is judged by hour of day; before, not at all.
 *
 * The CUSUM is Page's, a step a day, with the log-likelihood ratio of a constant shift by one deviation (Page 1954; Lorden 1971: on average at
 * least e^h days to a false alarm). Hours of one day resemble each other in ways of their own, so a day is one estimate of the shift, weighted
 * by how little each hour scatters - for a leak, those of the night count - and measured by how much such estimates scattered before.
 * Days run from noon to noon, so that a night is in one of them and known at the end of it.
 */
import type { Anomaly } from "../model.ts"
import { amount, band, clockTime, quantity } from "./explain.ts"
import { freshHold, raises, scoreOf, type Hold } from "./hold.ts"
import { hour, share, week, type Moment, type Verdict } from "./model.ts"

/** One side of the CUSUM. */
interface Side {
  sum: number
  /** Days since it left zero, and the sum of their shifts in the datastream's unit. */
  days: number
  shifts: number
}

export interface SeasonState {
  /** The hour that is being read: local hours since 1970, and of its readings number, first value, sums of differences to that. */
  hour: number
  count: number
  origin: number
  sum: number
  squares: number
  /** EWMA of readings' deviations, and its own mean square. */
  smooth: number
  smoothSquare: number
  readonly hold: Hold
  /** The day that is summed: its number, hours' deviations, bounded and as they are, squares of their weights. */
  day: number
  weighed: number
  unbounded: number
  weights: number
  /** Of days' shifts: mean square, and days in it. */
  shiftSquare: number
  shiftDays: number
  readonly up: Side
  readonly down: Side
  /** By hour of the week: mean, and weeks seen. */
  readonly weekMean: Float32Array
  readonly weeks: Float32Array
  /** By hour of the day: mean, days seen, variance of hours about their usual, variance of readings within an hour. */
  readonly dayMean: Float32Array
  readonly days: Float32Array
  readonly between: Float32Array
  readonly within: Float32Array
}

const side = (): Side => ({ sum: 0, days: 0, shifts: 0 })

export const freshSeason = (): SeasonState => ({
  hour: Number.NaN,
  count: 0,
  origin: 0,
  sum: 0,
  squares: 0,
  smooth: 0,
  smoothSquare: 1,
  hold: freshHold(),
  day: Number.NaN,
  weighed: 0,
  unbounded: 0,
  weights: 0,
  // As if two weeks had scattered by one deviation, so that the first few days do not make the measure.
  shiftSquare: 1,
  shiftDays: 14,
  up: side(),
  down: side(),
  weekMean: new Float32Array(168),
  weeks: new Float32Array(168),
  dayMean: new Float32Array(24),
  days: new Float32Array(24),
  between: new Float32Array(24),
  within: new Float32Array(24)
})

/** Eight weeks; days after which an hour is judged, and weeks after which it is by its own weekday. */
const memory = { weeks: 8, days: 56 }
const needed = { days: 7, weeks: 2 }
/** Deviations by which one hour can move its profile, or a sum. */
const step = 3
/** In units: about a quarter of an hour at five minutes. */
const smoothing = 3
/** Deviations of the smoothed reading, and the CUSUM's h, that the default sensitivity raises: where days are normal, once in seven years a side. */
const telling = { smooth: 6, sum: 6 }
const slowly = 4 * week

/** Epoch is a Thursday; hours of the week are counted from there. */
const modulo = (count: number, size: number): number => ((count % size) + size) % size

/** Of its own weekday, where that has been seen often enough. */
const usualMean = (state: SeasonState, ofWeek: number): number =>
  (state.weeks[ofWeek] ?? 0) >= needed.weeks ? (state.weekMean[ofWeek] ?? 0) : (state.dayMean[ofWeek % 24] ?? 0)

/** Scatter of an hour's means about it; a mean of few hours is itself uncertain. */
const variance = (state: SeasonState, ofWeek: number): number => {
  const weeks = state.weeks[ofWeek] ?? 0
  const seen = weeks >= needed.weeks ? weeks : (state.days[ofWeek % 24] ?? 0)
  return (state.between[ofWeek % 24] ?? 0) * (1 + 1 / seen)
}

const judged = (state: SeasonState, ofWeek: number): boolean => (state.days[ofWeek % 24] ?? 0) >= needed.days

/** Least scatter among the hours of the day. */
const quietest = (state: SeasonState, floor: number): number => {
  let least = Number.POSITIVE_INFINITY
  for (let ofDay = 0; ofDay < 24; ofDay++)
    if ((state.days[ofDay] ?? 0) >= needed.days) least = Math.min(least, state.between[ofDay] ?? 0)
  return Math.max(Math.sqrt(least), floor)
}

const learn = (state: SeasonState, ofWeek: number, mean: number, within: number, floor: number): void => {
  const ofDay = ofWeek % 24
  const weeks = state.weeks[ofWeek] ?? 0
  const days = state.days[ofDay] ?? 0
  const off = days === 0 ? 0 : mean - usualMean(state, ofWeek)
  const most = judged(state, ofWeek)
    ? step * Math.max(Math.sqrt(variance(state, ofWeek)), floor)
    : Number.POSITIVE_INFINITY
  const bounded = (difference: number) => Math.max(-most, Math.min(most, difference))
  const byDay = 1 / Math.min(days + 1, memory.days)
  state.weekMean[ofWeek] =
    weeks === 0
      ? mean
      : (state.weekMean[ofWeek] ?? 0) +
        bounded(mean - (state.weekMean[ofWeek] ?? 0)) / Math.min(weeks + 1, memory.weeks)
  state.dayMean[ofDay] =
    days === 0 ? mean : (state.dayMean[ofDay] ?? 0) + byDay * bounded(mean - (state.dayMean[ofDay] ?? 0))
  if (days > 0) state.between[ofDay] = (1 - byDay) * (state.between[ofDay] ?? 0) + byDay * bounded(off) ** 2
  state.within[ofDay] = (1 - byDay) * (state.within[ofDay] ?? 0) + byDay * within
  state.weeks[ofWeek] = Math.min(weeks + 1, memory.weeks)
  state.days[ofDay] = Math.min(days + 1, memory.days)
}

const add = (side: Side, evidence: number, shift: number): void => {
  if (side.sum === 0) side.days = side.shifts = 0
  side.days += 1
  side.shifts += shift
  side.sum = Math.max(0, side.sum + evidence)
}

/** Takes a day that is over into the sums. */
const closeDay = (state: SeasonState, { at, definition, floor, limit, value }: Moment, ofWeek: number): Verdict => {
  const quiet = quietest(state, floor)
  const shift = state.weighed / state.weights
  const scatter = Math.sqrt(state.shiftSquare)
  const bounded = Math.max(-step, Math.min(step, shift / scatter))
  const size = (state.unbounded / state.weights) * quiet
  add(state.up, bounded - 0.5, size)
  add(state.down, -bounded - 0.5, size)
  state.shiftDays = Math.min(state.shiftDays + 1, memory.days)
  state.shiftSquare += ((bounded * scatter) ** 2 - state.shiftSquare) / state.shiftDays
  state.shiftSquare = Math.max(0.05, state.shiftSquare)
  const side = state.up.sum >= state.down.sum ? state.up : state.down
  const strength = side.sum / telling.sum
  if (strength === 0 || strength < limit) return undefined
  const usual = usualMean(state, ofWeek)
  const most = 2 * Math.max(Math.sqrt(variance(state, ofWeek)), floor)
  const off = side.shifts / side.days
  side.sum = 0
  return {
    kind: "season",
    at,
    value,
    expected: { low: usual - most, high: usual + most },
    score: scoreOf(strength),
    explanation: `about ${quantity(definition, Math.abs(off))} ${off > 0 ? "above" : "below"} what is usual at each hour of the week, on average of the last ${side.days} days: a leak, a drifting sensor or another use`
  }
}

/** Takes an hour that is over into the day and the profile. */
const closeHour = (state: SeasonState, floor: number): void => {
  const ofWeek = modulo(state.hour, 168)
  const shift = state.sum / state.count
  const mean = state.origin + shift
  if (judged(state, ofWeek)) {
    const deviation = Math.max(Math.sqrt(variance(state, ofWeek)), floor)
    const weight = Math.min(1, quietest(state, floor) / deviation)
    const off = (mean - usualMean(state, ofWeek)) / deviation
    state.weighed += weight * Math.max(-step, Math.min(step, off))
    state.unbounded += weight * off
    state.weights += weight * weight
  }
  learn(state, ofWeek, mean, Math.max(0, state.squares / state.count - shift * shift), floor)
}

const smoothed = (state: SeasonState, ofWeek: number, moment: Moment): Verdict => {
  const { at, definition, floor, limit, seconds, settings, time, unit, value } = moment
  const usual = usualMean(state, ofWeek)
  const deviation = Math.max(Math.sqrt(variance(state, ofWeek) + (state.within[ofWeek % 24] ?? 0)), floor)
  const off = (value - usual) / deviation
  state.smooth += share(seconds, smoothing * unit) * (off - state.smooth)
  const square = state.smooth * state.smooth
  const strength = Math.sqrt(square / state.smoothSquare) / telling.smooth
  state.smoothSquare +=
    share(seconds, slowly) * (Math.min(square, telling.smooth ** 2 * state.smoothSquare) - state.smoothSquare)
  state.smoothSquare = Math.max(0.05, state.smoothSquare)
  if (!raises(state.hold, strength, limit, seconds, unit)) return undefined
  const most = telling.smooth * Math.sqrt(state.smoothSquare) * deviation
  const low = usual - most
  const high = usual + most
  const lately = usual + state.smooth * deviation
  const explanation = `${quantity(definition, value)} at ${clockTime(settings, time)}${value < low || value > high ? "" : `, ${amount(definition, lately)} on average lately`}; ${band(definition, low, high)} was expected at this hour of the week`
  return { kind: "season", at, value, expected: { low, high }, score: scoreOf(strength), explanation }
}

const nothing: ReadonlyArray<Anomaly> = []

export const judgeSeason = (state: SeasonState, moment: Moment): ReadonlyArray<Anomaly> => {
  const { floor, settings, time, value } = moment
  const offset = settings.utcOffset === undefined ? 0 : settings.utcOffset(time)
  const localHour = Math.floor((time / 1000 + offset) / hour)
  const ofWeek = modulo(localHour, 168)
  let slow: Verdict
  if (localHour !== state.hour) {
    if (state.count > 0) closeHour(state, floor)
    const today = Math.floor((localHour - 12) / 24)
    if (today !== state.day) {
      if (state.weights > 0) slow = closeDay(state, moment, ofWeek)
      state.day = today
      state.weighed = state.unbounded = state.weights = 0
    }
    state.hour = localHour
    state.count = state.sum = state.squares = 0
    state.origin = value
  }
  state.count += 1
  state.sum += value - state.origin
  state.squares += (value - state.origin) ** 2
  const fast = judged(state, ofWeek) ? smoothed(state, ofWeek, moment) : undefined
  if (slow === undefined && fast === undefined) return nothing
  return [slow, fast].filter((verdict) => verdict !== undefined)
}

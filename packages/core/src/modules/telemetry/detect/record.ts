/**
 * Record margins: for the value, its level and its trend the band of what was seen, and by how much a reading leaves it. Knows no unit, no
 * distribution and no clock; in data that only varies as it always did, records grow rare by themselves.
 *
 * The three count alike. A band closes slowly toward the signal's mean, so that what was once does not count for ever, and a single reading
 * widens it by twice its width at most, so that one outlier does not blind it. The band of the trend does not close: it is small by nature.
 */
import { amount, band, clockTime, quantity } from "./explain.ts"
import { freshHold, raises, scoreOf, type Hold } from "./hold.ts"
import { share, type Moment, type Verdict } from "./model.ts"

interface Signal {
  high: number
  low: number
  mean: number
}

export interface RecordState {
  /** Averages of the value, long and short; their difference is the trend. */
  slow: number
  fast: number
  readonly value: Signal
  readonly level: Signal
  readonly trend: Signal
  readonly hold: Hold
}

const signal = (): Signal => ({ high: Number.NaN, low: Number.NaN, mean: Number.NaN })

export const freshRecord = (): RecordState => ({
  slow: Number.NaN,
  fast: Number.NaN,
  value: signal(),
  level: signal(),
  trend: signal(),
  hold: freshHold()
})

/** In units: at five minutes 2 h 40 min, 45 min, a day and four hours, five weeks less eight hours. */
const tau = { slow: 32.3, fast: 9, mean: 332, band: 10_000 }
const widest = 2
/** Combined margin that the default sensitivity raises. */
const telling = 0.15

/** Overshoot beyond the band as a share of the band then, 0–1. Afterwards the band holds what was seen. */
const margin = (signal: Signal, value: number, toMean: number, closing: number, { floor, warm }: Moment): number => {
  signal.mean += toMean * (value - signal.mean)
  signal.high -= closing * (signal.high - signal.mean)
  signal.low += closing * (signal.mean - signal.low)
  const width = signal.high - signal.low
  const above = value - signal.high
  const over = above > 0 ? above : signal.low - value
  if (over <= 0) return 0
  const moved = warm ? Math.min(over, widest * Math.max(width, floor)) : over
  if (above > 0) signal.high += moved
  else signal.low -= moved
  const beyond = over - floor
  return warm && beyond > 0 ? beyond / (beyond + Math.max(width, floor)) : 0
}

const begin = (signal: Signal, value: number): void => {
  signal.high = signal.low = signal.mean = value
}

export const judgeRecord = (state: RecordState, moment: Moment): Verdict => {
  const { seconds, unit, value } = moment
  if (Number.isNaN(state.slow)) {
    state.slow = state.fast = value
    begin(state.value, value)
    begin(state.level, value)
    begin(state.trend, 0)
    return undefined
  }
  state.slow += share(seconds, tau.slow * unit) * (value - state.slow)
  state.fast += share(seconds, tau.fast * unit) * (value - state.fast)
  const toMean = share(seconds, tau.mean * unit)
  const closing = share(seconds, tau.band * unit)
  const { high, low } = state.value
  const [levelLow, levelHigh] = [state.level.low, state.level.high]
  const ofValue = margin(state.value, value, toMean, closing, moment)
  const ofLevel = margin(state.level, state.slow, toMean, closing, moment)
  const ofTrend = margin(state.trend, state.fast - state.slow, toMean, 0, moment)
  const sum = ofValue + ofLevel + ofTrend
  const strength = sum / (1 + sum) / telling
  if (!raises(state.hold, strength, moment.limit, seconds, unit)) return undefined
  const { definition, settings, time } = moment
  const beyond = (signal: number, from: number, to: number) =>
    `${signal > to ? "above" : "below"} the ${band(definition, from, to)} of the past weeks`
  const explanation =
    ofValue >= Math.max(ofLevel, ofTrend)
      ? `${quantity(definition, value)} at ${clockTime(settings, time)}, ${beyond(value, low, high)}`
      : ofLevel >= ofTrend
        ? `${quantity(definition, state.slow)} on average lately, ${beyond(state.slow, levelLow, levelHigh)}; ${amount(definition, value)} at ${clockTime(settings, time)}`
        : `${quantity(definition, value)} at ${clockTime(settings, time)}, ${state.fast > state.slow ? "rising" : "falling"} faster than in the past weeks; ${amount(definition, state.slow)} on average lately`
  return { kind: "record", at: moment.at, value, expected: { low, high }, score: scoreOf(strength), explanation }
}

/**
 * Plain checks of what cannot be: a value the sensor cannot give, a change that is too fast, a value that never changes, a silence. They are
 * certain, so their score is 1. What lasts is told when it begins and then once an hour.
 */
import type { Anomaly, DatastreamDefinition } from "../model.ts"
import { amount, band, clockTime, quantity, span, weekTime } from "./explain.ts"
import { hour, type Moment, type Verdict } from "./model.ts"

export interface ChecksState {
  /** When each was told last while it lasts, else NaN. */
  rangeTold: number
  rateTold: number
  flatTold: number
  /** Since when the value has been exactly the same, as far as readings show. */
  flatSince: number
  /** Of the newest reading. */
  time: number
  /** The last value the sensor can give, and when. */
  value: number
  valueAt: number
}

export const freshChecks = (): ChecksState => ({
  rangeTold: Number.NaN,
  rateTold: Number.NaN,
  flatTold: Number.NaN,
  flatSince: Number.NaN,
  time: Number.NaN,
  value: Number.NaN,
  valueAt: Number.NaN
})

/** It begins, or it has lasted another hour since it was told. */
export const due = (told: number, time: number): boolean => Number.isNaN(told) || Math.abs(time - told) >= hour * 1000

const certain = (
  kind: Anomaly["kind"],
  { at, value }: Moment,
  low: number,
  high: number,
  explanation: string
): Anomaly => ({ kind, at, value, expected: { low, high }, score: 1, explanation })

const outside = ({ maximum, minimum }: DatastreamDefinition, value: number): boolean =>
  (minimum !== undefined && value < minimum) || (maximum !== undefined && value > maximum)

/** A value that the sensor cannot give. */
export const checkRange = (state: ChecksState, moment: Moment): Verdict => {
  const { definition, settings, time, value } = moment
  if (!outside(definition, value)) {
    state.rangeTold = Number.NaN
    return undefined
  }
  if (!due(state.rangeTold, time)) return undefined
  state.rangeTold = time
  const { maximum, minimum } = definition
  const possible =
    minimum === undefined
      ? `at most ${amount(definition, maximum ?? 0)}`
      : maximum === undefined
        ? `at least ${amount(definition, minimum)}`
        : band(definition, minimum, maximum)
  return certain(
    "range",
    moment,
    minimum ?? Math.min(value, maximum ?? value),
    maximum ?? Math.max(value, minimum ?? value),
    `${quantity(definition, value)} at ${clockTime(settings, time)}; ${possible} is possible`
  )
}

/** A change since the reading before that is faster than any real one. */
export const checkRate = (state: ChecksState, moment: Moment): Verdict => {
  const { definition, floor, settings, time, value } = moment
  const { maxRate } = definition
  const seconds = (time - state.valueAt) / 1000
  const most = (maxRate ?? 0) * seconds
  const change = value - state.value
  if (maxRate === undefined || !(seconds > 0) || !(Math.abs(change) > most + floor)) {
    state.rateTold = Number.NaN
    return undefined
  }
  if (!due(state.rateTold, time)) return undefined
  state.rateTold = time
  return certain(
    "rate",
    moment,
    state.value - most,
    state.value + most,
    `${quantity(definition, value)} at ${clockTime(settings, time)}, ${amount(definition, Math.abs(change))} ${change > 0 ? "above" : "below"} what it was ${span(seconds)} before; at most ${amount(definition, most)} is possible in that time`
  )
}

/** Exactly the same value for too long. A silence of a third of that time proves nothing, so the count begins anew. */
export const checkFlat = (state: ChecksState, moment: Moment): Verdict => {
  const { definition, settings, time, value } = moment
  const { flatAfter } = definition
  if (flatAfter === undefined) return undefined
  if (value !== state.value || !(time - state.valueAt < flatAfter * 334)) {
    state.flatSince = time
    state.flatTold = Number.NaN
    return undefined
  }
  if (time - state.flatSince < flatAfter * 1000 || !due(state.flatTold, time)) return undefined
  state.flatTold = time
  const lasted = span((time - state.flatSince) / 1000)
  return certain(
    "flat",
    moment,
    value,
    value,
    `exactly ${quantity(definition, value)} since ${weekTime(settings, state.flatSince)} (${lasted}); some change was expected within ${span(flatAfter)}`
  )
}

/** Three times the interval without a reading. Told with the reading that ends it. */
export const checkGap = (state: ChecksState, moment: Moment): Verdict => {
  const { settings, time, value } = moment
  const { interval } = settings
  const seconds = (time - state.time) / 1000
  if (interval === undefined || !(seconds > 3 * interval)) return undefined
  return certain(
    "gap",
    moment,
    value,
    value,
    `no reading from ${weekTime(settings, state.time)} to ${weekTime(settings, time)} (${span(seconds)}); one every ${span(interval)} was expected`
  )
}

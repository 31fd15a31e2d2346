/** The plain one, to be understood at a glance and to compare with: how many standard deviations a value is off the average of about a day. */
import { band, clockTime, quantity } from "./explain.ts"
import { freshHold, raises, scoreOf, type Hold } from "./hold.ts"
import { share, type Moment, type Verdict } from "./model.ts"

export interface BaselineState {
  mean: number
  variance: number
  readonly hold: Hold
}

export const freshBaseline = (): BaselineState => ({ mean: Number.NaN, variance: 0, hold: freshHold() })

/** In units: a day and four hours at five minutes. */
const tau = 332
/** Standard deviations that the default sensitivity raises: one reading in 500 million where they are normal. */
const telling = 6

export const judgeBaseline = (state: BaselineState, moment: Moment): Verdict => {
  const { definition, floor, seconds, settings, time, unit, value } = moment
  if (Number.isNaN(state.mean)) state.mean = value
  const { mean, variance } = state
  const off = value - mean
  const moves = share(seconds, tau * unit)
  state.mean += moves * off
  state.variance = (1 - moves) * (variance + moves * off * off)
  const deviation = Math.max(Math.sqrt(variance), floor)
  const strength = Math.abs(off) / deviation / telling
  if (!raises(state.hold, moment.warm ? strength : 0, moment.limit, seconds, unit)) return undefined
  const low = mean - telling * deviation
  const high = mean + telling * deviation
  return {
    kind: "baseline",
    at: moment.at,
    value,
    expected: { low, high },
    score: scoreOf(strength),
    explanation: `${quantity(definition, value)} at ${clockTime(settings, time)}; ${band(definition, low, high)} was expected after the past day`
  }
}

/** The net inflow at night by itself: a CUSUM against its own level and day of the week. Coarse, but it needs no pressures. */
import { parameters } from "./group.ts"
import { weekdayOf } from "./night.ts"

/** Everything in logarithms: a town that grows by a tenth does so at every hour. */
export interface InflowChart {
  nights: number
  level: number
  /** Monday to Sunday, on top of the level. */
  readonly weekday: Float64Array
  variance: number
  sum: number
  /** Nights since the sum was 0, and what was too much in them, m³/h. */
  run: number
  excess: number
}

export const emptyInflowChart = (): InflowChart => ({
  nights: 0,
  level: 0,
  weekday: new Float64Array(7),
  variance: 0.0025,
  sum: 0,
  run: 0,
  excess: 0
})

/** Takes in a night; an answer when it has been too much for too long, once. Nights without inflow count for nothing. */
export const inflowNight = (
  chart: InflowChart,
  inflow: number,
  night: number
): { readonly nights: number; readonly excess: number; readonly score: number } | undefined => {
  if (!(inflow > 0)) return undefined
  const value = Math.log(inflow)
  if (chart.nights === 0) chart.level = value
  const weekday = weekdayOf(night)
  const expected = chart.level + chart.weekday[weekday]!
  const learning = chart.nights < parameters.learn
  const rate = 1 / Math.min(chart.nights + 1, 21)
  const rest = value - expected
  const deviation = Math.sqrt(chart.variance)
  const { enough, most, slack } = parameters.inflow
  if (!learning) {
    chart.sum = Math.max(0, chart.sum + Math.min(most, rest / deviation) - slack)
    chart.run = chart.sum === 0 ? 0 : chart.run + 1
    chart.excess = chart.sum === 0 ? 0 : chart.excess + inflow - Math.exp(expected)
  }
  const capped = learning ? rest : Math.max(-3 * deviation, Math.min(3 * deviation, rest))
  chart.level += rate * capped
  chart.weekday[weekday]! += 0.15 * capped
  // The first three weeks mostly teach the days of the week.
  if (chart.nights >= 21) chart.variance += (capped ** 2 - chart.variance) / 40
  chart.nights++
  if (chart.sum <= enough) return undefined
  const found = { nights: chart.run, excess: chart.excess / chart.run, score: chart.sum / (chart.sum + enough) }
  // What is now is the new level.
  chart.level = value - chart.weekday[weekday]!
  chart.sum = 0
  chart.run = 0
  chart.excess = 0
  return found
}

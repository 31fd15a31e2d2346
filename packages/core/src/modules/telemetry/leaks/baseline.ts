/**
 * What the sensors of a zone say at night when nothing leaks, as sums of which the state stays the same size: a regression of every
 * pressure and inlet on the zone's net inflow, and how the remainders vary together.
 */
import type { LeakGroup } from "./group.ts"
import { parameters } from "./group.ts"
import { dot, inverse, times } from "./matrix.ts"

/**
 * Which values of a night are told from which. A night's values are the sensors' means, and where there are tanks the net inflow over 24
 * hours and for each tank what went in over 24 hours and how much its level rose.
 */
export interface Layout {
  /** How many values a night has. */
  readonly values: number
  /** Values that are expected: pressures, inflows, what went into tanks. */
  readonly responses: ReadonlyArray<number>
  readonly inflows: ReadonlyArray<number>
  readonly outflows: ReadonlyArray<number>
  /** Sensors, and where the tank's values stand: what went in, then the rise. The net inflow of 24 hours stands after the sensors. */
  readonly tanks: ReadonlyArray<{ readonly outflow: number; readonly level: number; readonly value: number }>
  readonly sensors: number
  /** Values by which others are told, each for itself: outflows, net inflow over 24 hours, rises. */
  readonly given: ReadonlyArray<number>
  /** 1, the net inflow, its square, `given`. Only 1 without flow sensors. */
  readonly features: number
}

export const layoutOf = ({ sensors }: LeakGroup): Layout => {
  const of = (kind: LeakGroup["sensors"][number]["kind"]) =>
    sensors.flatMap((sensor, index) => (sensor.kind === kind ? [index] : []))
  const [pressures, inflows, outflows] = [of("pressure"), of("inflow"), of("outflow")]
  const filling = inflows.length === 0 ? [] : outflows.filter((sensor) => sensors[sensor]!.tankLevel !== undefined)
  const tanks = filling.map((outflow, number) => ({
    outflow,
    level: sensors.findIndex(({ id }) => id === sensors[outflow]!.tankLevel),
    value: sensors.length + 1 + 2 * number
  }))
  const given = [...outflows, ...(tanks.length === 0 ? [] : [sensors.length]), ...tanks.map(({ value }) => value + 1)]
  return {
    sensors: sensors.length,
    values: sensors.length + (tanks.length === 0 ? 0 : 1 + 2 * tanks.length),
    responses: [...pressures, ...inflows, ...tanks.map(({ value }) => value)],
    inflows,
    outflows,
    tanks,
    given,
    features: inflows.length === 0 ? 1 : 3 + given.length
  }
}

/** A night's values; NaN where something is missing. `before`: the values of the night before. */
export const valuesOf = (
  layout: Layout,
  { day, mean }: { readonly mean: Float64Array; readonly day: Float64Array },
  before: Float64Array
): Float64Array => {
  const result = new Float64Array(layout.values)
  result.set(mean)
  if (layout.tanks.length > 0) result[layout.sensors] = netInflow(layout, day)
  for (const { level, outflow, value } of layout.tanks) {
    result[value] = day[outflow]!
    result[value + 1] = mean[level]! - before[level]!
  }
  return result
}

/** The same for what a leak changes. */
const changesOf = (layout: Layout, effects: ArrayLike<number>): Float64Array => {
  const result = new Float64Array(layout.values)
  for (let sensor = 0; sensor < layout.sensors; sensor++) result[sensor] = effects[sensor]!
  for (const { outflow, value } of layout.tanks) {
    // At night a pump runs or stands, leak or not.
    result[outflow] = 0
    result[value] = effects[outflow]!
  }
  if (layout.tanks.length > 0) result[layout.sensors] = netInflow(layout, result)
  return result
}

/** Values without which a night is none. */
export const complete = (layout: Layout, values: Float64Array): boolean =>
  [...layout.inflows, ...layout.given].every((value) => !Number.isNaN(values[value]!))

/** m³/h into the zone that do not leave it again. */
export const netInflow = ({ inflows, outflows }: Layout, mean: ArrayLike<number>): number => {
  let sum = 0
  for (const sensor of inflows) sum += mean[sensor]!
  for (const sensor of outflows) sum -= mean[sensor]!
  return sum
}

/** Decayed sums over nights. */
export interface Baseline {
  nights: number
  /** Sum of weights. */
  weight: number
  /** Means of the first night, about which everything is summed, for precision. */
  readonly center: Float64Array
  /** Features × features, features × responses, responses × responses. */
  readonly ff: Float64Array
  readonly fr: Float64Array
  readonly rr: Float64Array
  /** Variance of a nightly mean by the sensor's own noise. */
  readonly noise: Float64Array
}

export const emptyBaseline = ({ features, responses, values }: Layout): Baseline => ({
  nights: 0,
  weight: 0,
  center: new Float64Array(values),
  ff: new Float64Array(features ** 2),
  fr: new Float64Array(features * responses.length),
  rr: new Float64Array(responses.length ** 2),
  noise: new Float64Array(responses.length)
})

/** Flows are counted in usual inflows, levels in metres. */
const scaleOf = ({ sensors }: Layout, value: number, flow: number): number =>
  value > sensors && (value - sensors) % 2 === 0 ? 1 : flow

/** Around 1, so that squares and products are of one size. */
const featuresOf = (layout: Layout, { center }: Baseline, mean: Float64Array): Float64Array => {
  const result = new Float64Array(layout.features)
  result[0] = 1
  if (layout.features === 1) return result
  const usual = netInflow(layout, center)
  const scale = Math.max(1, Math.abs(usual))
  const inflow = (netInflow(layout, mean) - usual) / scale
  result[1] = inflow
  result[2] = inflow * inflow
  layout.given.forEach(
    (value, index) => (result[3 + index] = (mean[value]! - center[value]!) / scaleOf(layout, value, scale))
  )
  return result
}

/** Adds a night. `mean` has no gaps; `noise` may (then the old one stays). */
export const learn = (layout: Layout, baseline: Baseline, mean: Float64Array, noise: Float64Array): void => {
  if (baseline.nights === 0) baseline.center.set(mean)
  const keep = Math.exp(-1 / parameters.memory)
  const { center, ff, fr, rr } = baseline
  const feature = featuresOf(layout, baseline, mean)
  const response = layout.responses.map((sensor) => mean[sensor]! - center[sensor]!)
  const size = response.length
  for (let row = 0; row < feature.length; row++) {
    for (let column = 0; column < feature.length; column++) {
      const place = row * feature.length + column
      ff[place] = keep * ff[place]! + feature[row]! * feature[column]!
    }
    for (let column = 0; column < size; column++) {
      const place = row * size + column
      fr[place] = keep * fr[place]! + feature[row]! * response[column]!
    }
  }
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const place = row * size + column
      rr[place] = keep * rr[place]! + response[row]! * response[column]!
    }
  layout.responses.forEach((sensor, index) => {
    const seen = noise[sensor]
    // What went into a tank is exact but for the meter.
    if (seen === undefined || Number.isNaN(seen)) return
    const old = baseline.noise[index]!
    baseline.noise[index] = old === 0 ? seen : old + (seen - old) / Math.min(baseline.nights + 1, 60)
  })
  baseline.weight = keep * baseline.weight + 1
  baseline.nights++
}

/** What follows from the sums. */
export interface Fit {
  /** Features × responses. */
  readonly weights: Float64Array
  /** Inverse of the features' sums: how unsure the weights are. */
  readonly unsure: Float64Array
  /** Inverse of the remainders' covariance. */
  readonly precision: Float64Array
}

/** Smallest deviation of a nightly mean that is believed, in m and m³/h: a sensor that always says the same is not infinitely exact. */
const finest = 0.001

export const fit = (layout: Layout, baseline: Baseline): Fit | undefined => {
  const [features, size] = [layout.features, layout.responses.length]
  const { ff, fr, noise, rr, weight } = baseline
  // A touch of ridge: a pump that has never run says nothing yet.
  const ridged = ff.slice()
  for (let index = 1; index < features; index++) ridged[index * features + index]! += 1e-4
  const inverted = inverse(ridged, features)
  if (inverted === undefined) return undefined
  const weights = new Float64Array(features * size)
  for (let row = 0; row < features; row++)
    for (let column = 0; column < size; column++) {
      let sum = 0
      for (let k = 0; k < features; k++) sum += inverted[row * features + k]! * fr[k * size + column]!
      weights[row * size + column] = sum
    }
  // A few dozen nights cannot tell a few dozen sensors' covariance: as many nights again of nothing but the sensors' own noise stand
  // beside them (the mean of an inverse Wishart distribution).
  const covariance = new Float64Array(size * size)
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      let sum = rr[row * size + column]!
      for (let k = 0; k < features; k++) sum -= weights[k * size + row]! * fr[k * size + column]!
      // Of what went into a tank no noise is known but the remainder itself.
      if (row === column) sum += size * (noise[row] === 0 ? sum / weight : Math.max(finest ** 2, noise[row]!))
      covariance[row * size + column] = sum / (weight + size - features)
    }
  const precision = inverse(covariance, size)
  return precision && { weights, unsure: inverted, precision }
}

/** What was expected of each response. */
const expected = (layout: Layout, baseline: Baseline, { weights }: Fit, mean: Float64Array): Float64Array => {
  const feature = featuresOf(layout, baseline, mean)
  const size = layout.responses.length
  return Float64Array.from(layout.responses, (sensor, column) => {
    let sum = baseline.center[sensor]!
    for (let row = 0; row < feature.length; row++) sum += feature[row]! * weights[row * size + column]!
    return sum
  })
}

/**
 * By how much the variance of a night's remainder is larger than usual, because such a night (a pump that stands for once) has hardly been
 * seen: 1 and more. The leverage of regression.
 */
export const doubt = (layout: Layout, baseline: Baseline, { unsure }: Fit, mean: Float64Array): number => {
  const feature = featuresOf(layout, baseline, mean)
  return 1 + dot(feature, times(unsure, feature))
}

/** Seen less expected; where a sensor is silent, what the others would have made likely. */
export const remainder = (layout: Layout, baseline: Baseline, fitted: Fit, mean: Float64Array): Float64Array => {
  const expectation = expected(layout, baseline, fitted, mean)
  const result = expectation.map((value, index) => mean[layout.responses[index]!]! - value)
  const silent = [...result.keys()].filter((index) => Number.isNaN(result[index]!))
  for (const index of silent) result[index] = 0
  const size = result.length
  // Gauss and Seidel: a few turns are exact enough.
  for (let turn = 0; turn < (silent.length === 0 ? 0 : 20); turn++)
    for (const index of silent) {
      const row = fitted.precision.subarray(index * size, (index + 1) * size)
      result[index] = result[index]! - dot(row, result) / row[index]!
    }
  return result
}

/** `mean` with silent responses told by the others. */
export const filled = (layout: Layout, baseline: Baseline, fitted: Fit, mean: Float64Array): Float64Array => {
  const expectation = expected(layout, baseline, fitted, mean)
  const rest = remainder(layout, baseline, fitted, mean)
  const result = mean.slice()
  layout.responses.forEach((sensor, index) => (result[sensor] = expectation[index]! + rest[index]!))
  return result
}

/** What of an effect on sensors is left when the inflow that comes with it is known: the pattern among remainders. */
export const pattern = (
  layout: Layout,
  { center }: Baseline,
  { weights }: Fit,
  usual: Float64Array,
  effect: ArrayLike<number>
): Float64Array => {
  const size = layout.responses.length
  const moved = changesOf(layout, effect)
  const result = Float64Array.from(layout.responses, (value) => moved[value]!)
  if (layout.features === 1) return result
  const scale = Math.max(1, Math.abs(netInflow(layout, center)))
  const inflow = (netInflow(layout, usual) - netInflow(layout, center)) / scale
  const change = netInflow(layout, moved) / scale
  const changes = [0, change, (2 * inflow + change) * change]
  for (const value of layout.given) changes.push(moved[value]! / scaleOf(layout, value, scale))
  for (let row = 1; row < changes.length; row++)
    for (let column = 0; column < size; column++) result[column]! -= changes[row]! * weights[row * size + column]!
  return result
}

/** Length of a vector in deviations, squared. */
export const squared = ({ precision }: Fit, vector: Float64Array): number => {
  const size = vector.length
  let result = 0
  for (let row = 0; row < size; row++) {
    let sum = precision[row * size + row]! * vector[row]!
    for (let column = 0; column < row; column++) sum += 2 * precision[row * size + column]! * vector[column]!
    result += vector[row]! * sum
  }
  return result
}

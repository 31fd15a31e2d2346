/** Where a leak is, out of what it did to the sensors. */
import { type Fit, squared } from "./baseline.ts"
import type { LeakGroup } from "./group.ts"
import { dot, times } from "./matrix.ts"

export interface Whereabouts {
  /** The likeliest place of the model, else the sensor, by number and by name. */
  readonly best: number
  readonly place: string
  /** All that are nearly as likely, the likeliest first; at most 50. */
  readonly zone: ReadonlyArray<string>
  /** m³/h; only where there is a model. */
  readonly flow: number | undefined
}

/** How much less likely (natural logarithm) a place may be than the best and still be named with it. */
const nearly = 2

/**
 * The place whose pattern explains the mean of some nights' remainders best, and all that are nearly as good. `variances`: of each place's
 * score. `otherwise`: where none explains anything.
 */
export const whereabouts = (
  { places, sensors }: LeakGroup,
  fitted: Fit,
  patterns: ReadonlyArray<Float64Array>,
  variances: ReadonlyArray<number>,
  mean: Float64Array,
  nights: number,
  otherwise: number
): Whereabouts => {
  const pressures = sensors.filter(({ kind }) => kind === "pressure")
  const name = (place: number) => places?.[place]?.name ?? pressures[place]!.name
  const weighed = times(fitted.precision, mean)
  const fits = patterns.map((vector, place) => {
    const size = squared(fitted, vector)
    const share = dot(vector, weighed)
    const likelihood = share > 0 ? (nights * share * share) / size / 2 / variances[place]! : 0
    return { place, flow: share / size, likelihood }
  })
  const order = fits.filter(({ likelihood }) => likelihood > 0).toSorted((a, b) => b.likelihood - a.likelihood)
  const best = order[0] ?? fits[otherwise]!
  return {
    best: best.place,
    place: name(best.place),
    zone: order
      .filter(({ likelihood }) => likelihood > best.likelihood - nearly)
      .slice(0, 50)
      .map(({ place }) => name(place)),
    flow: places === undefined ? undefined : best.flow
  }
}

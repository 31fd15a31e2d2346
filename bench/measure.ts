/**
 * The fair way to compare on a noisy machine: rounds in which every contender runs once, in turning order, and the median of the
 * per-round ratios.
 */
import { loadavg } from "node:os"

/** One measured value per metric. */
export type Sample = Readonly<Record<string, number>>

/** Runs every contender once per round; the order turns, so that none is always first. Default 9 rounds. */
export const interleave = async <Name extends string>(
  contenders: Readonly<Record<Name, (round: number) => Promise<Sample>>>,
  rounds = 9
): Promise<Readonly<Record<Name, ReadonlyArray<Sample>>>> => {
  const names = Object.keys(contenders) as Array<Name>
  const samples = Object.fromEntries(names.map((name) => [name, [] as Array<Sample>])) as Record<Name, Array<Sample>>
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length] as Name
      const sample = await contenders[name](round)
      samples[name].push(sample)
      console.error(`round ${round + 1}/${rounds} ${name} ${JSON.stringify(sample)} load ${loadavg()[0]?.toFixed(1)}`)
    }
  }
  return samples
}

export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const low = sorted[Math.floor(place)] ?? Number.NaN
  return low + ((sorted[Math.ceil(place)] ?? low) - low) * (place - Math.floor(place))
}
export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

const round = (value: number) => Number(value.toPrecision(4))

export interface Comparison {
  readonly bench: string
  readonly metric: string
  readonly unit: string
  readonly ours: ReadonlyArray<Sample>
  readonly floor: ReadonlyArray<Sample>
  /** Who the floor is. */
  readonly against: string
  /** `lower` for times: the ratio is then floor ÷ ours, so that more is always better. Default `higher`. */
  readonly better?: "higher" | "lower"
}

/** Prints one line of JSON: medians of both, the median of the per-round ratios and its quartiles. */
export const report = ({ against, bench, better = "higher", floor, metric, ours, unit }: Comparison): number => {
  const ratios = ours.flatMap((sample, index) => {
    const [mine, theirs] = [sample[metric], floor[index]?.[metric]]
    return mine === undefined || theirs === undefined ? [] : [better === "higher" ? mine / theirs : theirs / mine]
  })
  const of = (samples: ReadonlyArray<Sample>) => round(median(samples.flatMap((sample) => sample[metric] ?? [])))
  const ratio = round(median(ratios))
  console.log(
    JSON.stringify({
      bench,
      metric,
      unit,
      value: of(ours),
      floor: of(floor),
      ratio,
      against,
      quartiles: [round(quantile(ratios, 0.25)), round(quantile(ratios, 0.75))],
      rounds: ratios.length,
      load: round(loadavg()[0] ?? 0)
    })
  )
  return ratio
}

/** Prints one line of JSON for a figure that has no counterpart. */
export const figure = (bench: string, metric: string, unit: string, value: number, floor?: number): void =>
  console.log(JSON.stringify({ bench, metric, unit, value: round(value), ...(floor === undefined ? {} : { floor }) }))

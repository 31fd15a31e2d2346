/**
 * The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015, https://arxiv.org/abs/1510.03336), row for row as its own scorer
 * counts: an early detection inside a labelled window is worth almost 1, a late one almost nothing, and what fires outside costs.
 */

/** One file of the corpus with what a detector said of it. */
export interface Scored {
  readonly name: string
  /** As they stand in the file: a window is entered and left by equality of text. */
  readonly timestamps: ReadonlyArray<string>
  /** First and last timestamp of each. */
  readonly windows: ReadonlyArray<readonly [string, string]>
  /** One for each row, 0–1. */
  readonly scores: ArrayLike<number>
}

export interface Profile {
  readonly name: string
  readonly truePositive: number
  readonly falseNegative: number
  readonly falsePositive: number
}

export const profiles: ReadonlyArray<Profile> = [
  { name: "standard", truePositive: 1, falseNegative: 1, falsePositive: 0.11 },
  { name: "low-FP", truePositive: 1, falseNegative: 1, falsePositive: 0.22 },
  { name: "low-FN", truePositive: 1, falseNegative: 2, falsePositive: 0.11 }
]

/** A row that counts, and what it is worth when it fires; `window` is undefined outside. */
export interface Row {
  readonly score: number
  readonly worth: number
  readonly window: string | undefined
}

const sigma = (position: number): number => (position > 3 ? -1 : 2 / (1 + Math.exp(5 * position)) - 1)

/** Rows at the beginning of a file that nobody is judged by. */
export const probation = (rows: number): number => Math.min(Math.floor(0.15 * rows), 750)

/** A file's rows behind its probation. */
export const rowsOf = ({ name, scores, timestamps, windows }: Scored): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  const judged = probation(timestamps.length)
  let next = 0
  let inside:
    { readonly name: string; readonly end: string; readonly right: number; readonly width: number } | undefined
  let last: { readonly right: number; readonly width: number } | undefined
  for (const [index, timestamp] of timestamps.entries()) {
    const window = windows[next]
    if (window !== undefined && window[0] === timestamp) {
      next += 1
      const right = timestamps.indexOf(window[1])
      inside = {
        name: `${name} ${window[0]}`,
        end: window[1],
        right,
        width: right - timestamps.indexOf(window[0]) + 1
      }
    }
    const worth =
      inside !== undefined
        ? sigma(-(inside.right - index + 1) / inside.width) / sigma(-1)
        : last !== undefined
          ? sigma(Math.abs(index - last.right) / (last.width - 1))
          : -1
    if (index >= judged) rows.push({ score: scores[index] ?? 0, worth, window: inside?.name })
    if (inside?.end === timestamp) {
      last = { right: index, width: inside.width }
      inside = undefined
    }
  }
  return rows
}

/** Everything at or above a threshold fires. */
export interface Outcome {
  readonly threshold: number
  /** Sum over the files, not normalised. */
  readonly sum: number
  /** Rows that fired outside every window. */
  readonly falsePositives: number
  /** Windows in which at least one row fired. */
  readonly found: number
}

/** What each distinct score would bring as the threshold, from above; the first is 1.1, at which nothing fires. */
export const sweep = (files: ReadonlyArray<ReadonlyArray<Row>>, profile: Profile): ReadonlyArray<Outcome> => {
  const rows = files.flat().toSorted((a, b) => b.score - a.score)
  const best = new Map<string, number>()
  for (const { window } of rows) if (window !== undefined) best.set(window, -Infinity)
  let [sum, falsePositives, found, threshold] = [-best.size * profile.falseNegative, 0, 0, 1.1]
  const outcomes: Array<Outcome> = []
  for (const { score, window, worth } of rows) {
    if (score !== threshold) {
      outcomes.push({ threshold, sum, falsePositives, found })
      threshold = score
    }
    if (window === undefined) {
      falsePositives += 1
      sum += worth * profile.falsePositive
      continue
    }
    const before = best.get(window) ?? -Infinity
    const now = Math.max(before, worth * profile.truePositive)
    best.set(window, now)
    if (before === -Infinity) {
      found += 1
      sum += now + profile.falseNegative
    } else sum += now - before
  }
  outcomes.push({ threshold, sum, falsePositives, found })
  return outcomes
}

/** The highest sum; the highest threshold that reaches it. */
export const optimum = (outcomes: ReadonlyArray<Outcome>): Outcome =>
  outcomes.reduce((best, outcome) => (outcome.sum > best.sum ? outcome : best))

/** What a threshold brings that was not chosen here. */
export const at = (outcomes: ReadonlyArray<Outcome>, threshold: number): Outcome =>
  outcomes.findLast((outcome) => outcome.threshold >= threshold) ?? optimum(outcomes)

/** 0 for a detector that never speaks, 100 for one that speaks at the first row of every window and nowhere else. */
export const normalised = (sum: number, windows: number, profile: Profile): number => {
  const silent = -windows * profile.falseNegative
  return (100 * (sum - silent)) / (windows * profile.truePositive - silent)
}

/**
 * Five folds by file, in turn as the files stand: each fold is judged by the threshold that was best on the other four.
 * The sums of the five are added before they are normalised.
 */
export const crossValidated = (files: ReadonlyArray<ReadonlyArray<Row>>, profile: Profile, folds = 5): number =>
  Array.from({ length: folds }, (_, fold) => {
    const { threshold } = optimum(
      sweep(
        files.filter((_, index) => index % folds !== fold),
        profile
      )
    )
    return at(
      sweep(
        files.filter((_, index) => index % folds === fold),
        profile
      ),
      threshold
    ).sum
  }).reduce((all, sum) => all + sum, 0)

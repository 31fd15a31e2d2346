/**
 * How well single datastreams are watched, by the Numenta Anomaly Benchmark: `npm run nab`. One line of JSON per figure. Arguments: `--corpus=`
 * the folder with `data` and `labels`, default `../shared/data/nab`; `--published=` the folder of one detector in the benchmark's own
 * `results`, whose stored scores are then counted instead of ours.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { readCorpus, readPublished } from "./corpus.ts"
import { scoresOf } from "./detectors.ts"
import { at, crossValidated, normalised, optimum, profiles, rowsOf, sweep, type Profile, type Row } from "./score.ts"

const { values: options } = parseArgs({
  options: { corpus: { type: "string" }, published: { type: "string" } }
})
const folder = options.corpus ?? join(import.meta.dirname, "../../../shared/data/nab")
if (!existsSync(join(folder, "data"))) {
  console.error(`No corpus at ${folder}: give the folder of numenta/NAB with data and labels as --corpus=.`)
  process.exit(2)
}
const corpus = readCorpus(folder)
const windows = corpus.reduce((all, series) => all + series.windows.length, 0)

const print = (detector: string, metric: string, value: number, about: object = {}): void =>
  console.log(
    JSON.stringify({
      bench: "nab",
      metric: `${detector}, ${metric}`,
      unit: "NAB",
      value: Number(value.toFixed(2)),
      ...about
    })
  )

const count = (detector: string, files: ReadonlyArray<ReadonlyArray<Row>>): void => {
  for (const profile of profiles) {
    const { falsePositives, found, sum, threshold } = optimum(sweep(files, profile))
    print(detector, profile.name, normalised(sum, windows, profile), {
      threshold: Number(threshold.toPrecision(3)),
      found: `${found} of ${windows}`,
      falsePositives
    })
    print(detector, `${profile.name}, cross-validated`, normalised(crossValidated(files, profile), windows, profile))
  }
}

const published = options.published
if (published !== undefined) {
  const scores = readPublished(
    published,
    corpus.map(({ name }) => name)
  )
  count(
    "published",
    corpus.map((series) => rowsOf({ ...series, scores: scores.get(series.name) ?? [] }))
  )
} else {
  const standard = profiles[0] as Profile
  for (const kind of ["record", "season", "baseline"] as const) {
    const files = corpus.map((series) => rowsOf({ ...series, scores: scoresOf(series, kind) }))
    count(kind, files)
    // What an operator gets who changes nothing: no threshold chosen on the corpus.
    const asShipped = at(
      sweep(
        corpus.map((series) => rowsOf({ ...series, scores: scoresOf(series, kind, {}) })),
        standard
      ),
      0.5
    )
    print(kind, "standard, at the default sensitivity", normalised(asShipped.sum, windows, standard), {
      threshold: 0.5,
      found: `${asShipped.found} of ${windows}`,
      falsePositives: asShipped.falsePositives
    })
  }
}

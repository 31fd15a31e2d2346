/** The product's detectors on the corpus: the very `detect`, each file as a datastream of which nothing is known beforehand. */
import { detect, freshState, type DetectSettings } from "../../packages/core/src/modules/telemetry/detect/index.ts"
import type { Anomaly, DatastreamDefinition } from "../../packages/core/src/modules/telemetry/model.ts"
import type { Series } from "./corpus.ts"

const unknown: DatastreamDefinition = { key: "value", title: "Value", unit: "1" }

/**
 * Scores of one detector, row by row in one pass; what it does not tell is 0. Sensitivity 1 lets it tell everything, so that the benchmark
 * can choose its threshold.
 */
export const scoresOf = (
  { times, values }: Series,
  kind: Anomaly["kind"],
  settings: DetectSettings = { sensitivity: 1 }
): Float64Array => {
  const state = freshState()
  return Float64Array.from(times, (at, index) =>
    detect(unknown, settings, state, { at, value: values[index] ?? Number.NaN, receivedAt: at })
      .filter((anomaly) => anomaly.kind === kind)
      .reduce((most, anomaly) => Math.max(most, anomaly.score), 0)
  )
}

/**
 * Anomalies of single datastreams, reading by reading. Use it where readings are stored: `detect` for each, in the order of their time, with the
 * datastream's state in memory; `encodeState` when the readings are committed, so that whoever goes on knows the same.
 *
 * Plain checks tell what cannot be: `range`, `rate`, `flat`, `gap`, `clock`. Three detectors tell what is unusual: `record` (out of the band of
 * the past weeks), `season` (not as at this hour of the week, at once or little by little) and `baseline` (far from the past day's average).
 * `gap`, `clock` and `flat` expect nothing of the value, so their `expected` is the value itself.
 */
export { believedTime } from "./clock.ts"
export { detect } from "./detect.ts"
export type { DetectSettings, Judged } from "./model.ts"
export { decodeState, encodeState, freshState, type DatastreamState } from "./state.ts"
export { utcOffsetIn } from "./utcOffset.ts"

import type { Anomaly, DatastreamDefinition } from "../model.ts"
import { judgeBaseline } from "./baseline.ts"
import { checkFlat, checkGap, checkRange, checkRate } from "./checks.ts"
import { judgeClock } from "./clock.ts"
import { limitOf } from "./hold.ts"
import { day, type DetectSettings, type Judged, type Moment, type Verdict } from "./model.ts"
import { judgeRecord } from "./record.ts"
import { judgeSeason } from "./season.ts"
import type { DatastreamState } from "./state.ts"

const none: ReadonlyArray<Anomaly> = []
/** Of a datastream: its first readings and first day teach only. */
const warmUp = { readings: 50, milliseconds: day * 1000 }
/** Seconds; time constants are counted in this or in the interval, whichever is longer. */
const leastUnit = 300
/** Its square still fits where the profile keeps variances, in 32 bits. */
const largest = 1e18
/** How fast the interval is learned, and how much longer than it one silence may count. */
const learning = { share: 0.05, most: 3 }

/** Where no resolution is named: the share of a value that arithmetic alone may change. */
const rounding = 1e-9
/** So that something may be divided by it. */
const least = 1e-30

const together = (found: Array<Anomaly> | undefined, verdict: Verdict): Array<Anomaly> | undefined => {
  if (verdict === undefined) return found
  if (found === undefined) return [verdict]
  found.push(verdict)
  return found
}

const learnInterval = (state: DatastreamState, seconds: number): void => {
  if (seconds <= 0) return
  state.interval = Number.isNaN(state.interval)
    ? seconds
    : state.interval + learning.share * (Math.min(seconds, learning.most * state.interval) - state.interval)
}

/**
 * What is strange about a reading, given all before it; empty for most. Changes `state`, and looks at nothing else: no clock, no readings to come.
 *
 * Readings come in the order of their time. One that is older than the newest is late: it is not judged, and nothing is learned from it; only
 * a run of them is counted, for so a clock that jumped back is told. A value that cannot be (`range`, `rate`) is told and not learned from.
 * NaN, infinities and what is beyond ±1e18 are nobody's readings and are passed over.
 */
export const detect = (
  definition: DatastreamDefinition,
  settings: DetectSettings,
  state: DatastreamState,
  reading: Judged
): ReadonlyArray<Anomaly> => {
  const { at, value } = reading
  if (!(Math.abs(value) <= largest) || !Number.isFinite(at) || !Number.isFinite(reading.receivedAt)) return none
  const { checks } = state
  const { anomaly, time } = judgeClock(state.clock, reading, settings)
  let found = together(undefined, anomaly)
  if (time === undefined) return none
  const silent = Number.isNaN(checks.time) ? 0 : Math.max(0, (time - checks.time) / 1000)
  learnInterval(state, silent)
  if (state.seen === 0) state.first = time
  state.seen += 1
  const unit = Math.max(leastUnit, settings.interval ?? (Number.isNaN(state.interval) ? 0 : state.interval))
  // NaN before the first.
  const level = Math.abs(state.baseline.mean) || 0
  const moment: Moment = {
    at,
    time,
    value,
    seconds: Math.min(silent, Math.max(day, unit)),
    unit,
    floor: Math.max(definition.resolution ?? rounding * Math.max(Math.abs(value), level), least),
    warm: state.seen > warmUp.readings && time - state.first >= warmUp.milliseconds,
    limit: limitOf(settings.sensitivity ?? 0.5),
    definition,
    settings
  }
  found = together(found, checkGap(checks, moment))
  found = together(found, checkRange(checks, moment))
  checks.time = time
  if (!Number.isNaN(checks.rangeTold)) return found ?? none
  found = together(found, checkRate(checks, moment))
  found = together(found, checkFlat(checks, moment))
  checks.value = value
  checks.valueAt = time
  if (!Number.isNaN(checks.rateTold)) return found ?? none
  found = together(found, judgeRecord(state.record, moment))
  for (const verdict of judgeSeason(state.season, moment)) found = together(found, verdict)
  return together(found, judgeBaseline(state.baseline, moment)) ?? none
}

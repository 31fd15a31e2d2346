/**
 * The device's clock against ours. Ahead is certain at once, for nothing is measured in the future. Behind is told only when even the quickest
 * of an hour's readings came late, for one may have waited in a memory. Back is told when reading after reading keeps the same distance
 * to now, in order, and all are older than one that was there before: what waited in a memory catches up instead.
 */
import type { Anomaly } from "../model.ts"
import { due } from "./checks.ts"
import { clockTime, span } from "./explain.ts"
import { hour, type DetectSettings, type Judged } from "./model.ts"

export interface ClockState {
  /** Epoch milliseconds of the newest reading, by the clock that is believed. */
  newest: number
  aheadTold: number
  behindTold: number
  /** The hour of receipts that is looked at: its beginning, its readings, the shortest delay of them in ms. */
  since: number
  count: number
  quickest: number
  /** Late readings in a row: how many, received since, the last one's time, and the bounds of their delays in ms. */
  late: number
  lateSince: number
  lateAt: number
  lateQuickest: number
  lateSlowest: number
}

export const freshClock = (): ClockState => ({
  newest: Number.NaN,
  aheadTold: Number.NaN,
  behindTold: Number.NaN,
  since: Number.NaN,
  count: 0,
  quickest: Number.POSITIVE_INFINITY,
  late: 0,
  lateSince: Number.NaN,
  lateAt: Number.NaN,
  lateQuickest: Number.POSITIVE_INFINITY,
  lateSlowest: Number.NEGATIVE_INFINITY
})

/** Milliseconds. */
const tolerance = { ahead: 60_000, behind: 300_000, steady: 60_000 }
/** So many readings tell something of a clock. */
const enough = 10
/** Milliseconds from the first receipt to the last of those that make a clock which jumped back. */
const lasting = 600_000

/** Whether to judge the reading, by which time, and what its clock gave away. */
export interface ClockVerdict {
  /** Undefined: it is late, and nothing is learned from it. */
  readonly time: number | undefined
  readonly anomaly: Anomaly | undefined
}

const told = ({ at, value }: Judged, explanation: string): Anomaly => ({
  kind: "clock",
  at,
  value,
  expected: { low: value, high: value },
  score: 1,
  explanation
})

const late = (state: ClockState, reading: Judged): ClockVerdict => {
  const { at, receivedAt } = reading
  const delay = receivedAt - at
  const quickest = Math.min(state.lateQuickest, delay)
  const slowest = Math.max(state.lateSlowest, delay)
  if (state.late === 0 || at < state.lateAt || slowest - quickest > tolerance.steady) {
    state.late = 1
    state.lateSince = receivedAt
    state.lateQuickest = state.lateSlowest = delay
  } else {
    state.late += 1
    state.lateQuickest = quickest
    state.lateSlowest = slowest
  }
  state.lateAt = at
  if (state.late < enough || receivedAt - state.lateSince < lasting) return { time: undefined, anomaly: undefined }
  const readings = state.late
  state.newest = at
  state.late = 0
  return {
    time: at,
    anomaly: told(
      reading,
      `the device's clock has jumped back: the last ${readings} readings came in order and ${span(quickest / 1000)} late, and all are older than one before them`
    )
  }
}

const behind = (state: ClockState, { receivedAt, at }: Judged): string | undefined => {
  const { count, quickest, since } = state
  if (count < enough || receivedAt - since < hour * 1000) {
    if (count === 0) state.since = receivedAt
    state.count += 1
    state.quickest = Math.min(quickest, receivedAt - at)
    return undefined
  }
  state.since = receivedAt
  state.count = 1
  state.quickest = receivedAt - at
  if (quickest <= tolerance.behind) {
    state.behindTold = Number.NaN
    return undefined
  }
  if (!due(state.behindTold, receivedAt)) return undefined
  state.behindTold = receivedAt
  return `every reading of the past ${span((receivedAt - since) / 1000)} came at least ${span(quickest / 1000)} late: the device's clock is behind, or something holds its readings back`
}

/** The time of a reading that is believed: of one that is ahead by more than a minute, that of its receipt. Epoch milliseconds. */
export const believedTime = ({ at, receivedAt }: Pick<Judged, "at" | "receivedAt">): number =>
  at - receivedAt > tolerance.ahead ? receivedAt : at

export const judgeClock = (state: ClockState, reading: Judged, settings: DetectSettings): ClockVerdict => {
  const { at, receivedAt } = reading
  const ahead = at - receivedAt
  const time = believedTime(reading)
  if (time < state.newest) return late(state, reading)
  state.newest = time
  state.late = 0
  let explanation = behind(state, reading)
  if (ahead <= tolerance.ahead) state.aheadTold = Number.NaN
  else if (due(state.aheadTold, receivedAt)) {
    state.aheadTold = receivedAt
    explanation = `the device's clock is ${span(ahead / 1000)} ahead: a reading of ${clockTime(settings, at)} was received at ${clockTime(settings, receivedAt)}`
  }
  return { time, anomaly: explanation === undefined ? undefined : told(reading, explanation) }
}

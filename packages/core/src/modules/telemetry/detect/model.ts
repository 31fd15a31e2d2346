/** What every detector is given and keeps. Times are epoch milliseconds, spans are seconds. */
import type { Anomaly, DatastreamDefinition } from "../model.ts"

export interface DetectSettings {
  /**
   * 0–1. Statistical anomalies are raised from the score `1 - sensitivity` on: at 1 everything that sets itself apart at all, at 0 nothing.
   * Plain checks (`range`, `rate`, `flat`, `gap`, `clock`) do not depend on it. Default 0.5.
   */
  readonly sensitivity?: number
  /** Expected seconds between readings. Default: learned from them, and then no `gap` is raised, for nobody said that there is one. */
  readonly interval?: number
  /** Seconds by which local time is ahead of UTC at a moment, see `utcOffsetIn`. Default: UTC. */
  readonly utcOffset?: (at: number) => number
}

/** A reading as it is judged. */
export interface Judged {
  readonly at: number
  readonly value: number
  /** Epoch milliseconds at which it was received. */
  readonly receivedAt: number
}

/** What the detectors need to know of one reading, worked out once. */
export interface Moment {
  /** The reading's own time. */
  readonly at: number
  /** When it was: the reading's own time, or that of its receipt where the device's clock is ahead. */
  readonly time: number
  readonly value: number
  /** Since the newest reading before it; a day at most, for in a silence nothing is learned. */
  readonly seconds: number
  /** What time constants are counted in: five minutes, or the datastream's own interval where that is longer. */
  readonly unit: number
  /** Smallest difference that means something, in the datastream's unit; above 0. */
  readonly floor: number
  /** Enough was seen to judge by. */
  readonly warm: boolean
  /** Least strength that is raised, see `raises`. */
  readonly limit: number
  readonly definition: DatastreamDefinition
  readonly settings: DetectSettings
}

/** What a detector says of a moment. */
export type Verdict = Anomaly | undefined

export const hour = 3_600
export const day = 86_400
export const week = 604_800

/**
 * Share by which an average with the time constant `tau` moves after `seconds`: 1 - e^(-seconds/tau) to first order, without its cost, and
 * never above 1 however long it was quiet.
 */
export const share = (seconds: number, tau: number): number => seconds / (seconds + tau)

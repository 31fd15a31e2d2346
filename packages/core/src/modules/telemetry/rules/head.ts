/** Where an instance keeps its alert, from its base on: these eight numbers, then the times of the last raises, the newest last. */

/** Place of the active level among the rule's; NaN: no alert is up. */
export const activeLevel = 0
export const raisedAt = 1
/** Since when it could clear; NaN while it could not. */
export const clearSince = 2
/** 1: it has come and gone too often. */
export const isFlapping = 3
/** What the last episode's name was made of. */
export const lastCauseAt = 4
export const lastCauseSequence = 5
/** Counts episodes of one cause at one moment. */
export const ordinal = 6
/** When the last episode began; as `raisedAt`, but it stays. */
export const lastRaisedAt = 7
export const headSize = 8
/** What goes with the alert. */
export const ofAlert = [activeLevel, raisedAt, clearSince, isFlapping]

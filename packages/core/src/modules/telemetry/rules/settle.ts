/**
 * From a rule's truth to its alert: raise, escalate and de-escalate, clear with delay, stay up while flapping. One alert of a rule and
 * originator at a time.
 */
import type { Instance } from "./model.ts"
import { explain } from "./because.ts"
import type { Because, RuleEffect } from "./facts.ts"
import {
  activeLevel,
  clearSince,
  headSize,
  isFlapping,
  lastCauseAt,
  lastCauseSequence,
  lastRaisedAt,
  ofAlert,
  ordinal,
  raisedAt
} from "./head.ts"
import { episodeOf } from "./names.ts"
import { isOver, markChanged, type RulesState } from "./state.ts"

const hour = 3_600_000

/** The instance's alert says something. */
export const emit = (
  state: RulesState,
  instance: Instance,
  what: Pick<RuleEffect, "do" | "severity" | "at"> & { readonly because: Because }
) => {
  const { base, originator, rule, slots } = instance
  const { id, version } = rule.definition
  const name = [lastCauseAt, lastCauseSequence, lastRaisedAt, ordinal].map((place) => slots[base + place]!)
  state.effects ??= []
  state.effects.push({
    rule: id,
    version,
    originator: originator.id,
    episode: episodeOf([id, originator.id, ...name]),
    flapping: slots[base + isFlapping] === 1,
    ...what
  })
}

/** Forgets the alert; when it was raised and what for stays. */
export const lower = ({ base, slots }: Instance) => {
  for (const place of ofAlert) slots[base + place] = Number.NaN
}

const raise = (state: RulesState, instance: Instance, level: number, now: number) => {
  const { base, originator, rule, slots } = instance
  const { causeAt, causeSequence } = originator
  const again =
    slots[base + lastRaisedAt] === now &&
    slots[base + lastCauseAt] === causeAt &&
    slots[base + lastCauseSequence] === causeSequence
  slots[base + ordinal] = again ? slots[base + ordinal]! + 1 : 0
  slots[base + lastRaisedAt] = now
  slots[base + lastCauseAt] = causeAt
  slots[base + lastCauseSequence] = causeSequence
  slots[base + activeLevel] = level
  slots[base + raisedAt] = now
  const first = base + headSize
  slots.copyWithin(first, first + 1, first + rule.perHour)
  slots[first + rule.perHour - 1] = now
  const { condition, severity } = rule.levels[level]!
  const because: Because = { reason: "condition", text: explain(instance, condition) }
  emit(state, instance, { do: "raise", severity, at: now, because })
}

/** Another level holds. While it is flapping, only a worse one counts. */
const change = (state: RulesState, instance: Instance, level: number, now: number) => {
  const { base, rule, slots } = instance
  const active = slots[base + activeLevel]!
  if (level === active || (slots[base + isFlapping] === 1 && level > active)) return
  slots[base + activeLevel] = level
  const { condition, severity } = rule.levels[level]!
  const because: Because = { reason: "condition", text: explain(instance, condition) }
  emit(state, instance, { do: "update", severity, at: now, because })
}

/** No level holds and nothing speaks against clearing. */
const clear = (state: RulesState, instance: Instance, now: number) => {
  const { base, originator, rule, slots } = instance
  if (Number.isNaN(slots[base + clearSince])) slots[base + clearSince] = now
  const quiet = now - slots[base + clearSince]!
  if (rule.clearAfter > 0 && !isOver(originator, now - quiet + rule.clearAfter, now)) return
  const { condition, severity } = rule.levels[slots[base + activeLevel]!]!
  // With the oldest of so many raises less than an hour ago, one more would be too many.
  if (slots[base + isFlapping] !== 1 && now - slots[base + headSize]! < hour) {
    slots[base + isFlapping] = 1
    const text = `${rule.perHour} alerts within an hour; this one stays up until an hour has been quiet.`
    emit(state, instance, { do: "update", severity, at: now, because: { reason: "flapping", text } })
  }
  if (slots[base + isFlapping] === 1 && !isOver(originator, now - quiet + hour, now)) return
  const text = `No longer: ${explain(instance, condition)}`
  emit(state, instance, { do: "clear", severity, at: now, because: { reason: "condition", text } })
  lower(instance)
}

/** The moment after which an instance must be looked at; Infinity: none. */
export const dueOf = (instance: Instance): number => {
  const { base, rule, slots } = instance
  let due = Infinity
  for (const next of rule.dues) due = Math.min(due, next(instance))
  const since = slots[base + clearSince]!
  if (since !== since) return due
  return Math.min(due, since + (slots[base + isFlapping] === 1 ? Math.max(hour, rule.clearAfter) : rule.clearAfter))
}

/**
 * Looks at a rule at a moment, not earlier than any before. `causeAt` and `causeSequence` say what has just come: a reading's time and number,
 * or a due moment and -1.
 */
export const settle = (
  state: RulesState,
  instance: Instance,
  now: number,
  causeAt: number,
  causeSequence: number
): void => {
  const { base, originator, rule, slots } = instance
  originator.causeAt = causeAt
  originator.causeSequence = causeSequence
  const { levels } = rule
  let top = -1
  let isUnknown = false
  for (let place = 0; place < levels.length; place++) {
    const truth = levels[place]!.evaluate(instance, now)
    if (truth === 1 && top === -1) top = place
    if (truth === 0) isUnknown = true
  }
  const mayClear = rule.clear === undefined ? !isUnknown : rule.clear(instance, now) === 1
  const isUp = !Number.isNaN(slots[base + activeLevel])
  if (top !== -1) {
    slots[base + clearSince] = Number.NaN
    if (isUp) change(state, instance, top, now)
    else raise(state, instance, top, now)
  } else if (isUp) {
    // Of a member that is gone nothing will ever be known.
    if (mayClear || instance.members.some(({ facts }) => facts === undefined)) clear(state, instance, now)
    else slots[base + clearSince] = Number.NaN
  }
  instance.stale = false
  instance.due = dueOf(instance)
  markChanged(state, originator, 2)
}

/** `all`, `any`, `not`, and the two that remember. Every part is asked each time, for what remembers must see every moment. */
import type { Draft, Evaluate } from "./model.ts"
import { isOver } from "./state.ts"

export const all =
  (parts: ReadonlyArray<Evaluate>): Evaluate =>
  (instance, now) => {
    let least = 1
    for (const part of parts) {
      const truth = part(instance, now)
      if (truth < least) least = truth
    }
    return least
  }

export const any =
  (parts: ReadonlyArray<Evaluate>): Evaluate =>
  (instance, now) => {
    let most = -1
    for (const part of parts) {
      const truth = part(instance, now)
      if (truth > most) most = truth
    }
    return most
  }

export const not =
  (part: Evaluate): Evaluate =>
  (instance, now) =>
    -part(instance, now)

/** Since when, whether that was long enough, and what began it. */
export const held = (draft: Draft, seconds: number, part: Evaluate): Evaluate => {
  const since = draft.take(4)
  const [enough, causeAt, causeSequence] = [since + 1, since + 2, since + 3]
  const span = seconds * 1000
  draft.dues.push(({ base, slots }) => {
    const begun = slots[base + since]!
    return begun === begun && slots[base + enough] !== 1 ? begun + span : Infinity
  })
  return (instance, now) => {
    const { base, originator, slots } = instance
    const truth = part(instance, now)
    if (truth !== 1) {
      slots[base + since] = Number.NaN
      slots[base + enough] = Number.NaN
      return truth
    }
    if (Number.isNaN(slots[base + since])) {
      slots[base + since] = now
      slots[base + causeAt] = originator.causeAt
      slots[base + causeSequence] = originator.causeSequence
    }
    if (!isOver(originator, slots[base + since]! + span, now)) return -1
    if (slots[base + enough] !== 1) {
      slots[base + enough] = 1
      // Whoever notices that the span is over, a reading or the clock: the cause is what began it.
      originator.causeAt = slots[base + causeAt]!
      originator.causeSequence = slots[base + causeSequence]!
    }
    return 1
  }
}

/** The part's last truth, its own, and the last times at which it began to hold, the newest last. */
export const repeated = (
  draft: Draft,
  { seconds, times }: { readonly times: number; readonly seconds: number },
  part: Evaluate
): Evaluate => {
  const was = draft.take(2 + times)
  const own = was + 1
  const first = was + 2
  const last = first + times - 1
  const span = seconds * 1000
  draft.dues.push(({ base, slots }) => (slots[base + own] === 1 ? slots[base + first]! + span : Infinity))
  return (instance, now) => {
    const { base, originator, slots } = instance
    const truth = part(instance, now)
    if (truth === 1 && slots[base + was] !== 1) {
      slots.copyWithin(base + first, base + first + 1, base + last + 1)
      slots[base + last] = now
    }
    slots[base + was] = truth
    const oldest = slots[base + first]!
    if (slots[base + own] === 1 ? !isOver(originator, oldest + span, now) : now - oldest < span)
      return (slots[base + own] = 1)
    if (slots[base + own] === 1) {
      originator.causeAt = now
      originator.causeSequence = -1
    }
    return (slots[base + own] = truth === 0 && Number.isNaN(slots[base + last]) ? 0 : -1)
  }
}

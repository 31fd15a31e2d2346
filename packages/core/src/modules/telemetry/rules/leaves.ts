/** Leaves: what each looks at, when it changes by itself, and what it says. */
import type { Draft, Evaluate, Instance } from "./model.ts"
import { compare } from "./compare.ts"
import type { AnomalyLeaf, Leaf, OfflineLeaf, ScheduleLeaf } from "./definition.ts"
import { geofence } from "./geofence.ts"
import { hoursOf } from "./hours.ts"
import { isOver } from "./state.ts"

/** Keeps a truth that time alone changes. What then follows was caused by that moment. */
const turn = (instance: Instance, offset: number, truth: 1 | -1, now: number): number => {
  const { base, originator, slots } = instance
  const before = slots[base + offset]!
  slots[base + offset] = truth
  if (before === -truth) {
    originator.causeAt = now
    originator.causeSequence = -1
  }
  return truth
}

/** Until when it lasts, and its truth. */
const anomaly = (draft: Draft, leaf: AnomalyLeaf): Evaluate => {
  const until = draft.take(2)
  const own = until + 1
  const span = leaf.seconds * 1000
  const kinds = leaf.anomalies === undefined ? undefined : new Set<string>(leaf.anomalies)
  const minScore = leaf.minScore ?? 0
  draft.anomalies.push({
    source: draft.sourceOf(leaf.member, leaf.datastream),
    update: ({ base, originator, slots }, kind, score, at) => {
      if (score < minScore || (kinds !== undefined && !kinds.has(kind)) || at + span <= originator.clock) return false
      if (slots[base + until]! >= at + span) return false
      slots[base + until] = at + span
      return true
    }
  })
  draft.dues.push(({ base, slots }) => (slots[base + own] === 1 ? slots[base + until]! : Infinity))
  return (instance, now) => {
    const { base, originator, slots } = instance
    const end = slots[base + until]!
    if (end !== end || isOver(originator, end, now)) return turn(instance, own, -1, now)
    // It began with the anomaly, which is the cause already.
    return (slots[base + own] = 1)
  }
}

/** Its truth, and since when it is looked at: of a datastream that no rule looked at before nobody knows when it last came. */
const offline = (draft: Draft, leaf: OfflineLeaf): Evaluate => {
  const own = draft.take(2)
  const begun = own + 1
  const place = draft.memberOf(leaf.member)
  const source = leaf.datastream === undefined ? -1 : draft.sourceOf(leaf.member, leaf.datastream)
  const factor = leaf.intervals * 1000
  /** The last sign of life; NaN: there was none. */
  const lastOf = ({ members, streams }: Instance) => (source === -1 ? members[place]!.lastAt : streams[source]!.at)
  /** Of who never gave one: when the waiting began. */
  const waitsSince = ({ base, members, slots }: Instance) => {
    const { since } = members[place]!
    return source !== -1 && slots[base + begun]! > since ? slots[base + begun]! : since
  }
  /** When it counts as gone; NaN: unknown. While nobody listened nobody is gone. */
  const limit = (instance: Instance): number => {
    const last = lastOf(instance)
    const begun = Number.isNaN(last) ? waitsSince(instance) : last
    const patience = (instance.members[place]!.facts?.expectedInterval ?? Number.NaN) * factor
    let due = begun + patience
    for (const { from, until } of instance.originator.deaf) if (begun < until && due > from) due = until + patience
    return due
  }
  // A sign of life only moves the limit; the rule is looked at when it was gone, or when nothing was known.
  const update = ({ base, slots }: Instance) => slots[base + own] !== -1
  if (source === -1) draft.watches.push({ on: "offline", member: place, update })
  else draft.updates.push({ source, update })
  // Another interval may mean that it is gone by now.
  draft.watches.push({ on: "attributes", member: place, update: () => true })
  draft.dues.push((instance) => {
    const due = limit(instance)
    return instance.slots[instance.base + own] !== 1 && due === due ? due : Infinity
  })
  return (instance, now) => {
    const { base, originator, slots } = instance
    if (Number.isNaN(slots[base + begun])) slots[base + begun] = now
    const due = limit(instance)
    const before = slots[base + own]
    if (Number.isNaN(due)) return (slots[base + own] = 0)
    if (!isOver(originator, due, now)) return (slots[base + own] = -1)
    if (before !== 1) {
      // Caused by the last sign of life, whenever the silence is noticed.
      const last = lastOf(instance)
      const sequence = source === -1 ? instance.members[place]!.lastSequence : instance.streams[source]!.sequence
      originator.causeAt = Number.isNaN(last) ? waitsSince(instance) : last
      originator.causeSequence = Number.isNaN(last) ? -1 : sequence
    }
    return (slots[base + own] = 1)
  }
}

/** Its truth, and until when that stays. */
const schedule = (draft: Draft, leaf: ScheduleLeaf): Evaluate => {
  const own = draft.take(2)
  const until = own + 1
  const hours = hoursOf(leaf, draft.tenant)
  draft.dues.push(({ base, slots }) => {
    const due = slots[base + until]!
    return due === due ? due : Infinity
  })
  return (instance, now) => {
    const { base, originator, slots } = instance
    const end = slots[base + until]!
    if (end === end && !isOver(originator, end, now)) return slots[base + own]!
    const span = hours(now)
    slots[base + until] = span.until === Infinity ? Number.NaN : span.until
    return turn(instance, own, span.inside ? 1 : -1, now)
  }
}

/** Adds a leaf to a rule in the making. */
export const addLeaf = (draft: Draft, leaf: Leaf): Evaluate => {
  switch (leaf.kind) {
    case "compare":
      return compare(draft, leaf)
    case "anomaly":
      return anomaly(draft, leaf)
    case "offline":
      return offline(draft, leaf)
    case "geofence":
      return geofence(draft, leaf)
    case "schedule":
      return schedule(draft, leaf)
  }
}

/** Makes originators: who is looked at by which rules, and what is remembered of them. */
import type { CompiledRule, Instance, Member, Originator, StoredOriginator, StoredRule, Stream } from "./model.ts"
import type { Because, DeviceFacts } from "./facts.ts"
import { activeLevel, isFlapping, lastCauseAt, lastRaisedAt } from "./head.ts"
import { episodeOf } from "./names.ts"
import { emit, lower, settle } from "./settle.ts"
import { markChanged, type RulesState } from "./state.ts"
import { park, recallMembers, recallRule, storedOriginator } from "./store.ts"

const unknown = Number.NaN

const makeMember = (facts: DeviceFacts | undefined): Member => ({
  facts,
  since: unknown,
  lastAt: unknown,
  lastSequence: unknown,
  streams: new Map(),
  offline: [],
  attributes: []
})

const streamOf = (member: Member, device: string, key: string): Stream => {
  const found = member.streams.get(key)
  if (found !== undefined) return found
  const stream: Stream = {
    ...{ device, key, at: unknown, sequence: unknown, value: unknown, beforeAt: unknown, before: unknown },
    ...{ low: unknown, high: unknown, banded: [], watches: [], anomalies: [] }
  }
  member.streams.set(key, stream)
  return stream
}

const connect = (instance: Instance) => {
  const { members, rule, streams } = instance
  for (const { narrow, source, update } of rule.updates) {
    if (narrow === undefined) streams[source]!.watches.push({ instance, update })
    else streams[source]!.banded.push({ instance, update, narrow })
  }
  for (const { source, update } of rule.anomalies) streams[source]!.anomalies.push({ instance, update })
  for (const { member, on, update } of rule.watches) members[member]![on].push({ instance, update })
}

/** Lets every leaf look at what is known, as if it had just come. */
const lookAround = (instance: Instance) => {
  for (const { update } of instance.rule.updates) update(instance)
  for (const stream of instance.streams) stream.low = stream.high = unknown
  for (const { update } of instance.rule.watches) update(instance)
}

interface Applies {
  readonly rule: CompiledRule
  /** By the rule's order of members. */
  readonly devices: ReadonlyArray<string>
}

const assemble = (state: RulesState, id: string, applies: ReadonlyArray<Applies>): Originator => {
  const slots = new Float64Array(applies.reduce((sum, { rule }) => sum + rule.size, 0)).fill(unknown)
  const originator: Originator = {
    ...{
      id,
      members: new Map(),
      instances: [],
      slots,
      parked: new Map(),
      deaf: state.deaf,
      clock: -Infinity,
      due: Infinity
    },
    ...{ causeAt: unknown, causeSequence: -1, closed: -Infinity, changed: 0 }
  }
  const memberOf = (device: string): Member => {
    const found = originator.members.get(device)
    if (found !== undefined) return found
    const member = makeMember(state.devices.get(device))
    originator.members.set(device, member)
    return member
  }
  let base = 0
  for (const { devices, rule } of applies) {
    const members = devices.map(memberOf)
    const streams = rule.sources.map(({ key, member }) => streamOf(members[member]!, devices[member]!, key))
    const instance: Instance = { rule, originator, slots, base, members, streams, due: Infinity, stale: false }
    originator.instances.push(instance)
    connect(instance)
    base += rule.size
  }
  return originator
}

/** An alert of a rule that applies no more. */
const dismiss = (
  state: RulesState,
  id: string,
  clock: number | null,
  rule: string,
  stored: StoredRule,
  because: Because
) => {
  if (stored.active === null) return
  const name = stored.head.slice(lastCauseAt, lastCauseAt + 4)
  state.effects ??= []
  state.effects.push({
    rule,
    version: stored.version,
    originator: id,
    episode: episodeOf([rule, id, name[0]!, name[1]!, name[3]!, name[2]!]),
    do: "clear",
    severity: stored.active.severity,
    flapping: stored.head[isFlapping] === 1,
    at: clock ?? name[3]!,
    because
  })
}

const outOfScope: Because = { reason: "out of scope", text: "The rule does not apply here any more." }

/** Takes up what is stored. An alert whose rule is another by now stays up if that rule holds too; otherwise it clears. */
const recall = (state: RulesState, originator: Originator, stored: StoredOriginator) => {
  recallMembers(originator, stored)
  originator.causeAt = originator.clock
  const left = new Map(Object.entries(stored.rules))
  for (const instance of originator.instances) {
    const { id } = instance.rule.definition
    const kept = left.get(id)
    left.delete(id)
    const recalled = kept === undefined ? "none" : recallRule(instance, kept)
    lookAround(instance)
    if (kept?.active == null || recalled === "none") continue
    const { base, rule, slots } = instance
    const now = originator.clock
    const holds =
      recalled === "same"
        ? slots[base + activeLevel]!
        : rule.levels.findIndex(({ evaluate }) => evaluate(instance, now) === 1)
    if (holds === -1) {
      const text = "The rule has changed, and as it is now nothing is known to be wrong."
      emit(state, instance, {
        do: "clear",
        severity: kept.active.severity,
        at: now,
        because: { reason: "rule changed", text }
      })
      lower(instance)
      continue
    }
    slots[base + activeLevel] = holds
    const { severity } = rule.levels[holds]!
    if (severity !== kept.active.severity) {
      const text = `The rule has changed: the alert is ${severity} now.`
      emit(state, instance, { do: "update", severity, at: now, because: { reason: "rule changed", text } })
    }
  }
  for (const [rule, kept] of left) {
    dismiss(state, originator.id, stored.clock, rule, kept, outOfScope)
    park(originator, rule, kept)
  }
}

/** Makes an originator from what is stored, or new. Undefined where no rule applies. */
const build = (state: RulesState, id: string, applies: ReadonlyArray<Applies>, at: number): Originator | undefined => {
  const stored = state.stored.get(id)
  state.stored.delete(id)
  if (applies.length === 0) {
    if (stored !== undefined) {
      for (const [rule, kept] of Object.entries(stored.rules)) dismiss(state, id, stored.clock, rule, kept, outOfScope)
      state.gone.add(id)
    }
    return undefined
  }
  const originator = assemble(state, id, applies)
  state.originators.set(id, originator)
  if (stored !== undefined) recall(state, originator, stored)
  else for (const instance of originator.instances) lookAround(instance)
  if (originator.clock === -Infinity) originator.clock = at
  markChanged(state, originator, 2)
  return originator
}

export const dueSoonest = (originator: Originator) => {
  let due = Infinity
  for (const instance of originator.instances) if (instance.due < due) due = instance.due
  originator.due = due
}

/** Looks at all rules of an originator, after something that is no reading. */
const settleAll = (state: RulesState, originator: Originator) => {
  const { clock } = originator
  for (const instance of originator.instances) settle(state, instance, clock, clock, -1)
  dueSoonest(originator)
}

/** Nothing has come of its devices yet, and nobody was told anything. */
export const isUnheard = ({ instances, members }: Originator): boolean => {
  for (const { lastAt } of members.values()) if (lastAt === lastAt) return false
  return instances.every(({ base, slots }) => Number.isNaN(slots[base + lastRaisedAt]!))
}

/** Goes back to a time before its devices were registered or its rules were put: what they have kept since then is judged by its own time. */
export const beginAt = (state: RulesState, originator: Originator, at: number) => {
  originator.slots.fill(unknown)
  originator.clock = at
  originator.closed = -Infinity
  for (const member of originator.members.values()) member.since = Math.min(member.since, at)
  for (const instance of originator.instances) lookAround(instance)
  settleAll(state, originator)
}

/** Connects a device with its originators, which it returns. Moves no clock but a new originator's. */
const route = (state: RulesState, device: DeviceFacts, at: number): ReadonlyArray<Originator> => {
  const { compiled } = state
  const own = build(
    state,
    device.id,
    compiled.rulesOf(device).map((rule) => ({ rule, devices: [device.id] })),
    at
  )
  const sets = [...new Set(compiled.setsOf(device.id).map(({ id }) => id))].map(
    (id) => state.originators.get(id) ?? build(state, id, compiled.sets.get(id)!, at)!
  )
  const originators = own === undefined ? sets : [own, ...sets]
  state.routes.set(
    device.id,
    originators.map((originator) => {
      const member = originator.members.get(device.id)!
      member.facts = device
      if (Number.isNaN(member.since)) member.since = at
      for (const { instance } of member.attributes) lookAround(instance)
      return { originator, member }
    })
  )
  return originators
}

/** Nothing is concluded of a set before all of its members that come in one go are connected. */
export const introduce = (state: RulesState, arriving: RulesState["arriving"]) => {
  const touched = new Set(arriving.flatMap(({ at, device }) => route(state, device, at)))
  for (const originator of touched) settleAll(state, originator)
}

/** Another profile or other groups: other rules. What they have in common goes on. */
export const reintroduce = (state: RulesState, device: DeviceFacts, at: number) => {
  const own = state.originators.get(device.id)
  if (own !== undefined) {
    state.stored.set(own.id, storedOriginator(own))
    state.originators.delete(own.id)
  }
  introduce(state, [{ device, at }])
}

/** Other rules from now on. */
export const rewire = (state: RulesState, compiled: RulesState["compiled"]) => {
  const before = [...state.originators.values()]
  state.compiled = compiled
  state.originators.clear()
  state.routes.clear()
  for (const originator of before) state.stored.set(originator.id, storedOriginator(originator))
  introduce(
    state,
    [...state.devices.values()].map((device) => ({ device, at: state.time }))
  )
  for (const { id } of before) {
    const stored = state.stored.get(id)
    // A set that no rule names any more; devices have taken theirs up.
    if (stored !== undefined) build(state, id, [], 0)
  }
}

const deviceGone: Because = { reason: "device gone", text: "The device is registered no more." }

/** A set goes on without a member: nothing is known of it any more, and alerts that do not hold without it clear. */
const loseMember = (state: RulesState, originator: Originator, member: Member) => {
  member.facts = undefined
  member.since = member.lastAt = member.lastSequence = unknown
  for (const stream of member.streams.values())
    for (const what of ["at", "sequence", "value", "beforeAt", "before"] as const) stream[what] = unknown
  const { clock, slots } = originator
  for (const instance of originator.instances) {
    if (!instance.members.includes(member)) continue
    lookAround(instance)
    const active = slots[instance.base + activeLevel]!
    const { levels } = instance.rule
    if (Number.isNaN(active) || levels.some(({ evaluate }) => evaluate(instance, clock) === 1)) continue
    emit(state, instance, { do: "clear", severity: levels[active]!.severity, at: clock, because: deviceGone })
    lower(instance)
  }
  settleAll(state, originator)
}

/** Nothing more comes of a device. */
export const dismissDevice = (state: RulesState, device: string, at: number) => {
  for (const { member, originator } of state.routes.get(device) ?? []) {
    originator.clock = Math.max(originator.clock, at)
    if (originator.id !== device) {
      loseMember(state, originator, member)
      continue
    }
    const { clock } = originator
    for (const [rule, stored] of Object.entries(storedOriginator(originator).rules))
      dismiss(state, device, clock, rule, stored, deviceGone)
    state.originators.delete(device)
    state.gone.add(device)
  }
  state.routes.delete(device)
  state.devices.delete(device)
}

/**
 * Facts in, effects out.
 *
 * **Time is event time.** Each originator has a clock: the latest time of anything accepted from its devices. What is due before a reading is
 * decided before that reading; what is due at its very moment when time has moved on, for a message may hold several readings of one time. A tick fires what is due by then and moves a clock only to what was
 * due, so what is concluded does not depend on how often somebody ticks. A reading that is older than its originator's clock, but not
 * than the last of its own datastream, counts as if it came at the clock's time: decisions are not taken back. Before its first reading nothing was
 * decided but silence and hours: until an alert was raised of these, an originator begins anew with a first reading that is older than that.
 *
 * A reading that is not newer than the last of its datastream is late or a repetition: it neither raises nor clears anything.
 */
import type { CompiledRules, Originator, Watch } from "./model.ts"
import { canonical } from "../../../kernel/canonical.ts"
import type { DeviceFacts, Fact, ReadingFact, RuleEffect } from "./facts.ts"
import { dueOf, settle } from "./settle.ts"
import { markChanged, type RulesState } from "./state.ts"
import { beginAt, dismissDevice, dueSoonest, introduce, isUnheard, reintroduce, rewire } from "./wire.ts"

const nothing: ReadonlyArray<RuleEffect> = []

/** Fires what is due before a moment, or at it too. */
const advance = (state: RulesState, originator: Originator, until: number, inclusive: boolean) => {
  while (originator.due < until || (inclusive && originator.due === until)) {
    const { due } = originator
    for (const instance of originator.instances) {
      if (instance.due > due) continue
      instance.due = dueOf(instance)
      // What has come since may have moved it.
      if (instance.due > due) continue
      if (due > originator.clock) originator.clock = due
      originator.closed = due
      settle(state, instance, originator.clock, due, -1)
      // A mistake of ours that would otherwise hold up every device for ever.
      if (instance.due <= due) throw new Error(`Rule ${instance.rule.definition.id} does not get past ${due}.`)
    }
    dueSoonest(originator)
  }
}

const settleStale = (state: RulesState, originator: Originator, at: number, sequence: number) => {
  for (const instance of originator.instances)
    if (instance.stale) settle(state, instance, originator.clock, at, sequence)
  dueSoonest(originator)
}

const look = (watches: ReadonlyArray<Watch>): boolean => {
  let any = false
  for (const { instance, update } of watches) {
    if (!update(instance)) continue
    instance.stale = true
    any = true
  }
  return any
}

const reading = (state: RulesState, fact: ReadingFact) => {
  const routes = state.routes.get(fact.device)
  const { at, key, value } = fact
  // One comparison for NaN and both infinities of either.
  if (routes === undefined || !(Math.abs(at) + Math.abs(value) < Infinity)) {
    state.ignored++
    return
  }
  const sequence = fact.sequence ?? 0
  for (let place = 0; place < routes.length; place++) {
    const { member, originator } = routes[place]!
    const stream = member.streams.get(key)
    if (stream !== undefined && (at < stream.at || (at === stream.at && sequence <= stream.sequence))) continue
    if (at < originator.clock && isUnheard(originator)) beginAt(state, originator, at)
    if (originator.due < at) advance(state, originator, at, false)
    if (!(at < member.lastAt)) {
      member.lastAt = at
      member.lastSequence = sequence
    }
    if (at > originator.clock) originator.clock = at
    markChanged(state, originator, 1)
    let any = member.offline.length > 0 && look(member.offline)
    if (stream !== undefined) {
      stream.beforeAt = stream.at
      stream.before = stream.value
      stream.at = at
      stream.sequence = sequence
      stream.value = value
      if (look(stream.watches)) any = true
      if (!(value > stream.low && value < stream.high)) {
        if (look(stream.banded)) any = true
        stream.low = -Infinity
        stream.high = Infinity
        for (const { instance, narrow } of stream.banded) narrow(instance, stream)
      }
    }
    if (any) settleStale(state, originator, at, sequence)
  }
}

const anomaly = (state: RulesState, { anomaly: { at, kind, score }, device, key }: Fact & { kind: "anomaly" }) => {
  const routes = state.routes.get(device)
  if (routes === undefined) state.ignored++
  for (const { member, originator } of routes ?? []) {
    const stream = member.streams.get(key)
    // It is of a reading that has come: where none has, it is not ours to know.
    if (stream === undefined || stream.anomalies.length === 0 || !(at >= stream.at)) continue
    advance(state, originator, at, false)
    if (at > originator.clock) originator.clock = at
    let any = false
    for (const { instance, update } of stream.anomalies) {
      if (!update(instance, kind, score, at)) continue
      instance.stale = true
      any = true
    }
    markChanged(state, originator, 1)
    if (any) settleStale(state, originator, at, -1)
  }
}

/** Whoever is introduced in one go is known to all sets before anything is concluded of one. */
const welcome = (state: RulesState) => {
  const { arriving } = state
  state.arriving = []
  introduce(state, arriving)
}

const device = (state: RulesState, facts: DeviceFacts, at: number) => {
  const before = state.devices.get(facts.id)
  if (before === undefined) {
    state.devices.set(facts.id, facts)
    state.arriving.push({ device: facts, at })
    return
  }
  if (state.arriving.length > 0) welcome(state)
  state.devices.set(facts.id, facts)
  if (canonical(before) === canonical(facts)) return
  for (const { member, originator } of state.routes.get(facts.id) ?? []) {
    advance(state, originator, at, false)
    member.facts = facts
    if (at > originator.clock) originator.clock = at
    markChanged(state, originator, 1)
    // Thresholds may have moved.
    for (const { instance } of member.attributes) for (const stream of instance.streams) stream.low = Number.NaN
    if (look(member.attributes)) settleStale(state, originator, at, -1)
  }
  const scope = ({ groups, profile }: DeviceFacts) => canonical([profile, groups])
  if (scope(before) !== scope(facts)) reintroduce(state, facts, at)
}

/**
 * Tells rules what has happened, in the order of arrival, and returns what follows from it. Changes `state` in place; a host whose transaction
 * then fails drops the state and reads the stored one. Where `compiled` is not what the state was made with, the rules are exchanged first.
 */
export const evaluate = (
  compiled: CompiledRules,
  state: RulesState,
  facts: ReadonlyArray<Fact>
): ReadonlyArray<RuleEffect> => {
  if (state.compiled !== compiled) rewire(state, compiled)
  for (const fact of facts) {
    if (state.arriving.length > 0 && fact.kind !== "device") welcome(state)
    switch (fact.kind) {
      case "reading":
        reading(state, fact)
        break
      case "tick":
        state.time = Math.max(state.time, fact.at)
        for (const originator of state.originators.values())
          if (originator.due <= fact.at) advance(state, originator, fact.at, true)
        break
      case "deaf":
        state.deaf.push({ from: fact.from, until: fact.at })
        break
      case "anomaly":
        anomaly(state, fact)
        break
      case "device":
        state.time = Math.max(state.time, fact.at)
        device(state, fact.device, fact.at)
        break
      case "gone":
        for (const { originator } of state.routes.get(fact.device) ?? []) advance(state, originator, fact.at, false)
        dismissDevice(state, fact.device, fact.at)
        break
    }
  }
  if (state.arriving.length > 0) welcome(state)
  const { effects } = state
  if (effects === undefined) return nothing
  state.effects = undefined
  return effects
}

/**
 * An originator's state as JSON: the same numbers, NaN as null. It names the conditions that its numbers belong to, so that a rule's next
 * version takes over what it still has in common with this one.
 */
import type {
  CompiledRule,
  Instance,
  Member,
  Originator,
  Stored,
  StoredMember,
  StoredOriginator,
  StoredRule
} from "./model.ts"
import { activeLevel, headSize, lastRaisedAt, ofAlert } from "./head.ts"
import type { RulesState } from "./state.ts"

const out = (value: number): Stored => (Number.isFinite(value) ? value : null)
const back = (value: Stored | undefined): number => value ?? Number.NaN

const storedRule = (instance: Instance, slots: Float64Array): StoredRule => {
  const { base, members, originator, rule } = instance
  const numbers = (offset: number, size: number): Array<Stored> => {
    const all: Array<Stored> = []
    for (let place = base + offset; place < base + offset + size; place++) all.push(out(slots[place]!))
    return all
  }
  const level = rule.levels[slots[base + activeLevel]!]
  const devices = [...originator.members]
  return {
    version: rule.definition.version,
    devices: members.map((member) => devices.find(([, one]) => one === member)![0]),
    active: level === undefined ? null : { severity: level.severity, level: level.signature },
    head: numbers(0, headSize + rule.perHour),
    nodes: rule.nodes.map(({ offset, signature, size }) => [signature, ...numbers(offset, size)] as const)
  }
}

const storedMember = (member: Member): StoredMember => ({
  since: out(member.since),
  last: [out(member.lastAt), out(member.lastSequence)],
  streams: Object.fromEntries(
    [...member.streams].map(([key, { at, before, beforeAt, sequence, value }]) => [
      key,
      [out(at), out(sequence), out(value), out(beforeAt), out(before)] as const
    ])
  )
})

/** The numbers are those of now, whenever they are asked for: copying them is quick, naming them is not. */
const frozenOriginator = (originator: Originator): (() => StoredOriginator) => {
  const { id, instances } = originator
  const [clock, closed] = [out(originator.clock), out(originator.closed)]
  const members = [...originator.members].map(([device, member]) => [device, storedMember(member)] as const)
  const slots = originator.slots.slice()
  const parked = [...originator.parked].filter(([, rule]) => mayRepeat(originator, rule))
  return () => ({
    ...{ id, clock, closed, members: Object.fromEntries(members) },
    rules: Object.fromEntries([
      ...parked,
      ...instances.map((instance) => [instance.rule.definition.id, storedRule(instance, slots)] as const)
    ])
  })
}

/** Whether an episode that is raised now could bear the name of the rule's last one. */
const mayRepeat = ({ clock }: Originator, { head }: StoredRule): boolean => (head[lastRaisedAt] ?? -Infinity) >= clock

/** Keeps what named the last episode of a rule that applies no more. */
export const park = (originator: Originator, rule: string, stored: StoredRule) => {
  if (!mayRepeat(originator, stored)) return
  const head = stored.head.slice(0, headSize)
  for (const place of ofAlert) head[place] = null
  originator.parked.set(rule, { ...stored, active: null, head, nodes: [] })
}

export const storedOriginator = (originator: Originator): StoredOriginator => frozenOriginator(originator)()

/** An originator's state of now, to be kept in the transaction of its readings; undefined: it is gone, and its row goes too. */
export const freeze = (state: RulesState, originator: string): (() => StoredOriginator | undefined) => {
  const found = state.originators.get(originator)
  if (found !== undefined) return frozenOriginator(found)
  const stored = state.stored.get(originator)
  return () => stored
}

export const encode = (state: RulesState, originator: string): StoredOriginator | undefined =>
  freeze(state, originator)()

/** Puts back what `encode` gave. Before the devices are introduced, who then take it up. */
export const decode = (state: RulesState, stored: ReadonlyArray<StoredOriginator>): void => {
  for (const one of stored) state.stored.set(one.id, one)
}

/** Fills an originator's clock, members and datastreams; those that no rule looks at any more are dropped. */
export const recallMembers = (originator: Originator, stored: StoredOriginator) => {
  originator.clock = stored.clock ?? -Infinity
  originator.closed = stored.closed ?? -Infinity
  for (const [device, member] of originator.members) {
    const kept = stored.members[device]
    // Of one that went while nobody looked nothing is known any more.
    if (kept === undefined || member.facts === undefined) continue
    member.since = back(kept.since)
    ;[member.lastAt, member.lastSequence] = [back(kept.last[0]), back(kept.last[1])]
    for (const [key, stream] of member.streams) {
      const [at, sequence, value, beforeAt, before] = kept.streams[key] ?? []
      Object.assign(stream, {
        at: back(at),
        sequence: back(sequence),
        value: back(value),
        beforeAt: back(beforeAt),
        before: back(before)
      })
    }
  }
}

/** Takes over each condition's numbers that the stored version had too. */
const recallNodes = ({ base, rule, slots }: Instance, nodes: StoredRule["nodes"]) => {
  const left = [...nodes]
  for (const { offset, signature, size } of rule.nodes) {
    const found = left.findIndex(([name, ...numbers]) => name === signature && numbers.length === size)
    if (found === -1) continue
    const [[, ...numbers]] = left.splice(found, 1) as [StoredRule["nodes"][number]]
    for (const [place, number] of numbers.entries()) slots[base + offset + place] = back(number)
  }
}

/** What became of the alert that was up: none was, its condition is still there, or it is another rule now. */
export type Recalled = "none" | "same" | "changed"

const levelOf = (rule: CompiledRule, { level, severity }: NonNullable<StoredRule["active"]>): number => {
  const exact = rule.levels.findIndex((one) => one.signature === level && one.severity === severity)
  return exact === -1 ? rule.levels.findIndex((one) => one.signature === level) : exact
}

/** Fills an instance. An alert whose level is gone stands at the level of its severity, or the last, until it is decided on. */
export const recallRule = (instance: Instance, stored: StoredRule): Recalled => {
  const { base, originator, rule, slots } = instance
  const devices = [...originator.members]
  const same = instance.members.every((member, place) =>
    devices.some(([id, one]) => one === member && id === stored.devices[place])
  )
  for (let place = 0; place < headSize; place++) slots[base + place] = back(stored.head[place])
  const raises = stored.head.slice(headSize).slice(-rule.perHour)
  const first = base + headSize + rule.perHour - raises.length
  for (const [place, at] of raises.entries()) slots[first + place] = back(at)
  if (same) recallNodes(instance, stored.nodes)
  if (stored.active === null) return "none"
  const level = same ? levelOf(rule, stored.active) : -1
  slots[base + activeLevel] = Math.max(level, 0)
  return level === -1 ? "changed" : "same"
}

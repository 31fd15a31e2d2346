/** What rules remember of everybody, of constant size for each device. */
import type { DeviceFacts, RuleEffect } from "./facts.ts"
import { activeLevel } from "./head.ts"
import type { CompiledRules, Deafness, Originator, Route, StoredOriginator } from "./model.ts"

export interface RulesState {
  compiled: CompiledRules
  readonly devices: Map<string, DeviceFacts>
  readonly routes: Map<string, ReadonlyArray<Route>>
  readonly originators: Map<string, Originator>
  /** Read from the store and not yet claimed by a device. */
  readonly stored: Map<string, StoredOriginator>
  /** The oldest first. */
  readonly deaf: Array<Deafness>
  /** Devices that have been introduced a moment ago. */
  arriving: Array<{ readonly device: DeviceFacts; readonly at: number }>
  changed: Array<Originator>
  /** The latest tick or word of a device: when what is new begins. */
  time: number
  /** Originators that are no more, and whose rows go. */
  readonly gone: Set<string>
  /** Facts of devices that nobody introduced, and values or times that are no finite numbers. */
  ignored: number
  effects: Array<RuleEffect> | undefined
}

export const makeState = (compiled: CompiledRules): RulesState => ({
  compiled,
  devices: new Map(),
  routes: new Map(),
  originators: new Map(),
  stored: new Map(),
  deaf: [],
  arriving: [],
  changed: [],
  time: -Infinity,
  gone: new Set(),
  ignored: 0,
  effects: undefined
})

/** Whether a span that ends then is over now. */
export const isOver = (originator: Originator, end: number, now: number): boolean =>
  end < now || end <= originator.closed

/** Whether an alert of a rule is up at an originator. */
export const isUp = (state: RulesState, originator: string, rule: string): boolean =>
  state.originators
    .get(originator)
    ?.instances.some(
      ({ base, rule: { definition }, slots }) => definition.id === rule && !Number.isNaN(slots[base + activeLevel])
    ) === true

/** What was stored of those whom no device has taken up is over; their rows go. */
export const forgetUnclaimed = (state: RulesState): void => {
  for (const id of state.stored.keys()) state.gone.add(id)
  state.stored.clear()
}

export const markChanged = (state: RulesState, originator: Originator, how: 1 | 2) => {
  if (originator.changed === 0) state.changed.push(originator)
  if (how > originator.changed) originator.changed = how
}

export interface ChangedOriginator {
  readonly originator: string
  /**
   * False: only last values have moved. A host that stores readings may leave such a state unwritten and give the readings since then once
   * more, in the order of their times, after a restart.
   */
  readonly decided: boolean
}

/** The originators whose state differs from when this was last asked: what a transaction has to write. */
export const takeChanged = (state: RulesState): ReadonlyArray<ChangedOriginator> => {
  const decided = new Map<string, boolean>()
  for (const originator of state.changed) {
    decided.set(originator.id, originator.changed === 2 || decided.get(originator.id) === true)
    originator.changed = 0
  }
  for (const id of state.gone) decided.set(id, true)
  state.changed = []
  state.gone.clear()
  return [...decided].map(([originator, isDecided]) => ({ originator, decided: isDecided }))
}

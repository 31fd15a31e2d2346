/**
 * The shapes that rules are made of: what is compiled once, and what is remembered between two facts.
 *
 * An **originator** is what an alert is about, a device or a named set; it has the last two values of each datastream that some rule looks
 * at, and one **instance** of each rule that applies. Everything that must survive is a number in `slots`, `streams` or `members`; the rest is
 * wiring.
 */
import type { Condition, RuleDefinition, RuleSeverity } from "./definition.ts"
import type { DeviceFacts } from "./facts.ts"
import type { TenantTime } from "./hours.ts"

/** A condition's truth at a moment. Asked at every moment that matters, in order, so that it may remember. */
export type Evaluate = (instance: Instance, now: number) => number
/** Looks at what has come; whether the leaf has changed. */
export type Update = (instance: Instance) => boolean
/** Narrows a datastream's band to the values at which this leaf stays as it is. */
export type Narrow = (instance: Instance, stream: Stream) => void
export type AnomalyUpdate = (instance: Instance, kind: string, score: number, at: number) => boolean

export interface CompiledLevel {
  readonly severity: RuleSeverity
  readonly condition: Condition
  readonly signature: string
  readonly evaluate: Evaluate
}

export interface CompiledRule {
  readonly definition: RuleDefinition
  /** Members that conditions name; a rule of each device has one without a name. */
  readonly members: ReadonlyArray<string>
  readonly sources: ReadonlyArray<{ readonly member: number; readonly key: string }>
  /** Numbers that an instance needs. */
  readonly size: number
  /** Which of them belong to which condition, for a rule's next version. */
  readonly nodes: ReadonlyArray<{ readonly signature: string; readonly offset: number; readonly size: number }>
  /** The worst first. */
  readonly levels: ReadonlyArray<CompiledLevel>
  readonly clear: Evaluate | undefined
  /** Milliseconds. */
  readonly clearAfter: number
  readonly perHour: number
  readonly dues: ReadonlyArray<(instance: Instance) => number>
  readonly updates: ReadonlyArray<{ readonly source: number; readonly update: Update; readonly narrow?: Narrow }>
  readonly anomalies: ReadonlyArray<{ readonly source: number; readonly update: AnomalyUpdate }>
  readonly watches: ReadonlyArray<{
    readonly on: "offline" | "attributes"
    readonly member: number
    readonly update: Update
  }>
}

export interface CompiledSet {
  readonly id: string
  readonly rule: CompiledRule
  /** By the rule's order of members. */
  readonly devices: ReadonlyArray<string>
}

export interface CompiledRules {
  readonly rules: ReadonlyArray<CompiledRule>
  /** Which rules look at a datastream, by its key. */
  readonly byKey: ReadonlyMap<string, ReadonlyArray<CompiledRule>>
  /** Rules of each device that apply to this one. */
  readonly rulesOf: (device: DeviceFacts) => ReadonlyArray<CompiledRule>
  readonly setsOf: (device: string) => ReadonlyArray<CompiledSet>
  readonly sets: ReadonlyMap<string, ReadonlyArray<CompiledSet>>
  /** Devices of a set that a rule looks at; undefined where the originator is none of its sets. */
  readonly membersOf: (originator: string, rule: string) => ReadonlyArray<string> | undefined
}

/** What conditions are compiled into. */
export interface Draft {
  readonly tenant: TenantTime
  readonly take: (amount: number) => number
  readonly memberOf: (name: string | undefined) => number
  readonly sourceOf: (name: string | undefined, key: string) => number
  readonly dues: Array<(instance: Instance) => number>
  readonly updates: Array<CompiledRule["updates"][number]>
  readonly anomalies: Array<CompiledRule["anomalies"][number]>
  readonly watches: Array<CompiledRule["watches"][number]>
}

/** A datastream's last two accepted readings; NaN before there are any. */
export interface Stream {
  readonly device: string
  readonly key: string
  at: number
  sequence: number
  value: number
  beforeAt: number
  before: number
  /**
   * Its band: while values stay between the two, both excluded, no leaf that compares them with what does not move can change. NaN: to be
   * found out.
   */
  low: number
  high: number
  /** Leaves that hold by the band. */
  readonly banded: Array<Watch & { readonly narrow: Narrow }>
  /** Leaves that look at every reading. */
  readonly watches: Array<Watch>
  /** Leaves that wait for anomalies of it. */
  readonly anomalies: Array<{ readonly instance: Instance; readonly update: AnomalyUpdate }>
}

/** Nobody listened then, epoch milliseconds. */
export interface Deafness {
  readonly from: number
  readonly until: number
}

/** A device as an originator knows it. */
export interface Member {
  facts: DeviceFacts | undefined
  /** When it was introduced. */
  since: number
  /** Of its last reading, whatever the datastream. */
  lastAt: number
  lastSequence: number
  readonly streams: Map<string, Stream>
  /** Leaves to look at with every reading, or with every change of the device. */
  readonly offline: Array<Watch>
  readonly attributes: Array<Watch>
}

export interface Watch {
  readonly instance: Instance
  readonly update: Update
}

/** One rule at one originator. */
export interface Instance {
  readonly rule: CompiledRule
  readonly originator: Originator
  /** By the rule's order. */
  readonly members: ReadonlyArray<Member>
  readonly streams: ReadonlyArray<Stream>
  /** The originator's. */
  readonly slots: Float64Array
  /** Where its numbers begin in them. */
  readonly base: number
  /** When something happens without any fact; Infinity: never. May be too early, never too late. */
  due: number
  /** A leaf has changed and the rule is to be looked at. */
  stale: boolean
}

export interface Originator {
  readonly id: string
  readonly members: Map<string, Member>
  readonly instances: Array<Instance>
  readonly slots: Float64Array
  /** Rules that do not apply now and have raised something at the clock's time: what names that, so that they do not give the name again. */
  readonly parked: Map<string, StoredRule>
  /** The state's. */
  readonly deaf: ReadonlyArray<Deafness>
  /** Latest event time: nothing is decided about earlier moments any more. */
  clock: number
  /** The earliest of its instances'. */
  due: number
  /** What is going on at this moment came from here; goes into episodes. */
  causeAt: number
  causeSequence: number
  /** What was due by then, that moment included, has been decided. Readings alone decide only what was due before them. */
  closed: number
  /** Since `takeChanged`: 0 nothing, 1 last values only, 2 what rules conclude. */
  changed: 0 | 1 | 2
}

/** Where a device's facts go: its own originator and those of the sets it is in. */
export interface Route {
  readonly originator: Originator
  readonly member: Member
}

/** NaN as null. */
export type Stored = number | null

export interface StoredRule {
  readonly version: number
  /** Whom it looks at. */
  readonly devices: ReadonlyArray<string>
  /** The alert that is up. */
  readonly active: { readonly severity: RuleSeverity; readonly level: string } | null
  readonly head: ReadonlyArray<Stored>
  readonly nodes: ReadonlyArray<readonly [signature: string, ...numbers: ReadonlyArray<Stored>]>
}

export interface StoredMember {
  readonly since: Stored
  /** Time and sequence. */
  readonly last: readonly [Stored, Stored]
  /** Time, sequence, value; time and value of the one before. */
  readonly streams: Readonly<Record<string, readonly [Stored, Stored, Stored, Stored, Stored]>>
}

/** Plain JSON; goes into one column. */
export interface StoredOriginator {
  readonly id: string
  readonly clock: Stored
  readonly closed: Stored
  readonly members: Readonly<Record<string, StoredMember>>
  readonly rules: Readonly<Record<string, StoredRule>>
}

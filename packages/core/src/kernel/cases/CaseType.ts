/**
 * A case type: the schema, states, transitions, deadlines and visibility of one kind of matter. The definition is plain, serialisable,
 * versioned data, so it can live in a file, a database or a package; code adds guards and `apply` effects to it by name.
 */
import * as Effect from "effect/Effect"
import { parseDuration } from "../deadlines/calendar.ts"
import type { Permission } from "../policy/decide.ts"
import type { StoredEvent } from "../events/Event.ts"
import type { CaseRecord } from "./model.ts"
import type { Erased } from "../Erased.ts"

/** Text by language, BCP 47; `en` is always there. */
export type LocalizedText = Readonly<Record<string, string>> & { readonly en: string }

/** Who sees a field: everybody, the owner and staff, or staff alone. */
export type Visibility = "public" | "owner" | "staff"

/** A JSON Schema (2020-12) of one field, with two words of ours. */
export interface FieldSchema {
  readonly type: "string" | "integer" | "number" | "boolean" | "array" | "object"
  readonly title?: string
  readonly description?: string
  readonly enum?: ReadonlyArray<string | number>
  readonly format?: "date-time" | "date" | "uuid"
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: FieldSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, FieldSchema>>
  readonly required?: ReadonlyArray<string>
  /** Default `owner`. */
  readonly visibility?: Visibility
  /** Personal data: kept out of events' payloads, erasable. Default false. */
  readonly personal?: boolean
}

export interface ObjectSchema {
  readonly properties: Readonly<Record<string, FieldSchema>>
  readonly required?: ReadonlyArray<string>
}

export interface StateDefinition {
  readonly title: LocalizedText
  /** What logic may ask: still going, ended, or ended well (`fixed`, as Open311 and FixMyStreet call it). */
  readonly phase: "open" | "closed" | "fixed"
}

export interface TransitionDefinition {
  readonly title: LocalizedText
  readonly from: ReadonlyArray<string>
  /** Target states; with more than one, `apply` says which. */
  readonly to: ReadonlyArray<string>
  /** Default `<case type>.<transition>`. */
  readonly permission?: Permission
  /** Only the engine itself, a job or another case may take it. Default false. */
  readonly internal?: boolean
  readonly input?: ObjectSchema
  /** Names of guards that ask about the case alone, not about the input: where one does not agree, the transition is not offered either. */
  readonly when?: ReadonlyArray<string>
  /** Names of guards, all of which must agree. */
  readonly guards?: ReadonlyArray<string>
  /** Name of the effect that runs inside the transaction. */
  readonly apply?: string
  /** Data fields that take the input's value of the same name. */
  readonly sets?: ReadonlyArray<string>
  /** Last part of the event's type: `<case type>.<event>`. Default: the transition's name. */
  readonly event?: string
}

export interface DeadlineDefinition {
  /** Runs while the case is in one of these states. */
  readonly states: ReadonlyArray<string>
  /** ISO 8601 duration of days and time, as `P2D` or `PT4H`. */
  readonly within: string
  /** Count only the tenant's working hours; `P1D` is then one working day. Default false. */
  readonly working?: boolean
  /** Stops while the case is in one of these states and goes on afterwards. */
  readonly pausedIn?: ReadonlyArray<string>
  /** Take a transition, tell a role, or hand the case to one. */
  readonly then:
    | { readonly transition: string; readonly input?: Readonly<Record<string, unknown>> }
    | { readonly notify: ReadonlyArray<string> }
    | { readonly escalate: string }
}

export interface CaseTypeDefinition {
  /** `[a-z][a-z0-9-]*`; the last part of its address. */
  readonly id: string
  /** Counts up with every change. */
  readonly version: number
  readonly title: LocalizedText
  readonly data: ObjectSchema
  readonly place: "none" | "optional" | "required"
  /** Who sees the exact place; the territory is for whoever sees the case. Default `owner`. */
  readonly placeVisibility?: Visibility
  /** Whether visitors without an account may create one. */
  readonly anonymous: boolean
  /** Whether anybody may list its cases, seeing public fields only. */
  readonly public: boolean
  readonly attachments: { readonly min: number; readonly max: number }
  /** False: only the engine or another case creates them. */
  readonly creatable: boolean
  /** Names of guards, all of which must agree before somebody creates one. They see the case as it would be, and the transition `created`. */
  readonly guards?: ReadonlyArray<string>
  readonly initial: string
  readonly states: Readonly<Record<string, StateDefinition>>
  readonly transitions: Readonly<Record<string, TransitionDefinition>>
  readonly deadlines?: Readonly<Record<string, DeadlineDefinition>>
  /** Titles of what else happens to its cases, by the type of the event; for timelines. */
  readonly events?: Readonly<Record<string, LocalizedText>>
  /** Data fields that the text search reads. */
  readonly search?: ReadonlyArray<string>
  /** When two cases are probably one matter. */
  readonly duplicates?: {
    /** Metres. */
    readonly within: number
    /** Seconds between what happened. */
    readonly during: number
    /** The date-time field that says when it happened. Default: when the case was made. */
    readonly at?: string
    /** Data fields that must be equal where both have them. */
    readonly same?: ReadonlyArray<string>
  }
  /** States of earlier versions that are gone: old name → new name. */
  readonly movedStates?: Readonly<Record<string, string>>
}

export interface TransitionContext<Input = Readonly<Record<string, unknown>>> {
  readonly case: CaseRecord
  readonly transition: string
  readonly input: Input
}

/** What an `apply` may change beside its own SQL. */
export interface ApplyResult {
  /** Merged into the case's data. */
  readonly data?: Readonly<Record<string, unknown>>
  /** One of the transition's targets. Default: the first. */
  readonly to?: string
  /** Added to the event's payload. */
  readonly event?: Readonly<Record<string, unknown>>
}

export type Guard<R = Erased> = (context: TransitionContext<Erased>) => Effect.Effect<void, Erased, R>
export type Apply<R = Erased> = (context: TransitionContext<Erased>) => Effect.Effect<ApplyResult | void, Erased, R>
/** An `apply` of many cases that take one transition together: a result for each, in their order. */
export type ApplyTogether<R = Erased> = (
  contexts: ReadonlyArray<TransitionContext<Erased>>
) => Effect.Effect<ReadonlyArray<ApplyResult>, Erased, R>

/** What people are told of. */
export interface Notice {
  /** Ids of principals. */
  readonly people: ReadonlyArray<string>
  /** `{title}` of the type, `{reference}` of the case and the names in `values` are filled in. */
  readonly text: LocalizedText
  readonly values?: Readonly<Record<string, string>>
}

/** Whom an event is told, read when it is: undefined where it is no news any more. Runs in the tenant's transaction. */
export type NoticeOf<R = Erased> = (event: StoredEvent) => Effect.Effect<Notice | undefined, Erased, R>

export interface CaseType {
  readonly definition: CaseTypeDefinition
  readonly guards: Readonly<Record<string, Guard>>
  readonly applies: Readonly<Record<string, Apply>>
  /** Those of `applies` that many cases can take in the same statements. */
  readonly together: Readonly<Record<string, ApplyTogether>>
  /** Runs inside the transaction that creates a case. */
  readonly created?: (record: CaseRecord) => Effect.Effect<void, Erased, Erased>
  /** By the type of the event: of what people are told beside the case's creation and its changes of state. */
  readonly notices: Readonly<Record<string, NoticeOf>>
}

const fail = (id: string, message: string): never => {
  throw new Error(`Case type ${id}: ${message}`)
}

const alone = ([name, apply]: readonly [string, ApplyTogether]): readonly [string, Apply] => [
  name,
  (context) => Effect.map(apply([context]), ([result]) => result)
]

/** Checks a definition as a whole; throws with the first contradiction, for it is a mistake of the deployment, not of a request. */
export const defineCaseType = (options: {
  readonly definition: CaseTypeDefinition
  readonly guards?: Readonly<Record<string, Guard>>
  readonly applies?: Readonly<Record<string, Apply>>
  /** Each is an `apply` of one case too. */
  readonly together?: Readonly<Record<string, ApplyTogether>>
  readonly created?: CaseType["created"]
  readonly notices?: CaseType["notices"]
}): CaseType => {
  const { definition, guards = {}, notices = {}, together = {} } = options
  const applies = { ...options.applies, ...Object.fromEntries(Object.entries(together).map(alone)) }
  const { id, states } = definition
  if (!/^[a-z][a-z0-9-]{0,59}$/.test(id)) fail(id, "the id must be lower case letters, digits and dashes")
  if (!Number.isInteger(definition.version) || definition.version < 1) fail(id, "the version counts from 1")
  if (states[definition.initial] === undefined)
    fail(id, `the initial state ${definition.initial} is not among the states`)
  for (const guard of definition.guards ?? [])
    if (guards[guard] === undefined) fail(id, `creating one names the unknown guard ${guard}`)
  for (const [name, transition] of Object.entries(definition.transitions)) {
    for (const state of [...transition.from, ...transition.to])
      if (states[state] === undefined) fail(id, `transition ${name} names the unknown state ${state}`)
    if (transition.to.length === 0) fail(id, `transition ${name} leads nowhere`)
    if (transition.to.length > 1 && transition.apply === undefined)
      fail(id, `transition ${name} has several targets and no apply to choose`)
    for (const guard of [...(transition.when ?? []), ...(transition.guards ?? [])])
      if (guards[guard] === undefined) fail(id, `transition ${name} names the unknown guard ${guard}`)
    if (transition.apply !== undefined && applies[transition.apply] === undefined)
      fail(id, `transition ${name} names the unknown apply ${transition.apply}`)
    for (const field of transition.sets ?? [])
      if (definition.data.properties[field] === undefined || transition.input?.properties[field] === undefined)
        fail(id, `transition ${name} sets ${field}, which is not both an input and a data field`)
  }
  for (const [name, deadline] of Object.entries(definition.deadlines ?? {})) {
    for (const state of [...deadline.states, ...(deadline.pausedIn ?? [])])
      if (states[state] === undefined) fail(id, `deadline ${name} names the unknown state ${state}`)
    try {
      parseDuration(deadline.within)
    } catch (error) {
      fail(id, `deadline ${name}: ${(error as Error).message}`)
    }
    if ("transition" in deadline.then && definition.transitions[deadline.then.transition] === undefined)
      fail(id, `deadline ${name} takes the unknown transition ${deadline.then.transition}`)
  }
  const { at, same = [] } = definition.duplicates ?? {}
  for (const field of [...(definition.search ?? []), ...same, ...(at === undefined ? [] : [at])])
    if (definition.data.properties[field] === undefined)
      fail(id, `search or duplicates name the unknown field ${field}`)
  return {
    definition,
    guards,
    applies,
    together,
    notices,
    ...(options.created === undefined ? {} : { created: options.created })
  }
}

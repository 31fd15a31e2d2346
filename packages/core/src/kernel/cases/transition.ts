/** The only way a case changes state: right, state, input, guards, apply, new state, deadlines, event; one transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { enterState } from "../deadlines/deadlines.ts"
import { appendEvent } from "../events/append.ts"
import { demand, may } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { demandNoForeignClaim } from "./assignment.ts"
import type { ApplyResult, CaseTypeDefinition, TransitionContext } from "./CaseType.ts"
import { searchText } from "./create.ts"
import { type CaseRecord, NotFound, Refused, VersionConflict, WrongState } from "./model.ts"
import { loadCase } from "./record.ts"
import { CaseTypes, type CompiledCaseType } from "./registry.ts"
import { demandVisible, subjectOf } from "./view.ts"

export interface TransitionRequest {
  readonly caseId: string
  readonly transition: string
  readonly input?: unknown
  /** From `If-Match`: the version the decision was made on. */
  readonly ifVersion?: number | undefined
}

/** Transitions that lead on from the case's state, whoever may take them. */
export const transitionsFrom = (definition: CaseTypeDefinition, state: string): ReadonlyArray<string> =>
  Object.entries(definition.transitions)
    .filter(([, transition]) => transition.from.includes(state) && transition.internal !== true)
    .map(([name]) => name)

const isRefused = (error: unknown) => error instanceof Refused

/** What is asked of a case that is locked: right, state, claim, input, guards. Nothing is written. */
export const admitted = Effect.fnUntraced(function* (
  record: CaseRecord,
  type: CompiledCaseType,
  request: Omit<TransitionRequest, "caseId">
) {
  const actor = yield* Actor
  const { definition } = type
  yield* demandVisible(record, definition)
  const transition = Object.hasOwn(definition.transitions, request.transition)
    ? definition.transitions[request.transition]
    : undefined
  if (transition === undefined || (transition.internal === true && actor.kind !== "system")) {
    return yield* new NotFound({ what: `transition of ${record.type}`, id: request.transition })
  }
  yield* demand(transition.permission ?? `${record.type}.${request.transition}`, subjectOf(record))
  if (request.ifVersion !== undefined && request.ifVersion !== record.version) {
    return yield* new VersionConflict({ expected: request.ifVersion, found: record.version })
  }
  if (!transition.from.includes(record.state)) {
    return yield* new WrongState({
      transition: request.transition,
      state: record.state,
      possible: transitionsFrom(definition, record.state)
    })
  }
  yield* demandNoForeignClaim(record)
  const input = yield* type.compiled[request.transition]!.decode(request.input ?? {})
  const context: TransitionContext = { case: record, transition: request.transition, input }
  for (const guard of [...(transition.when ?? []), ...(transition.guards ?? [])]) yield* type.guards[guard]!(context)
  return context
})

/** The case after its step. */
export const stepped = (
  { case: record, input, transition: name }: TransitionContext,
  { definition }: CompiledCaseType,
  applied: ApplyResult,
  updatedAt: Date
): Effect.Effect<CaseRecord> => {
  const transition = definition.transitions[name]!
  const to = applied.to ?? transition.to[0]!
  if (!transition.to.includes(to))
    return Effect.die(new Error(`${record.type}.${name}: apply chose ${to}, which is not a target`))
  const set = Object.fromEntries(
    (transition.sets ?? []).filter((field) => input[field] !== undefined).map((field) => [field, input[field]])
  )
  return Effect.succeed({
    ...record,
    state: to,
    phase: definition.states[to]!.phase,
    data: { ...record.data, ...set, ...applied.data },
    version: record.version + 1,
    typeVersion: definition.version,
    updatedAt
  })
}

/** What follows from a step that is written: deadlines, the event. */
export const settled = Effect.fnUntraced(function* (
  { case: { id, state, type }, input, transition }: TransitionContext,
  { compiled, definition }: CompiledCaseType,
  applied: ApplyResult,
  changed: CaseRecord
) {
  const actor = yield* Actor
  yield* enterState(changed, definition, state, changed.state)
  const step = { type, transition, from: state, to: changed.state, version: changed.version }
  yield* appendEvent(
    compiled[transition]!.event,
    { ...input, ...applied.event, ...step },
    { caseId: id, actorId: actor.id }
  )
})

export const transitionCase = Effect.fn("transitionCase")(function* (request: TransitionRequest) {
  const { sql, tenantId } = yield* TenantTx
  const record = yield* loadCase(request.caseId, { lock: true })
  const type = yield* (yield* CaseTypes).get(record.type)
  const context = yield* admitted(record, type, request)
  const { apply } = type.definition.transitions[request.transition]!
  const applied: ApplyResult = (apply === undefined ? undefined : yield* type.applies[apply]!(context)) ?? {}
  const at = new Date(yield* Clock.currentTimeMillis)
  const changed = yield* stepped(context, type, applied, at)
  const { data, phase, state, typeVersion, version } = changed
  yield* sql`
    update mahalla.civic_case
    set state = ${state}, phase = ${phase}, data = ${JSON.stringify(data)}::text::jsonb, version = ${version}, updated_at = ${at},
        search = to_tsvector('simple', ${searchText(type.definition, data, record.reference)}), type_version = ${typeVersion}
    where tenant_id = ${tenantId} and id = ${record.id}`
  yield* settled(context, type, applied, changed)
  return changed
})

/** What the actor could do with a case now, for buttons. */
export const possibleTransitions = Effect.fnUntraced(function* (record: CaseRecord, type: CompiledCaseType) {
  const names: Array<string> = []
  for (const name of transitionsFrom(type.definition, record.state)) {
    const transition = type.definition.transitions[name]!
    const decision = yield* may(transition.permission ?? `${record.type}.${name}`, subjectOf(record))
    if (!decision.allowed) continue
    const context = { case: record, transition: name, input: {} }
    const asked = Effect.forEach(transition.when ?? [], (guard) => type.guards[guard]!(context), { discard: true })
    const refused = yield* Effect.as(asked, false).pipe(Effect.catchIf(isRefused, () => Effect.succeed(true)))
    if (!refused) names.push(name)
  }
  return names
})

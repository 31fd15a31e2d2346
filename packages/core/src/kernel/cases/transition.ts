/** The only way a case changes state: right, state, input, guards, apply, new state, deadlines, event; one transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { enterState } from "../deadlines/deadlines.ts"
import { appendEvent } from "../events/append.ts"
import { demand, may } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { demandNoForeignClaim } from "./assignment.ts"
import type { ApplyResult, CaseTypeDefinition } from "./CaseType.ts"
import { searchText } from "./create.ts"
import { type CaseRecord, NotFound, VersionConflict, WrongState } from "./model.ts"
import { loadCase } from "./record.ts"
import { CaseTypes } from "./registry.ts"
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

export const transitionCase = Effect.fn("transitionCase")(function* (request: TransitionRequest) {
  const actor = yield* Actor
  const { sql, tenantId } = yield* TenantTx
  const record = yield* loadCase(request.caseId, { lock: true })
  const type = yield* (yield* CaseTypes).get(record.type)
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
  const compiled = type.compiled[request.transition]!
  const input = yield* compiled.decode(request.input ?? {})
  const context = { case: record, transition: request.transition, input }
  for (const guard of transition.guards ?? []) yield* type.guards[guard]!(context)
  const applied: ApplyResult =
    (transition.apply === undefined ? undefined : yield* type.applies[transition.apply]!(context)) ?? {}

  const to = applied.to ?? transition.to[0]!
  if (!transition.to.includes(to))
    return yield* Effect.die(
      new Error(`${record.type}.${request.transition}: apply chose ${to}, which is not a target`)
    )
  const set = Object.fromEntries(
    (transition.sets ?? []).filter((field) => input[field] !== undefined).map((field) => [field, input[field]])
  )
  const data = { ...record.data, ...set, ...applied.data }
  const at = new Date(yield* Clock.currentTimeMillis)
  const phase = definition.states[to]!.phase
  yield* sql`
    update mahalla.civic_case
    set state = ${to}, phase = ${phase}, data = ${JSON.stringify(data)}::text::jsonb, version = version + 1, updated_at = ${at},
        search = to_tsvector('simple', ${searchText(definition, data, record.reference)}), type_version = ${definition.version}
    where tenant_id = ${tenantId} and id = ${record.id}`
  const changed: CaseRecord = {
    ...record,
    state: to,
    phase,
    data,
    version: record.version + 1,
    typeVersion: definition.version,
    updatedAt: at
  }
  yield* enterState(changed, definition, record.state, to)
  yield* appendEvent(
    compiled.event,
    {
      ...input,
      ...applied.event,
      type: record.type,
      transition: request.transition,
      from: record.state,
      to,
      version: changed.version
    },
    { caseId: record.id, actorId: actor.id }
  )
  return changed
})

/** What the actor could do with a case now, for buttons. */
export const possibleTransitions = Effect.fnUntraced(function* (record: CaseRecord, definition: CaseTypeDefinition) {
  const names: Array<string> = []
  for (const name of transitionsFrom(definition, record.state)) {
    const decision = yield* may(definition.transitions[name]!.permission ?? `${record.type}.${name}`, subjectOf(record))
    if (decision.allowed) names.push(name)
  }
  return names
})

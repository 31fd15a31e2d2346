/**
 * Many cases of a type that take the same transition in one transaction, in the same statements: a storm of alerts that end, a page of them that
 * somebody acknowledges. Each is asked for itself and has its own event; one that is refused stops no other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TenantTx } from "../db/Database.ts"
import { sent } from "../db/pipelined.ts"
import type { Erased } from "../Erased.ts"
import type { ApplyResult, TransitionContext } from "./CaseType.ts"
import { searchText } from "./create.ts"
import { type CaseRecord, NotFound } from "./model.ts"
import { caseColumns, type CaseRow, recordOf } from "./record.ts"
import { CaseTypes, type CompiledCaseType } from "./registry.ts"
import { admitted, settled, stepped } from "./transition.ts"

export interface SharedTransition {
  readonly type: string
  readonly transition: string
  /** Each case once. */
  readonly cases: ReadonlyArray<{ readonly caseId: string; readonly input?: unknown }>
}

/** Locked in the order of their ids, whoever asks. */
const lockCases = Effect.fnUntraced(function* (type: string, ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<CaseRow>`
    select ${sql.literal(caseColumns)} from mahalla.civic_case c
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    where c.tenant_id = ${tenantId} and c.id = any (${ids}::uuid[]) and c.type = ${type} order by c.id for update of c`
  return new Map(rows.map((row) => [row.id, recordOf(row)]))
})

const applyTo = (type: CompiledCaseType, apply: string | undefined, contexts: ReadonlyArray<TransitionContext>) => {
  if (apply === undefined) return Effect.succeed(contexts.map((): ApplyResult => ({})))
  const together = type.together[apply]
  return together === undefined
    ? Effect.forEach(contexts, (context) => Effect.map(type.applies[apply]!(context), (result) => result ?? {}))
    : together(contexts)
}

const writeCases = Effect.fnUntraced(function* (type: CompiledCaseType, changed: ReadonlyArray<CaseRecord>, at: Date) {
  const { sql, tenantId } = yield* TenantTx
  const rows = changed.map(({ data, id, phase, reference, state, typeVersion, version }) => ({
    ...{ id, state, phase, data, version, type_version: typeVersion },
    text: searchText(type.definition, data, reference)
  }))
  yield* sent(sql`
    update mahalla.civic_case c
    set state = given.state, phase = given.phase, data = given.data, version = given.version, updated_at = ${at},
        search = to_tsvector('simple', given.text), type_version = given.type_version
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given
      (id uuid, state text, phase text, data jsonb, version integer, type_version integer, text text)
    where c.tenant_id = ${tenantId} and c.id = given.id`)
})

/** For each case, in their order: the case after the step, or why it was not taken, as `transitionCase` would have failed. */
export const transitionTogether = Effect.fn("transitionTogether")(function* (request: SharedTransition) {
  const { cases, transition } = request
  const type = yield* (yield* CaseTypes).get(request.type)
  const records = yield* lockCases(
    request.type,
    cases.map(({ caseId }) => caseId)
  )
  const asked: ReadonlyArray<Result.Result<TransitionContext, Erased>> = yield* Effect.forEach(
    cases,
    ({ caseId, input }) => {
      const record = records.get(caseId)
      return Effect.result(
        record === undefined
          ? Effect.fail(new NotFound({ what: request.type, id: caseId }))
          : admitted(record, type, { transition, input })
      )
    }
  )
  const contexts = asked.flatMap((one) => (Result.isSuccess(one) ? [one.success] : []))
  if (contexts.length === 0) return asked.map((one) => Result.map(one, ({ case: record }) => record))
  const applied = yield* applyTo(type, type.definition.transitions[transition]?.apply, contexts)
  const at = new Date(yield* Clock.currentTimeMillis)
  const changed = yield* Effect.forEach(contexts, (context, place) => stepped(context, type, applied[place]!, at))
  yield* writeCases(type, changed, at)
  yield* Effect.forEach(contexts, (context, place) => settled(context, type, applied[place]!, changed[place]!), {
    discard: true
  })
  const done = new Map(changed.map((record) => [record.id, record]))
  return asked.map((one) => Result.map(one, ({ case: { id } }) => done.get(id)!))
})

/** All of them or none: fails as the first that is refused. */
export const transitionAll = (request: SharedTransition) =>
  Effect.flatMap(transitionTogether(request), (results) =>
    Effect.forEach(results, Effect.fromResult, { discard: true })
  )

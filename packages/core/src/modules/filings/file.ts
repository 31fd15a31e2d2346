/** Handing a decision to an authority: in the transaction of the decision, under a number of ours. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { evidenceOf } from "./evidence.ts"
import { FilingAuthorities } from "./FilingAuthorities.ts"
import { type FilingBody, FilingQueued, type FilingRow } from "./model.ts"
import { bodyColumn, bodyOf } from "./sql.ts"

interface NewFiling {
  readonly caseId: string
  readonly kind: string
  readonly attempt: number
  readonly authority: string
  readonly body: FilingBody
}

/** Writes a filing into its authority's queue; undefined where one of its case and kind lives already. */
const openFiling = Effect.fnUntraced(function* ({ attempt, authority, body, caseId, kind }: NewFiling) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const id = yield* newId
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql`
    insert into mahalla.filing (tenant_id, id, case_id, kind, attempt, authority, body_sealed, state, next_at, created_at, changed_at)
    values (${tenantId}, ${id}, ${caseId}, ${kind}, ${attempt}, ${authority}, ${yield* bodyColumn.seal(id, JSON.stringify(body))}, 'queued',
            ${at}, ${at}, ${at})
    on conflict do nothing returning id`
  if (made.length === 0) return undefined
  yield* appendEvent(FilingQueued, { filingId: id, kind, authority, attempt }, { caseId, actorId: actor.id })
  return id
})

export interface DecisionToFile extends Omit<FilingBody, "evidence"> {
  readonly caseId: string
  /** One of the authorities' kinds, as `traffic-violation`. */
  readonly kind: string
  /** The case whose originals prove it. */
  readonly evidenceCaseId: string
}

/**
 * Files a decision with the first authority of the city that takes its kind, and says whether there is one. Without one, and where nothing
 * proves it, the decision is the city's own affair. Filing it again for the same case changes nothing.
 */
export const fileDecision = Effect.fn("filings.fileDecision")(function* (decision: DecisionToFile) {
  const authorities = yield* Effect.serviceOption(FilingAuthorities)
  const { caseId, evidenceCaseId, kind, ...body } = decision
  const [authority] = Option.isNone(authorities)
    ? []
    : [...authorities.value.all].flatMap(([name, { kinds }]) => (kinds.includes(kind) ? [name] : []))
  if (authority === undefined) return false
  const evidence = yield* evidenceOf(evidenceCaseId)
  if (evidence.length === 0) return false
  yield* openFiling({ caseId, kind, attempt: 1, authority, body: { ...body, evidence } })
  return true
})

/**
 * A refused filing handed in again, under a new number; gives that. Refused as `not-refused` for any other state, for of those nobody knows
 * that the authority has finally not taken them, and as `tried-again` when somebody was quicker.
 */
export const retryFiling = Effect.fn("filings.retry")(function* (filing: FilingRow) {
  if (filing.state !== "refused")
    return yield* new Refused({
      code: "not-refused",
      message: `The filing is ${filing.state}; only one that was finally refused is filed again.`
    })
  const id = yield* openFiling({ ...filing, attempt: filing.attempt + 1, body: yield* bodyOf(filing.id) })
  return (
    id ??
    (yield* new Refused({ code: "tried-again", message: "This was filed again already; look at the newer filing." }))
  )
})

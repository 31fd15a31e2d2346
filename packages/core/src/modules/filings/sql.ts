/** Filings as rows: read, locked, moved from state to state. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { PlatformTx, TenantTx } from "../../kernel/db/Database.ts"
import { mask } from "../../kernel/mask.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { type FilingBody, type FilingRow, type FilingState, nextStates, type Verdict } from "./model.ts"

const columns = `id, case_id as "caseId", kind, attempt::int as attempt, authority, evidence_version as "evidenceVersion", state, verdict, fine, currency,
  reference, decided_at as "decidedAt", by_hand as "byHand", detail, tries, next_at as "nextAt", created_at as "createdAt", changed_at as "changedAt"`

export const bodyColumn = sealedColumn("filing", "body")

export const loadFiling = Effect.fnUntraced(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<FilingRow>`
    select ${sql.literal(columns)} from mahalla.filing where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  return rows[0]
})

/** What is filed under a number. */
export const bodyOf = Effect.fnUntraced(function* (id: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ sealed: string }>`
    select body_sealed as sealed from mahalla.filing where tenant_id = ${tenantId} and id = ${id}`
  if (row === undefined) return yield* Effect.die(new Error(`Filing ${id} has no row`))
  return JSON.parse(yield* bodyColumn.open(id, row.sealed)) as FilingBody
})

/** Newest first. Indexes: the primary key, `filing_by_state`, the key of cases. */
export const listFilings = Effect.fnUntraced(function* (filter: {
  readonly state: string | null
  readonly authority: string | null
  readonly caseId: string | null
  readonly cursor: string | null
  readonly limit: number
}) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<FilingRow>`
    select ${sql.literal(columns)} from mahalla.filing
    where tenant_id = ${tenantId} and (${filter.state}::text is null or state = ${filter.state})
      and (${filter.authority}::text is null or authority = ${filter.authority})
      and (${filter.caseId}::uuid is null or case_id = ${filter.caseId}::uuid) and (${filter.cursor}::uuid is null or id < ${filter.cursor}::uuid)
    order by id desc limit ${filter.limit}`
})

/** How many of the city's filings stand where at each authority, and since when the oldest that waits. */
export const countFilings = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<{ authority: string; state: FilingState; amount: number; oldest: Date }>`
    select authority, state, count(*)::int as amount, min(changed_at) as oldest from mahalla.filing
    where tenant_id = ${tenantId} and state in ('queued', 'submitting', 'unknown', 'filed', 'in-review') group by authority, state`
})

export interface FilingChange {
  readonly detail?: string | null
  readonly reference?: string | null
  readonly decision?: {
    readonly verdict: Verdict
    readonly fine: { readonly amount: bigint; readonly currency: string } | null
    readonly at: Date
    readonly byHand: boolean
  }
  /** Epoch milliseconds; null: nothing is to be done with it any more. */
  readonly nextAt: number | null
  readonly tries: number
}

/** Moves a locked filing on, or leaves it where it is with a new date; a step that the state machine does not know is a defect. */
export const moveFiling = Effect.fnUntraced(function* (filing: FilingRow, to: FilingState, change: FilingChange) {
  if (to !== filing.state && !nextStates[filing.state].includes(to))
    return yield* Effect.die(new Error(`Filing ${filing.id} cannot go from ${filing.state} to ${to}`))
  const { sql, tenantId } = yield* TenantTx
  const { decision, detail, nextAt, reference, tries } = change
  const now = new Date(yield* Clock.currentTimeMillis)
  const changedAt = to === filing.state && decision === undefined ? filing.changedAt : now
  const decided = decision ?? {
    verdict: filing.verdict,
    fine: filing.fine === null ? null : { amount: filing.fine, currency: filing.currency! },
    at: filing.decidedAt,
    byHand: filing.byHand
  }
  yield* sql`
    update mahalla.filing
    set state = ${to}, changed_at = ${changedAt}, detail = ${detail == null ? null : mask(detail).slice(0, 1000)},
        reference = coalesce(${reference?.slice(0, 200) ?? null}, reference), verdict = ${decided.verdict},
        fine = ${decided.fine?.amount ?? null}::bigint, currency = ${decided.fine?.currency ?? null}, decided_at = ${decided.at},
        by_hand = ${decided.byHand}, tries = ${tries}, next_at = ${nextAt === null ? null : new Date(nextAt)}
    where tenant_id = ${tenantId} and id = ${filing.id}`
})

export interface DueFiling {
  readonly tenantId: string
  readonly id: string
  readonly state: FilingState
}

/** The filing of an authority that has waited longest, of any tenant; `asked`: of those that were sent once. Index `filing_due`. */
export const nextDue = Effect.fnUntraced(function* (authority: string, asked = false) {
  const { sql } = yield* PlatformTx
  const now = new Date(yield* Clock.currentTimeMillis)
  const rows = yield* sql<DueFiling>`
    select tenant_id as "tenantId", id, state from mahalla.filing
    where authority = ${authority} and next_at <= ${now} and not (${asked} and state = 'queued') order by next_at, id limit 1`
  return rows[0]
})

/** The tenant whose number this is. Index `filing_by_number`. */
export const tenantOfNumber = Effect.fnUntraced(function* (authority: string, id: string) {
  const { sql } = yield* PlatformTx
  const rows = yield* sql<{ tenantId: string }>`
    select tenant_id as "tenantId" from mahalla.filing where id = ${id} and authority = ${authority}`
  return rows[0]?.tenantId
})

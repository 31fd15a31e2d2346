/** Payouts as rows: read, locked, moved from state to state. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import { mask } from "../../kernel/mask.ts"
import { sealedColumn } from "../../kernel/personal/Vault.ts"
import { nextStates, type Payout, type PayoutState } from "./model.ts"

const columns = `id, case_id as "caseId", rule, attempt::int as attempt, principal_id as "principalId", decided_by as "decidedBy", approved_by as "approvedBy", rail, payee_kind as "payeeKind", payee, payee_sealed, amount, currency, state,
  pending_id as "pendingId", reference, detail, created_at as "createdAt", changed_at as "changedAt"`

/** Where a payout goes: a phone, or a rail's token. */
export const payeeColumn = sealedColumn("payout", "payee")

interface PayoutRow extends Payout {
  readonly payee_sealed: string | null
}

const payoutOf = ({ payee_sealed, ...row }: PayoutRow) =>
  payee_sealed === null
    ? Effect.succeed<Payout>(row)
    : Effect.map(payeeColumn.open(row.id, payee_sealed), (payee): Payout => ({ ...row, payee }))

export const loadPayout = Effect.fnUntraced(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PayoutRow>`
    select ${sql.literal(columns)} from mahalla.payout where tenant_id = ${tenantId} and id = ${id} ${sql.literal(lock ? "for update" : "")}`
  return rows[0] === undefined ? undefined : yield* payoutOf(rows[0])
})

/** Where the person's last payout went that was sent, beside this one. Index `payout_by_principal`. */
export const lastPayee = Effect.fnUntraced(function* ({ id, principalId }: Payout) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PayoutRow>`
    select ${sql.literal(columns)} from mahalla.payout
    where tenant_id = ${tenantId} and principal_id = ${principalId} and id <> ${id} and state in ('submitting', 'unknown', 'succeeded')
      and (payee <> '' or payee_sealed is not null)
    order by id desc limit 1`
  return rows[0] === undefined ? undefined : yield* payoutOf(rows[0])
})

/** All of one person, oldest first. Index `payout_by_principal`. */
export const payoutsOf = Effect.fnUntraced(function* (principalId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PayoutRow>`
    select ${sql.literal(columns)} from mahalla.payout where tenant_id = ${tenantId} and principal_id = ${principalId} order by id`
  return yield* Effect.forEach(rows, payoutOf)
})

/** Newest first; of one person, or of all. */
export const listPayouts = Effect.fnUntraced(function* (filter: {
  readonly principalId: string | null
  readonly state: string | null
  readonly cursor: string | null
  readonly limit: number
}) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<PayoutRow>`
    select ${sql.literal(columns)} from mahalla.payout
    where tenant_id = ${tenantId} and (${filter.principalId}::uuid is null or principal_id = ${filter.principalId}::uuid)
      and (${filter.state}::text is null or state = ${filter.state}) and (${filter.cursor}::uuid is null or id < ${filter.cursor}::uuid)
    order by id desc limit ${filter.limit}`
  return yield* Effect.forEach(rows, payoutOf)
})

/** Moves a locked payout on; a step that the state machine does not know is a defect. */
export const movePayout = Effect.fnUntraced(function* (
  payout: Payout,
  to: PayoutState,
  change: {
    readonly detail?: string | null
    readonly reference?: string
    readonly pendingId?: string
    readonly approvedBy?: string
  } = {}
) {
  if (!nextStates[payout.state].includes(to))
    return yield* Effect.die(new Error(`Payout ${payout.id} cannot go from ${payout.state} to ${to}`))
  const { sql, tenantId } = yield* TenantTx
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.payout
    set state = ${to}, changed_at = ${at}, detail = ${change.detail == null ? null : mask(change.detail)}, reference = coalesce(${change.reference ?? null}, reference),
        pending_id = coalesce(${change.pendingId ?? null}::uuid, pending_id), approved_by = coalesce(${change.approvedBy ?? null}::uuid, approved_by)
    where tenant_id = ${tenantId} and id = ${payout.id}`
})

/** What went through an account: its transfers in their order with the balance after each, and corrections, which are transfers like others. */
import * as Effect from "effect/Effect"
import { NotFound, Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { tenantSettings } from "../../kernel/tenancy/settings.ts"
import { accountOf, post } from "./ledger.ts"
import { type Account, type AccountKind, LedgerCorrected, type TransferKind } from "./model.ts"

export interface Entry {
  readonly id: string
  readonly kind: TransferKind
  readonly memo: string
  readonly payoutId: string | null
  /** Kind and name of the account on the other side. */
  readonly other: string
  /** What it did to the balance; nothing for a reservation. */
  readonly amount: bigint
  /** What it did to what is set aside. */
  readonly reserved: bigint
  readonly at: Date
}

export interface Statement {
  readonly account: Account
  /** Balance before the first entry. */
  readonly opening: bigint
  readonly items: ReadonlyArray<Entry & { readonly balance: bigint }>
  readonly more: boolean
}

interface Span {
  readonly from: Date
  readonly to: Date
  /** Id of the last entry that was seen. */
  readonly cursor?: string | undefined
  readonly limit: number
}

/** Oldest first. Indexes: transfer_by_debit, transfer_by_credit. */
export const statementOf = Effect.fn("payouts.statement")(function* (accountId: string, span: Span) {
  const { sql, tenantId } = yield* TenantTx
  const { cursor = null, from, limit, to } = span
  const [account] = yield* sql<Account>`
    select id, kind, name, currency, overdraft, balance, reserved from mahalla.account where tenant_id = ${tenantId} and id = ${accountId}`
  if (account === undefined) return yield* new NotFound({ what: "account", id: accountId })
  const [before] = yield* sql<{ balance: bigint }>`
    select coalesce(sum(amount), 0)::bigint as balance from (
      select -amount as amount from mahalla.ledger_transfer
      where tenant_id = ${tenantId} and debit_id = ${accountId} and kind in ('direct', 'post')
        and (created_at < ${from} or (created_at < ${to} and id <= ${cursor}::uuid))
      union all
      select amount from mahalla.ledger_transfer
      where tenant_id = ${tenantId} and credit_id = ${accountId} and kind in ('direct', 'post')
        and (created_at < ${from} or (created_at < ${to} and id <= ${cursor}::uuid))
    ) legs`
  const rows = yield* sql<Entry>`
    select t.id, t.kind, t.memo, t.payout_id as "payoutId", t.created_at as at,
      a.kind || case when a.name = '' then '' else ' ' || a.name end as other,
      case when t.kind not in ('direct', 'post') then 0 when t.debit_id = ${accountId} then -t.amount else t.amount end::bigint as amount,
      case when t.credit_id = ${accountId} or t.kind = 'direct' then 0 when t.kind = 'reserve' then t.amount else -t.amount end::bigint as reserved
    from mahalla.ledger_transfer t
    join mahalla.account a on a.tenant_id = t.tenant_id and a.id = case when t.debit_id = ${accountId} then t.credit_id else t.debit_id end
    where t.tenant_id = ${tenantId} and (t.debit_id = ${accountId} or t.credit_id = ${accountId})
      and t.created_at >= ${from} and t.created_at < ${to} and (${cursor}::uuid is null or t.id > ${cursor}::uuid)
    order by t.id limit ${limit + 1}`
  const opening = before!.balance
  let balance = opening
  const items = rows.slice(0, limit).map((entry) => ({ ...entry, balance: (balance += entry.amount) }))
  return { account, opening, items, more: rows.length > limit } satisfies Statement
})

export interface Correction {
  readonly debit: { readonly kind: AccountKind; readonly name?: string | undefined }
  readonly credit: { readonly kind: AccountKind; readonly name?: string | undefined }
  readonly amount: bigint
  readonly memo: string
}

/** Moves money by a person's decision: a mistake is never taken out of the books. Only between accounts that are there. */
export const correctLedger = Effect.fn("payouts.correct")(function* (correction: Correction) {
  const { sql, tenantId } = yield* TenantTx
  const { id: actorId } = yield* Actor
  const { currency } = yield* tenantSettings
  const { amount, credit, debit, memo } = correction
  for (const { kind, name = "" } of [debit, credit]) {
    const known = yield* sql`
      select from mahalla.account where tenant_id = ${tenantId} and kind = ${kind} and name = ${name} and currency = ${currency}`
    if (known.length === 0)
      return yield* new Refused({
        code: "no-such-account",
        message: `There is no account ${kind} ${name} in ${currency}.`
      })
  }
  const [from, to] = [
    yield* accountOf(debit.kind, currency, debit.name),
    yield* accountOf(credit.kind, currency, credit.name)
  ]
  if (from === to) return yield* new Refused({ code: "same-account", message: "A correction is between two accounts." })
  const id = yield* post({ debit: from, credit: to, amount, currency, memo: `correction: ${memo}` })
  yield* appendEvent(LedgerCorrected, { transferId: id, amount: String(amount), currency, memo }, { actorId })
  return id
})

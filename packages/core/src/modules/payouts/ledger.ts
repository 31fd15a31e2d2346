/**
 * The double-entry ledger. Every function runs in the caller's tenant transaction, so money moves together with the decision that moves it,
 * or not at all. What it refuses leaves the transaction usable; the constraints of its tables are the second wall.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { Refused } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { newId } from "../../kernel/ids.ts"
import type { Account, AccountKind, TransferKind } from "./model.ts"

/** Ten billion units of a currency with hundredths: far from the end of `bigint` columns, also in sums. */
const maxAmount = 1_000_000_000_000_000n

/** Id of the tenant's account of this kind, currency and name (of `clearing` and `fees` the rail); opened when it is missing. */
export const accountOf = Effect.fnUntraced(function* (
  kind: AccountKind,
  currency: string,
  name = ""
): Effect.fn.Return<string, SqlError, TenantTx> {
  const { sql, tenantId } = yield* TenantTx
  const overdraft = kind === "funding" || kind === "suspense"
  const find = sql<{ id: string }>`
    select id from mahalla.account
    where tenant_id = ${tenantId} and kind = ${kind} and name = ${name} and currency = ${currency}`
  const [known] = yield* find
  if (known !== undefined) return known.id
  yield* sql`
    insert into mahalla.account (tenant_id, id, kind, name, currency, overdraft)
    values (${tenantId}, ${yield* newId}, ${kind}, ${name}, ${currency}, ${overdraft})
    on conflict (tenant_id, kind, name, currency) do nothing`
  return (yield* find)[0]!.id
})

export interface Transfer {
  /** Names the transfer; the same one given again is done once. Default: a new id. */
  readonly id?: string
  /** Id of the account that gives. */
  readonly debit: string
  /** Id of the account that gets. */
  readonly credit: string
  /** Minor units. */
  readonly amount: bigint
  readonly currency: string
  /** For people: what it is for. No personal data. */
  readonly memo: string
  readonly payoutId?: string
}

interface TransferRow {
  readonly kind: TransferKind
  readonly debit_id: string
  readonly credit_id: string
  readonly currency: string
  readonly amount: bigint
}

const nonsense = (message: string) => Effect.die(new Error(`Ledger: ${message}`))

/** Why nothing was written: the id is known, or the money is not there. Anything else is a mistake of the caller's code. */
const explain = Effect.fnUntraced(function* (kind: TransferKind, id: string, wanted: Transfer) {
  const { sql, tenantId } = yield* TenantTx
  const { debit, credit, amount, currency } = wanted
  const [known] = yield* sql<TransferRow>`
    select kind, debit_id, credit_id, currency, amount from mahalla.ledger_transfer
    where tenant_id = ${tenantId} and id = ${id}`
  if (known !== undefined) {
    const same =
      known.kind === kind &&
      known.debit_id === debit &&
      known.credit_id === credit &&
      known.currency === currency &&
      known.amount === amount
    return same ? id : yield* nonsense(`the id ${id} stands for another transfer`)
  }
  const accounts = yield* sql<Account>`
    select id, currency, balance, reserved from mahalla.account where tenant_id = ${tenantId} and id in (${debit}, ${credit})`
  const giver = accounts.find((account) => account.id === debit)
  if (giver === undefined || accounts.length < 2 || accounts.some((account) => account.currency !== currency))
    return yield* nonsense(`accounts ${debit} and ${credit} are not two accounts of this tenant in ${currency}`)
  return yield* new Refused({
    code: "insufficient-funds",
    message: `The account has ${giver.balance - giver.reserved} ${currency} (minor units) to give, ${amount} are wanted. Fund it, then try again.`
  })
})

const write = (kind: "direct" | "reserve") =>
  Effect.fn(`ledger.${kind}`)(function* (wanted: Transfer): Effect.fn.Return<string, Refused | SqlError, TenantTx> {
    const { sql, tenantId } = yield* TenantTx
    const { debit, credit, amount, currency, memo, payoutId = null } = wanted
    if (amount < 1n || amount > maxAmount)
      return yield* new Refused({
        code: "amount",
        message: `An amount must be between 1 and ${maxAmount} minor units.`
      })
    const id = wanted.id ?? (yield* newId)
    const at = new Date(yield* Clock.currentTimeMillis)
    // The locks come first and the balance is read behind them, so of parallel callers only those succeed for whom it suffices.
    // In the order of the ids, as everywhere; a reservation changes the giver alone.
    const rows = yield* sql`
      with locked as (
        select id, overdraft or balance - reserved >= ${amount} as suffices from mahalla.account
        where tenant_id = ${tenantId} and currency = ${currency}
          and (id = ${debit} or (id = ${credit} and ${kind} = 'direct'))
        order by id for no key update
      )
      insert into mahalla.ledger_transfer (tenant_id, id, kind, debit_id, credit_id, currency, amount, memo, payout_id, created_at)
      select ${tenantId}, ${id}, ${kind}, giver.id, getter.id, getter.currency, ${amount}, ${memo}, ${payoutId}, ${at}
      from locked giver
      join mahalla.account getter
        on getter.tenant_id = ${tenantId} and getter.id = ${credit} and getter.currency = ${currency}
      where giver.id = ${debit} and giver.suffices
      on conflict (tenant_id, id) do nothing
      returning id`
    return rows.length === 1 ? id : yield* explain(kind, id, wanted)
  })

/** Moves money at once and returns the transfer's id. Refused as `insufficient-funds` or `amount`. */
export const post = write("direct")

/** Sets money aside, so that nobody else can spend it; `postPending` or `voidPending` resolves it, once. Refused like `post`. */
export const reserve = write("reserve")

const resolve = (kind: "post" | "void") =>
  Effect.fn(`ledger.${kind}`)(function* (pendingId: string): Effect.fn.Return<void, Refused | SqlError, TenantTx> {
    const { sql, tenantId } = yield* TenantTx
    const at = new Date(yield* Clock.currentTimeMillis)
    const rows = yield* sql`
      insert into mahalla.ledger_transfer
        (tenant_id, id, kind, debit_id, credit_id, currency, amount, pending_id, memo, payout_id, created_at)
      select tenant_id, ${yield* newId}, ${kind}, debit_id, credit_id, currency, amount, id, memo, payout_id, ${at}
      from mahalla.ledger_transfer
      where tenant_id = ${tenantId} and id = ${pendingId} and kind = 'reserve'
      on conflict (tenant_id, pending_id) do nothing
      returning id`
    if (rows.length === 1) return
    // Unique (tenant_id, pending_id).
    const [resolved] = yield* sql<{ kind: TransferKind }>`
      select kind from mahalla.ledger_transfer where tenant_id = ${tenantId} and pending_id = ${pendingId}`
    if (resolved === undefined) return yield* nonsense(`there is no reservation ${pendingId}`)
    if (resolved.kind === kind) return
    return yield* new Refused({
      code: "already-resolved",
      message: `This reservation was ${resolved.kind === "post" ? "paid" : "released"} already. Correct it with another transfer.`
    })
  })

/** Moves what a reservation has set aside; again, it changes nothing. Refused as `already-resolved` when it was released. */
export const postPending = resolve("post")

/** Releases what a reservation has set aside; again, it changes nothing. Refused as `already-resolved` when it was posted. */
export const voidPending = resolve("void")

export interface Unbalanced {
  readonly accountId: string
  readonly kind: AccountKind
  readonly name: string
  readonly currency: string
  readonly balance: bigint
  readonly reserved: bigint
  /** What the transfers say. */
  readonly derivedBalance: bigint
  readonly derivedReserved: bigint
}

/** Accounts of the tenant whose kept balance is not what their transfers say: none, or somebody wrote past the ledger. */
export const unbalanced: Effect.Effect<ReadonlyArray<Unbalanced>, SqlError, TenantTx> = Effect.flatMap(
  TenantTx,
  ({ sql, tenantId }) => sql<Unbalanced>`
    with leg as (
      select debit_id as account_id,
             case when kind in ('direct', 'post') then -amount else 0 end as balance,
             case kind when 'reserve' then amount when 'direct' then 0 else -amount end as reserved
      from mahalla.ledger_transfer where tenant_id = ${tenantId}
      union all
      select credit_id, amount, 0 from mahalla.ledger_transfer
      where tenant_id = ${tenantId} and kind in ('direct', 'post')
    ), derived as (
      select account_id, sum(balance)::bigint as balance, sum(reserved)::bigint as reserved from leg group by account_id
    ), compared as (
      select a.*, coalesce(d.balance, 0) as derived_balance, coalesce(d.reserved, 0) as derived_reserved
      from mahalla.account a left join derived d on d.account_id = a.id
      where a.tenant_id = ${tenantId}
    )
    select id as "accountId", kind, name, currency, balance, reserved,
           derived_balance as "derivedBalance", derived_reserved as "derivedReserved"
    from compared where (balance, reserved) is distinct from (derived_balance, derived_reserved)
    order by kind, name, currency`
)

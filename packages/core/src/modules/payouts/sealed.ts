/** Where payouts go, as the resealer goes through it. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { payeeColumn } from "./sql.ts"

interface PayeeRow {
  readonly id: string
  readonly payee: string
  readonly sealed: string | null
}

export const sealedPayees = sealedPart<PayeeRow>({
  id: "payouts.payout",
  read: ({ sql, tenantId }, after, limit) => sql<PayeeRow>`
    select id, payee, payee_sealed as sealed from mahalla.payout
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const clear = row.payee === "" ? null : row.payee
    const made = yield* again(reader, payeeColumn, row.id, { sealed: row.sealed, clear })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.payout set payee = '', payee_sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.payout
        where tenant_id = ${tenantId} and (payee <> '' or not starts_with(coalesce(payee_sealed, ${prefixOf(version)}), ${prefixOf(version)}))`,
      (rows) => rows[0]?.amount ?? 0
    )
})

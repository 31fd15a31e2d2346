/** What was filed, as the resealer goes through it. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { bodyColumn } from "./sql.ts"

export const sealedFilings = sealedPart<{ readonly id: string; readonly sealed: string }>({
  id: "filings.filing",
  read: ({ sql, tenantId }, after, limit) => sql<{ id: string; sealed: string }>`
    select id, body_sealed as sealed from mahalla.filing
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, bodyColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.filing set body_sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.filing
        where tenant_id = ${tenantId} and not starts_with(body_sealed, ${prefixOf(version)})`,
      (rows) => rows[0]?.amount ?? 0
    )
})

/** Addresses, as the resealer goes through them. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { addressColumn } from "./addresses.ts"

export const sealedAddresses = sealedPart<{ readonly id: string; readonly sealed: string }>({
  id: "notifications.address",
  read: ({ sql, tenantId }, after, limit) => sql<{ id: string; sealed: string }>`
    select id, address_sealed as sealed from mahalla.notification_address
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, addressColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.notification_address set address_sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.notification_address
        where tenant_id = ${tenantId} and not starts_with(address_sealed, ${prefixOf(version)})`,
      (rows) => rows[0]?.amount ?? 0
    )
})

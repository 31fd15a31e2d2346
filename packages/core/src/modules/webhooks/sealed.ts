/** Secrets of endpoints as the resealer goes through them. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { secretColumn } from "./secrets.ts"

export const sealedWebhookSecrets = sealedPart<{ readonly id: string; readonly sealed: string }>({
  id: "webhooks.secret",
  read: ({ sql, tenantId }, after, limit) => sql`
    select id, sealed from mahalla.webhook_secret
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, secretColumn, row.id, { sealed: row.sealed, clear: null })
    if (made !== undefined)
      yield* sent(
        sql`update mahalla.webhook_secret set sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
      )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.webhook_secret
        where tenant_id = ${tenantId} and not starts_with(sealed, ${prefixOf(version)})`,
      (rows) => rows[0]?.amount ?? 0
    )
})

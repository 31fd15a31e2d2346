/** Secrets of authenticator apps, as the resealer goes through them: a change of keys leaves nobody without their second factor. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { secretColumn } from "./totp.ts"

interface SecretRow {
  readonly id: string
  readonly sealed: string
}

export const sealedSecrets = sealedPart<SecretRow>({
  id: "identity.totp",
  read: ({ sql, tenantId }, after, limit) => sql<SecretRow>`
    select principal_id as id, secret as sealed from mahalla.totp
    where tenant_id = ${tenantId} and (${after}::uuid is null or principal_id > ${after}::uuid)
    order by principal_id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, secretColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.totp set secret = ${made.sealed} where tenant_id = ${tenantId} and principal_id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.totp
        where tenant_id = ${tenantId} and not starts_with(secret, ${prefixOf(version)})`,
      (rows) => rows[0]?.amount ?? 0
    )
})

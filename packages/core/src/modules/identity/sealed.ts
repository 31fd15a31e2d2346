/**
 * Secrets of authenticator apps and what registers were told and said, as the resealer goes through them: a change of keys leaves nobody
 * without their second factor.
 */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart } from "../../kernel/personal/SealedPart.ts"
import { claimsColumn, referenceColumn } from "./checks.ts"
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

interface SealedCheckRow {
  readonly id: string
  readonly claims: string | null
  readonly reference: string | null
}

export const sealedChecks = sealedPart<SealedCheckRow>({
  id: "identity.check",
  read: ({ sql, tenantId }, after, limit) => sql<SealedCheckRow>`
    select id, claims, reference from mahalla.identity_check
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const claims = yield* again(reader, claimsColumn, row.id, { sealed: row.claims, clear: null })
    const reference = yield* again(reader, referenceColumn, row.id, { sealed: row.reference, clear: null })
    if (claims === undefined && reference === undefined) return
    yield* sent(sql`
      update mahalla.identity_check
      set claims = coalesce(${claims?.sealed ?? null}, claims), reference = coalesce(${reference?.sealed ?? null}, reference)
      where tenant_id = ${tenantId} and id = ${row.id}`)
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.identity_check
        where tenant_id = ${tenantId}
          and not (starts_with(coalesce(claims, ${prefixOf(version)}), ${prefixOf(version)}) and starts_with(coalesce(reference, ${prefixOf(version)}), ${prefixOf(version)}))`,
      (rows) => rows[0]?.amount ?? 0
    )
})

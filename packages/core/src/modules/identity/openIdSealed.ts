/** What is sealed around OpenID providers, as the resealer goes through it: clients' secrets, subjects, and whom invitations wait for. */
import * as Effect from "effect/Effect"
import { sent } from "../../kernel/db/pipelined.ts"
import { prefixOf } from "../../kernel/personal/crypt.ts"
import { again, sealedPart, type SealedPart } from "../../kernel/personal/SealedPart.ts"
import { invitedColumn, subjectColumn } from "./openIdAccounts.ts"
import { clientSecretColumn } from "./openIdProviders.ts"

interface Row {
  readonly id: string
  readonly sealed: string
}

const count = (rows: ReadonlyArray<{ readonly amount: number }>) => rows[0]?.amount ?? 0

const secrets = sealedPart<Row>({
  id: "identity.openid-provider",
  read: ({ sql, tenantId }, after, limit) => sql<Row>`
    select id, client_secret as sealed from mahalla.openid_provider
    where tenant_id = ${tenantId} and client_secret is not null and (${after}::text is null or id > ${after}::text)
    order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, clientSecretColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.openid_provider set client_secret = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.openid_provider
        where tenant_id = ${tenantId} and not starts_with(client_secret, ${prefixOf(version)})`,
      count
    )
})

const subjects = sealedPart<Row>({
  id: "identity.openid-link",
  read: ({ sql, tenantId }, after, limit) => sql<Row>`
    select id, subject_sealed as sealed from mahalla.openid_link
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, subjectColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.openid_link set subject_sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.openid_link
        where tenant_id = ${tenantId} and not starts_with(subject_sealed, ${prefixOf(version)})`,
      count
    )
})

const invited = sealedPart<Row>({
  id: "identity.openid-invitation",
  read: ({ sql, tenantId }, after, limit) => sql<Row>`
    select id, value_sealed as sealed from mahalla.openid_invitation
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, invitedColumn, row.id, { sealed: row.sealed, clear: null })
    if (made === undefined) return
    yield* sent(
      sql`update mahalla.openid_invitation set value_sealed = ${made.sealed} where tenant_id = ${tenantId} and id = ${row.id}`
    )
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.openid_invitation
        where tenant_id = ${tenantId} and not starts_with(value_sealed, ${prefixOf(version)})`,
      count
    )
})

export const openIdSealed: ReadonlyArray<SealedPart> = [secrets, subjects, invited]

/** Phones and names of principals: sealed, and phones found by their index. Rows of before are read as they are until they are sealed. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { sealedColumn } from "./Vault.ts"

export const phoneColumn = sealedColumn("principal", "phone")
export const nameColumn = sealedColumn("principal", "name")

/** Select `id, phone, phone_sealed` for this. */
export interface PhoneRow {
  readonly id: string
  readonly phone: string | null
  readonly phone_sealed: string | null
}

/** E.164; null when there is none. */
export const phoneOf = (row: PhoneRow) =>
  row.phone_sealed === null ? Effect.succeed(row.phone) : phoneColumn.open(row.id, row.phone_sealed)

/** Select `id, name, name_sealed` for this. */
export interface NameRow {
  readonly id: string
  readonly name: string | null
  readonly name_sealed: string | null
}

export const nameOf = (row: NameRow) =>
  row.name_sealed === null ? Effect.succeed(row.name) : nameColumn.open(row.id, row.name_sealed)

/** The same row with its name in clear. */
export const withName = <Row extends NameRow>({ name_sealed, ...row }: Row) =>
  Effect.map(nameOf({ id: row.id, name: row.name, name_sealed }), (name) => ({ ...row, name }))

/** What `name_sealed` of a principal is to be; null takes the name away. */
export const sealName = (id: string, name: string | null) =>
  name === null ? Effect.succeed(null) : nameColumn.seal(id, name)

/** Who has this phone, whatever their status. Keys `principal_phone_index` and, for rows of before, `(tenant_id, phone)`. */
export const principalOfPhone = Effect.fnUntraced(function* (phone: string) {
  const { sql, tenantId } = yield* TenantTx
  const index = yield* phoneColumn.index(phone)
  // One statement for both: a row that is being sealed stands under one of them in every snapshot.
  const rows = yield* sql<{ id: string; status: string }>`
    select id, status from mahalla.principal where tenant_id = ${tenantId} and phone_index = ${index}
    union all
    select id, status from mahalla.principal where tenant_id = ${tenantId} and phone = ${phone}`
  return rows[0]
})

/** Columns of a principal whose phone this is. */
export const sealPhone = Effect.fnUntraced(function* (id: string, phone: string) {
  return { phone_sealed: yield* phoneColumn.seal(id, phone), phone_index: yield* phoneColumn.index(phone) }
})

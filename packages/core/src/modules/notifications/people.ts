/** Messages, choices and addresses as a part of a person. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"
import { addressColumn, addressesOf } from "./addresses.ts"
import { preferencesOf } from "./preferences.ts"

export const messagesOfPerson: PersonPart = {
  id: "messages",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, case_id as "caseId", channel, subject, text, language, state, created_at as "createdAt" from mahalla.message
      where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.message where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

export const choicesOfPerson: PersonPart = {
  id: "notifications",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const kinds = ["email", "push", "telegram"] as const
    const rows = (yield* Effect.forEach(kinds, (kind) => addressesOf(personId, kind))).flat()
    const addresses = yield* Effect.forEach(rows, ({ address_sealed, createdAt, id, kind }) =>
      Effect.map(addressColumn.open(id, address_sealed), (address) => ({ kind, address, createdAt }))
    )
    const waiting = yield* sql`
      select category, text, created_at as "createdAt" from mahalla.digest_item
      where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
    return { choices: yield* preferencesOf(personId), addresses, digests: waiting }
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.notification_address where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.notification_preference where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.digest_item where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`delete from mahalla.digest_due where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

/** Messages as a part of a person. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"

export const messagesOfPerson: PersonPart = {
  id: "messages",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, case_id as "caseId", channel, text, language, state, created_at as "createdAt" from mahalla.message
      where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.message where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

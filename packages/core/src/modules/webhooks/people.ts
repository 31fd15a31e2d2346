/** Endpoints that somebody of the city has for themselves, as a part of a person. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"

export const webhooksOfPerson: PersonPart = {
  id: "webhooks",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, url, description, types, case_types as "caseTypes", territory_id as "territoryId", status, created_at as "createdAt"
      from mahalla.webhook_endpoint where tenant_id = ${tenantId} and principal_id = ${personId} order by id`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.webhook_endpoint where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

/** Ways to sign in as a part of a person. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"

export const signInsOfPerson: PersonPart = {
  id: "signIns",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select type, occurred_at as at from mahalla.event
      where tenant_id = ${tenantId} and actor_id = ${personId} and type = 'identity.signed-in' order by id desc limit 1000`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.sign_in_link where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

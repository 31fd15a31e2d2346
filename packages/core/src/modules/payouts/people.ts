/** Payouts as a part of a person: money on its way arrives first, and the books keep what was paid, without to whom. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { PersonPart } from "../../kernel/personal/PersonPart.ts"
import { payoutsOf } from "./sql.ts"

export const payoutsOfPerson: PersonPart = {
  id: "payouts",
  collect: (personId) =>
    Effect.map(payoutsOf(personId), (payouts) =>
      payouts.map(({ amount, caseId, createdAt, currency, id, payee, payeeKind, reference, rule, state }) => ({
        id,
        caseId,
        rule,
        amount: String(amount),
        currency,
        payeeKind,
        payee,
        state,
        reference,
        createdAt
      }))
    ),
  isOpen: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const open = yield* sql`
      select from mahalla.payout where tenant_id = ${tenantId} and principal_id = ${personId} and state not in ('succeeded', 'failed') limit 1`
    return open.length > 0
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`
      update mahalla.payout set payee = '', payee_sealed = null, detail = null where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

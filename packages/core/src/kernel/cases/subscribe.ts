/** Who hears of a case beside its owner. A wish of a person, not a fact about the case: it is no event and no new version. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { type CaseRecord, Refused } from "./model.ts"
import { subjectOf } from "./view.ts"
import { visibleCase } from "./visible.ts"

/** The actor hears of the case from now on; needs `<type>.subscribe`. Twice is once. */
export const subscribe = Effect.fn("subscribe")(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const { record } = yield* visibleCase(caseId)
  yield* demand(`${record.type}.subscribe`, subjectOf(record))
  if (actor.id === null) return yield* new Refused({ code: "no-principal", message: "Sign in to follow a case." })
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.case_subscriber (tenant_id, case_id, principal_id, created_at)
    values (${tenantId}, ${caseId}, ${actor.id}, ${at}) on conflict do nothing`
})

/** The actor hears of it no more; whoever may not see the case any longer may still leave. */
export const unsubscribe = Effect.fn("unsubscribe")(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  yield* sql`
    delete from mahalla.case_subscriber
    where tenant_id = ${tenantId} and case_id = ${caseId} and principal_id = ${actor.id}`
})

/** Ids of the owner and all subscribers. What a subscriber hears is what `viewOf` shows the public. */
export const hearersOf = Effect.fnUntraced(function* (record: Pick<CaseRecord, "id" | "ownerId">) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    select principal_id as id from mahalla.case_subscriber where tenant_id = ${tenantId} and case_id = ${record.id} order by id`
  const others = rows.map((row) => row.id).filter((id) => id !== record.ownerId)
  return record.ownerId === null ? others : [record.ownerId, ...others]
})

/** Whoever hears of one case hears of the other too. */
export const carrySubscribers = Effect.fnUntraced(function* (from: CaseRecord, to: CaseRecord) {
  const { sql, tenantId } = yield* TenantTx
  const hearers = (yield* hearersOf(from)).filter((id) => id !== to.ownerId)
  const at = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.case_subscriber (tenant_id, case_id, principal_id, created_at)
    select ${tenantId}, ${to.id}, id, ${at} from unnest(${hearers}::uuid[]) as hearer (id) on conflict do nothing`
})

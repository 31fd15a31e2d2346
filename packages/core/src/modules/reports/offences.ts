/** The offence catalogue: data of each tenant. */
import * as Effect from "effect/Effect"
import { InvalidInput } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { type Offence, OffenceChanged } from "./model.ts"

export const listOffences = Effect.gen(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Offence>`
    select code, article, title, fine, reward_share as "rewardShare", active from mahalla.offence where tenant_id = ${tenantId} order by code`
})

/** An offence in force, or for a matter that is under way any of the catalogue; anything else is a mistake in the request. */
export const loadOffence = Effect.fnUntraced(function* (code: string, underWay = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Offence>`
    select code, article, title, fine, reward_share as "rewardShare", active from mahalla.offence
    where tenant_id = ${tenantId} and code = ${code} and (active or ${underWay})`
  const offence = rows[0]
  return offence === undefined
    ? yield* new InvalidInput({
        issues: [
          { pointer: "/data/offence", detail: `The catalogue has no offence ${code}; GET /v1/offences lists them.` }
        ]
      })
    : offence
})

/** Adds or changes an offence; what was decided before keeps its fine. */
export const putOffence = Effect.fn("reports.putOffence")(function* (offence: Offence) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  yield* sql`
    insert into mahalla.offence (tenant_id, code, article, title, fine, reward_share, active)
    values (${tenantId}, ${offence.code}, ${offence.article}, ${JSON.stringify(offence.title)}::text::jsonb, ${offence.fine}, ${offence.rewardShare}, ${offence.active})
    on conflict (tenant_id, code) do update
      set article = excluded.article, title = excluded.title, fine = excluded.fine, reward_share = excluded.reward_share, active = excluded.active`
  yield* appendEvent(
    OffenceChanged,
    { code: offence.code, fine: Number(offence.fine), rewardShare: offence.rewardShare, active: offence.active },
    { actorId: actor.id }
  )
})

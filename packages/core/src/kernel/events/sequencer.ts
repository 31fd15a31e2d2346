/**
 * Gives each tenant's events their gap-free order.
 *
 * It takes the rows of `event_outbox` that it can see, by the number each drew on insertion, and deletes them. No transaction id is
 * looked at, so a restore into another cluster changes nothing; a row that becomes visible later simply gets a later place. What was
 * written after reading something always drew a later number than that something, and that something is visible whenever it is: the
 * order respects causes. Why not below the oldest running transaction: docs/decisions/sequencer.md.
 */
import * as Effect from "effect/Effect"
import { PlatformTx } from "../db/Database.ts"

/** Events ordered in one turn at most. */
export const sequencerBatch = 5_000

/** Orders one batch and returns how many events each tenant got. Two sequencers at once wait for each other and skip nothing. */
export const sequence = Effect.fnUntraced(function* () {
  const { sql } = yield* PlatformTx
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.sequencer', 0))`
  return yield* sql<{ readonly tenantId: string; readonly position: bigint; readonly amount: number }>`
    with taken as (
      delete from mahalla.event_outbox
      where arrival in (select arrival from mahalla.event_outbox order by arrival limit ${sequencerBatch})
      returning tenant_id, event_id, arrival
    ), counted as (
      select tenant_id, count(*) as amount from taken group by tenant_id
    ), heads as (
      insert into mahalla.event_head as head (tenant_id, position)
      select tenant_id, amount from counted
      on conflict (tenant_id) do update set position = head.position + excluded.position
      returning tenant_id, position
    ), ordered as (
      insert into mahalla.event_order (tenant_id, position, event_id)
      select taken.tenant_id,
             heads.position - counted.amount + row_number() over (partition by taken.tenant_id order by taken.arrival),
             taken.event_id
      from taken join counted using (tenant_id) join heads using (tenant_id)
    )
    select tenant_id as "tenantId", position, amount::int as amount from heads join counted using (tenant_id)`
})

/** What the courier asks and tells the database, of many endpoints of many tenants in one statement each: as the platform, every row by its tenant. */
import * as Effect from "effect/Effect"
import { PlatformTx } from "../../kernel/db/Database.ts"
import { Vault } from "../../kernel/personal/Vault.ts"
import type { Standing } from "./schedule.ts"
import { secretPlace } from "./secrets.ts"
import { type SecretKind, type Signer, signerOf } from "./sign.ts"

/** A courier's lease: whoever holds lanes under a name that is none any more has died. */
export const leaseOf = (holder: string): string => `webhooks ${holder}`

export interface ClaimedLane {
  readonly tenantId: string
  readonly endpointId: string
  readonly url: string
  readonly ordered: boolean
  readonly standing: Standing
  /** False: its principal may not act at the moment, or its city is closed. */
  readonly live: boolean
}

interface LaneRow extends Omit<ClaimedLane, "standing"> {
  readonly failures: number
  readonly recent: number
  readonly restUntil: Date | null
  readonly recentFrom: Date | null
  readonly failingSince: Date | null
}

/** Takes lanes that are due and nobody's, those that wait longest first. Index `webhook_lane_due`. `failing`: those whose last attempt failed. */
export const claimLanes = Effect.fnUntraced(function* (holder: string, failing: boolean, room: number, now: Date) {
  if (room <= 0) return []
  const { sql } = yield* PlatformTx
  const rows = yield* sql<LaneRow>`
    with due as (
      select l.tenant_id, l.endpoint_id from mahalla.webhook_lane l
      where l.due_at <= ${now} and (l.failures > 0) = ${failing}
        and not exists (select from mahalla.lease held where held.name = ${leaseOf("")} || l.holder and held.until > now())
      order by l.due_at limit ${room} for update of l skip locked)
    update mahalla.webhook_lane l set holder = ${holder}
    from due, mahalla.webhook_endpoint e, mahalla.principal p, mahalla.tenant t
    where l.tenant_id = due.tenant_id and l.endpoint_id = due.endpoint_id
      and e.tenant_id = l.tenant_id and e.id = l.endpoint_id and p.tenant_id = e.tenant_id and p.id = e.principal_id
      and t.tenant_id = e.tenant_id
    returning l.tenant_id as "tenantId", l.endpoint_id as "endpointId", e.url, e.ordered, l.failures, l.recent,
      l.rest_until as "restUntil", l.recent_from as "recentFrom", l.failing_since as "failingSince",
      e.status = 'active' and p.status = 'active' and t.suspended_at is null as live`
  return rows.map(({ failingSince, failures, recent, recentFrom, restUntil, ...lane }): ClaimedLane => ({
    ...lane,
    standing: {
      failures,
      recent,
      restUntil: restUntil?.getTime() ?? null,
      recentFrom: recentFrom?.getTime() ?? null,
      failingSince: failingSince?.getTime() ?? null
    }
  }))
})

/** What endpoints sign with now, by endpoint; one whose secrets do not open is left out. */
export const signersOf = Effect.fnUntraced(function* (lanes: ReadonlyArray<ClaimedLane>, now: Date) {
  const { sql } = yield* PlatformTx
  const vault = yield* Vault
  const given = lanes.map(({ endpointId, tenantId }) => ({ tenant_id: tenantId, endpoint_id: endpointId }))
  const rows = yield* sql<{ id: string; tenantId: string; endpointId: string; kind: SecretKind; sealed: string }>`
    select s.id, s.tenant_id as "tenantId", s.endpoint_id as "endpointId", s.kind, s.sealed
    from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb) as lane (tenant_id uuid, endpoint_id uuid)
    join mahalla.webhook_secret s on s.tenant_id = lane.tenant_id and s.endpoint_id = lane.endpoint_id
    where s.expires_at is null or s.expires_at > ${now} order by s.created_at desc, s.kind`
  const found = new Map<string, Array<Signer>>()
  for (const { endpointId, id, kind, sealed, tenantId } of rows) {
    const text = yield* Effect.result(vault.open(secretPlace(tenantId, id), sealed))
    if (text._tag === "Failure") {
      yield* Effect.logError(`Webhooks: the secret of endpoint ${endpointId} does not open`, text.failure)
      continue
    }
    const signers = found.get(endpointId) ?? []
    signers.push(signerOf(kind, text.success))
    found.set(endpointId, signers)
  }
  return found
})

export interface Message {
  readonly endpointId: string
  readonly eventId: string
  readonly body: string
  readonly attempts: number
  /** Epoch milliseconds. */
  readonly nextAt: number
}

export interface Wanted {
  readonly tenant_id: string
  readonly endpoint_id: string
  readonly ordered: boolean
  /** Being sent. */
  readonly skip: ReadonlyArray<string>
  readonly amount: number
}

/** What is due in some lanes; in an ordered one the first that wait, due or not. Indexes `webhook_message_due` and `webhook_message_order`. */
export const readMessages = Effect.fnUntraced(function* (lanes: ReadonlyArray<Wanted>, now: Date) {
  const { sql } = yield* PlatformTx
  const rows = yield* sql<Omit<Message, "nextAt"> & { readonly nextAt: Date }>`
    select m.* from jsonb_to_recordset(${JSON.stringify(lanes)}::text::jsonb) as lane
      (tenant_id uuid, endpoint_id uuid, ordered boolean, skip uuid[], amount integer)
    cross join lateral (
      (select w.endpoint_id as "endpointId", w.event_id as "eventId", w.body, w.attempts::int as attempts, w.next_at as "nextAt"
       from mahalla.webhook_message w
       where not lane.ordered and w.tenant_id = lane.tenant_id and w.endpoint_id = lane.endpoint_id and w.state = 'waiting'
         and w.next_at <= ${now} and not w.event_id = any (lane.skip)
       order by w.next_at limit lane.amount)
      union all
      (select w.endpoint_id, w.event_id, w.body, w.attempts::int, w.next_at
       from mahalla.webhook_message w
       where lane.ordered and w.tenant_id = lane.tenant_id and w.endpoint_id = lane.endpoint_id and w.state = 'waiting'
       order by w.position limit lane.amount)) m`
  return rows.map((row): Message => ({ ...row, nextAt: row.nextAt.getTime() }))
})

/** An attempt as a row of JSON. */
export interface AttemptRow {
  readonly tenant_id: string
  readonly endpoint_id: string
  readonly event_id: string
  readonly id: string
  readonly number: number
  readonly at: string
  readonly took: number
  readonly status: number | null
  readonly delivered: boolean
  readonly failure: string | null
  readonly excerpt: string | null
  readonly state: "waiting" | "delivered" | "failed"
  readonly next_at: string | null
}

/** Writes down attempts and what became of their messages; of those that are gone nothing. */
export const writeAttempts = Effect.fnUntraced(function* (attempts: ReadonlyArray<AttemptRow>) {
  const { sql } = yield* PlatformTx
  yield* sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(attempts)}::text::jsonb) as g
        (tenant_id uuid, endpoint_id uuid, event_id uuid, id uuid, number smallint, at timestamptz, took integer, status smallint,
         delivered boolean, failure text, excerpt text, state text, next_at timestamptz)
    ), changed as (
      update mahalla.webhook_message m
      set attempts = given.number, next_at = coalesce(given.next_at, m.next_at),
        -- What was given up meanwhile stays so, unless it has arrived.
        state = case when given.state = 'waiting' then m.state else given.state end,
        settled_at = case when given.state = 'waiting' then m.settled_at else given.at end
      from given
      where m.tenant_id = given.tenant_id and m.endpoint_id = given.endpoint_id and m.event_id = given.event_id
      returning m.tenant_id, m.endpoint_id, m.event_id
    )
    insert into mahalla.webhook_attempt
      (tenant_id, endpoint_id, id, event_id, number, at, took, status, delivered, failure, excerpt)
    select tenant_id, endpoint_id, id, event_id, number, at, took, status, delivered, failure, excerpt
    from given join changed using (tenant_id, endpoint_id, event_id)`
})

/** Minutes until a lane is looked at again whose principal may not act. */
const closedFor = 5

/** Gives lanes back with what was learnt of them, due when the next of their messages is. */
export const releaseLanes = Effect.fnUntraced(function* (
  holder: string,
  lanes: ReadonlyArray<Pick<ClaimedLane, "tenantId" | "endpointId" | "live" | "standing">>,
  now: number
) {
  if (lanes.length === 0) return
  const { sql } = yield* PlatformTx
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  const given = JSON.stringify(
    lanes.map(({ endpointId, live, standing, tenantId }) => ({
      tenant_id: tenantId,
      endpoint_id: endpointId,
      live,
      failures: standing.failures,
      recent: standing.recent,
      rest_until: time(standing.restUntil),
      recent_from: time(standing.recentFrom),
      failing_since: time(standing.failingSince)
    }))
  )
  // In the order in which whoever adds messages locks them; what is added before we look is then seen.
  yield* sql`
    select from mahalla.webhook_lane l
    join jsonb_to_recordset(${given}::text::jsonb) as g (tenant_id uuid, endpoint_id uuid) using (tenant_id, endpoint_id)
    order by tenant_id, endpoint_id for no key update of l`
  yield* sql`
    update mahalla.webhook_lane l
    set holder = null, failures = g.failures, recent = g.recent, rest_until = g.rest_until, recent_from = g.recent_from,
      failing_since = g.failing_since,
      due_at = case when e.status <> 'active' then null
        when not g.live then ${new Date(now + closedFor * 60_000)}
        else (select greatest(w.next_at, g.rest_until) from (
          (select next_at from mahalla.webhook_message
           where not e.ordered and tenant_id = l.tenant_id and endpoint_id = l.endpoint_id and state = 'waiting'
           order by next_at limit 1)
          union all
          (select next_at from mahalla.webhook_message
           where e.ordered and tenant_id = l.tenant_id and endpoint_id = l.endpoint_id and state = 'waiting'
           order by position limit 1)) w)
        end
    from jsonb_to_recordset(${given}::text::jsonb) as g
      (tenant_id uuid, endpoint_id uuid, live boolean, failures integer, recent integer, rest_until timestamptz,
       recent_from timestamptz, failing_since timestamptz)
    join mahalla.webhook_endpoint e on e.tenant_id = g.tenant_id and e.id = g.endpoint_id
    where l.tenant_id = g.tenant_id and l.endpoint_id = g.endpoint_id and l.holder = ${holder}`
})

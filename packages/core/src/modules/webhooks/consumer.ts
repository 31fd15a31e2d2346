/**
 * Hears every event and writes down which endpoints are to get it: what their principals may hear of by the filter of live feeds, and want. The row is
 * there once however often the event is looked at; sending is the courier's.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Erased } from "../../kernel/Erased.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { Consumer } from "../../kernel/events/Consumer.ts"
import type { StoredEvent } from "../../kernel/events/Event.ts"
import { EventFeed, feedRows, type FeedRow, isWanted } from "../../kernel/live/EventFeed.ts"
import { AppTokens } from "../../kernel/http/AppTokens.ts"
import type { Principal } from "../../kernel/policy/Principal.ts"
import { bodyOf, sourceOf } from "./message.ts"
import type { Endpoint } from "./model.ts"
import { Hearers } from "./Hearers.ts"
import { type NewMessage, putMessages } from "./queue.ts"

type Listener = Pick<Endpoint, "id" | "principalId" | "types" | "caseTypes" | "territoryId">

/** Endpoints that take what comes; a paused one keeps it. */
const listeners = Effect.flatMap(
  TenantTx,
  ({ sql, tenantId }) => sql<Listener>`
    select id, principal_id as "principalId", types, case_types as "caseTypes", territory_id as "territoryId"
    from mahalla.webhook_endpoint where tenant_id = ${tenantId} and status <> 'disabled' order by id`
)

const wants = ({ caseTypes, territoryId, types }: Listener, row: FeedRow): boolean =>
  (caseTypes === null || (row.caseType !== null && caseTypes.includes(row.caseType))) &&
  isWanted({ ...(types === null ? {} : { types }), ...(territoryId === null ? {} : { territory: territoryId }) }, row)

/** Whoever an app may act for, by consent: the owners of some cases, with no more rights than they gave it. By app and owner. */
const owners = Effect.fnUntraced(function* (apps: ReadonlyArray<string>, rows: ReadonlyArray<FeedRow>) {
  const { tenantId } = yield* TenantTx
  const tokens = yield* AppTokens
  const people = [...new Set(rows.flatMap(({ ownerId }) => (ownerId === null ? [] : [ownerId])))]
  const found = tokens === undefined || people.length === 0 ? [] : yield* tokens.consents(apps, people)
  return new Map(
    found.map(({ appId, principalId, within }): [string, Principal] => [
      `${appId} ${principalId}`,
      { id: principalId, kind: "person", tenantId, grants: [], within }
    ])
  )
})

const hear = Effect.fn("webhooks.hear")(function* (events: ReadonlyArray<StoredEvent>) {
  const { tenantId } = yield* TenantTx
  const endpoints = yield* listeners
  if (endpoints.length === 0) return
  const feed = yield* EventFeed
  const hearers = yield* Hearers
  const now = yield* Clock.currentTimeMillis
  const source = yield* sourceOf(tenantId)
  const people = new Map<string, Principal>()
  for (const id of new Set(endpoints.map(({ principalId }) => principalId))) {
    const who = yield* hearers.principal(tenantId, id)
    if (who !== undefined) people.set(id, who)
  }
  const rows = yield* feedRows(events)
  const apps = [...people.values()].flatMap(({ id, kind }) => (kind === "app" && id !== null ? [id] : []))
  const consented = yield* owners(apps, rows)
  const messages: Array<NewMessage> = []
  for (const row of rows) {
    const reaches = (who: Principal | undefined) => who !== undefined && feed.reaches(who, row, {}, now)
    /** Whoever has a hundred endpoints is asked about once. */
    const allowed = new Map<string, boolean>()
    const mayHear = (id: string) => {
      const known = allowed.get(id)
      if (known !== undefined) return known
      const who = people.get(id)
      const answer = reaches(who) || (who !== undefined && reaches(consented.get(`${id} ${row.ownerId}`)))
      allowed.set(id, answer)
      return answer
    }
    const reached = endpoints.filter((one) => wants(one, row) && mayHear(one.principalId))
    if (reached.length === 0) continue
    const body = bodyOf(row, source)
    for (const { id } of reached)
      messages.push({ endpoint_id: id, event_id: row.id, type: row.type, position: String(row.position), body })
  }
  yield* putMessages(messages, new Date(now))
})

export const webhooksConsumer: Consumer<unknown, Erased> = {
  id: "webhooks",
  types: "all",
  handle: (event) => hear([event]),
  together: hear
}

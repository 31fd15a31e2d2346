/** The order of a tenant's events as live readers take it: with what is needed to judge who may hear of each, read once however many watch. */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { CaseTypes } from "../cases/registry.ts"
import { mayHearOf } from "../cases/timeline.ts"
import { decideAudience, fieldVisibility, sees } from "../cases/view.ts"
import { type Database, TenantTx, withTenant } from "../db/Database.ts"
import type { StoredEvent } from "../events/Event.ts"
import { readEvents } from "../events/read.ts"
import { decide } from "../policy/decide.ts"
import { Policy } from "../policy/Policy.ts"
import type { Principal } from "../policy/Principal.ts"
import type { EventFilter } from "./EventFilter.ts"

/** The case as it is when the event is read. */
export interface FeedRow extends StoredEvent {
  readonly caseType: string | null
  readonly state: string | null
  readonly version: number | null
  readonly ownerId: string | null
  readonly territoryPath: ReadonlyArray<string> | null
  /** `severity` and `originatorId` of its data, as alerts have them. */
  readonly severity: string | null
  readonly originatorId: string | null
}

/** Events with their cases. */
export const feedRows = Effect.fnUntraced(function* (events: ReadonlyArray<StoredEvent>) {
  const { sql, tenantId } = yield* TenantTx
  const ids = [...new Set(events.map((event) => event.caseId).filter((id) => id !== null))]
  const cases =
    ids.length === 0
      ? []
      : yield* sql<Omit<FeedRow, keyof StoredEvent> & { readonly id: string }>`
          select c.id, c.type as "caseType", c.state, c.version, c.owner_id as "ownerId", t.path as "territoryPath",
            c.data->>'severity' as severity, c.data->>'originatorId' as "originatorId"
          from mahalla.civic_case c
          left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
          where c.tenant_id = ${tenantId} and c.id = any (${ids}::uuid[])`
  const byId = new Map(cases.map(({ id, ...row }) => [id, row]))
  const none = {
    caseType: null,
    state: null,
    version: null,
    ownerId: null,
    territoryPath: null,
    severity: null,
    originatorId: null
  }
  return events.map((event): FeedRow => ({
    ...event,
    ...((event.caseId === null ? undefined : byId.get(event.caseId)) ?? none)
  }))
})

/**
 * Who was woken for an event and finds nothing has joined a look of others that began before the event was committed: after this long, one of their own
 * finds it.
 */
export const lookAgain = "20 millis"

const feedBatch = (after: bigint) => Effect.flatMap(readEvents(after, 200), feedRows)

export class EventFeed extends Context.Service<
  EventFeed,
  {
    /** At most 200 events after a place. What several read at the same place is read once; what was empty is not remembered. */
    readonly after: (tenantId: string, position: bigint) => Effect.Effect<ReadonlyArray<FeedRow>, unknown>
    /** Whether somebody may hear of it, and wants to. `now`: epoch milliseconds. */
    readonly reaches: (who: Principal, row: FeedRow, filter: EventFilter, now: number) => boolean
  }
>()("@mahalla/kernel/EventFeed") {
  static readonly layer = Layer.effect(
    EventFeed,
    Effect.gen(function* () {
      const services = yield* Effect.context<Database>()
      const types = yield* CaseTypes
      const policy = yield* Policy
      const batches = yield* Cache.makeWith<string, ReadonlyArray<FeedRow>, unknown>(
        (key) => {
          const [tenantId = "", after = "0"] = key.split(" ")
          return Effect.provideContext(withTenant(tenantId)(feedBatch(BigInt(after))), services)
        },
        {
          capacity: 512,
          timeToLive: (exit) => (Exit.isSuccess(exit) && exit.value.length > 0 ? Duration.seconds(1) : Duration.zero)
        }
      )
      const definitions = new Map(types.all.map(({ definition }) => [definition.id, definition]))

      const reaches = (who: Principal, row: FeedRow, filter: EventFilter, now: number): boolean => {
        if (!isWanted(filter, row)) return false
        const roles = who.roles ?? policy.roles
        const ask = (permission: string, subject: { readonly territoryPath: ReadonlyArray<string> }) =>
          decide(roles, { principal: who, permission, tenantId: row.tenantId, subject, now }).allowed
        if (row.caseType === null) return ask("event.read", { territoryPath: [] })
        const definition = definitions.get(row.caseType)
        if (definition === undefined) return false
        const subject = { territoryPath: row.territoryPath ?? [], ownerId: row.ownerId }
        if (!definition.public && !ask(`${row.caseType}.read`, subject)) return false
        const audience = decideAudience(roles, who, { type: row.caseType, ...subject }, now)
        // Choosing by a field would tell of it.
        if (filter.severity !== undefined && !sees(audience, fieldVisibility(definition, "severity"))) return false
        if (filter.devices !== undefined && !sees(audience, fieldVisibility(definition, "originatorId"))) return false
        return mayHearOf(definition, row, audience)
      }
      return EventFeed.of({ after: (tenantId, position) => Cache.get(batches, `${tenantId} ${position}`), reaches })
    })
  )
}

/** Of the case as it is now, and of what the event says it was and became: who watches one severity hears that it is another. */
const severitiesOf = ({ caseType, payload, severity }: FeedRow): ReadonlyArray<unknown> =>
  caseType === null ? [] : [severity, payload["severity"], payload["previousSeverity"]]

/** Whether a filter lets it through, whoever may hear of it. */
export const isWanted = ({ devices, severity, territory, types }: EventFilter, row: FeedRow): boolean =>
  (types === undefined ||
    types.some((type) => type === row.type || (type.endsWith(".*") && row.type.startsWith(type.slice(0, -1))))) &&
  (severity === undefined || severitiesOf(row).some((one) => severity.includes(one as string))) &&
  (devices === undefined || (row.originatorId !== null && devices.includes(row.originatorId))) &&
  (territory === undefined || (row.territoryPath ?? []).includes(territory))

/** What a live reader is told of an event: never more than ids and states, the rest is fetched. */
export const eventView = (row: FeedRow) => ({
  id: row.id,
  type: row.type,
  occurredAt: row.occurredAt.toISOString(),
  case: row.caseId === null ? null : { id: row.caseId, type: row.caseType, state: row.state, version: row.version }
})

/** The tree of a tenant's areas: which one a place lies in, and what lies above it. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput, NotFound, type Place } from "../cases/model.ts"
import { issuesOf } from "../cases/schema.ts"
import { afterCommit, TenantTx } from "../db/Database.ts"
import { remembered } from "../db/remembered.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { Id, newId } from "../ids.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { Boundary, boundsOf, contains } from "./boundary.ts"
import type { Territory } from "./Tenant.ts"

export const NewTerritory = Schema.Struct({
  /** Default: a new one. */
  id: Schema.optionalKey(Id),
  parentId: Schema.optionalKey(Schema.NullOr(Id)),
  /** `city`, `district`, `mahalla` … */
  kind: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9-]{0,59}$/)),
  /** By language. */
  name: Schema.Record(Schema.String, Schema.NonEmptyString),
  boundary: Schema.optionalKey(Boundary)
})

export const TerritoryAdded = defineEvent({
  id: "territory.added",
  payload: Schema.Struct({ territoryId: Schema.String, parentId: Schema.NullOr(Schema.String), kind: Schema.String })
})

interface Area extends Territory {
  readonly boundary: Boundary
  readonly west: number
  readonly south: number
  readonly east: number
  readonly north: number
}

/** Areas with a boundary, the deepest first. */
const areas = remembered<string, ReadonlyArray<Area>>({
  keys: 1_000,
  seconds: 30,
  read: (sql, tenantId) => sql<Area>`
    select id, parent_id as "parentId", kind, name, path, boundary, west, south, east, north from mahalla.territory
    where tenant_id = ${tenantId} and boundary is not null order by cardinality(path) desc, id`
})

/** The deepest territory in which a place lies, as of half a minute ago at most; null outside all of them. */
export const territoryAt = Effect.fnUntraced(function* (place: Place) {
  const { tenantId } = yield* TenantTx
  const { latitude, longitude } = place
  const found = (yield* areas.get(tenantId)).find(
    (area) =>
      area.west <= longitude &&
      longitude <= area.east &&
      area.south <= latitude &&
      latitude <= area.north &&
      contains(area.boundary, place)
  )
  if (found === undefined) return null
  const { id, kind, name, parentId, path } = found
  return { id, parentId, kind, name, path } satisfies Territory
})

/** A territory with its ancestors, the nearest first. */
export const pathOf = Effect.fnUntraced(function* (territoryId: string) {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ path: ReadonlyArray<string> }>`
    select path from mahalla.territory where tenant_id = ${tenantId} and id = ${territoryId}`
  return row === undefined ? yield* new NotFound({ what: "territory", id: territoryId }) : row.path
})

/** All territories, parents before their children. */
export const listTerritories = Effect.fn("listTerritories")(function* () {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<Territory>`
    select id, parent_id as "parentId", kind, name, path from mahalla.territory
    where tenant_id = ${tenantId} order by cardinality(path), id`
})

const invalid = (error: Schema.SchemaError) => new InvalidInput({ issues: issuesOf(error) })
const decode = Schema.decodeUnknownEffect(NewTerritory, { errors: "all", onExcessProperty: "error" })

/** Adds a territory below its parent; needs `territory.manage` there. */
export const addTerritory = Effect.fn("addTerritory")(function* (input: unknown) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const { boundary, kind, name, ...given } = yield* Effect.mapError(decode(input), invalid)
  const parentId = given.parentId ?? null
  const above = parentId === null ? [] : yield* pathOf(parentId)
  yield* demand("territory.manage", { territoryPath: above })
  const id = given.id ?? (yield* newId)
  const path = [id, ...above]
  const bounds = boundary === undefined ? undefined : boundsOf(boundary)
  yield* sql`
    insert into mahalla.territory (tenant_id, id, parent_id, kind, name, path, boundary, west, south, east, north)
    values (${tenantId}, ${id}, ${parentId}, ${kind}, ${JSON.stringify(name)}::text::jsonb, ${path}::uuid[],
            ${boundary === undefined ? null : JSON.stringify(boundary)}::text::jsonb,
            ${bounds?.west ?? null}, ${bounds?.south ?? null}, ${bounds?.east ?? null}, ${bounds?.north ?? null})`
  yield* appendEvent(TerritoryAdded, { territoryId: id, parentId, kind }, { actorId: actor.id })
  yield* afterCommit(areas.forget(tenantId))
  return { id, parentId, kind, name, path } satisfies Territory
})

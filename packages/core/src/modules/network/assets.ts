/** Assets one by one and in lists. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { BoundingBox } from "../../kernel/cases/geo.ts"
import { InvalidInput, NotFound, Refused, VersionConflict } from "../../kernel/cases/model.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import { appendEvent } from "../../kernel/events/append.ts"
import { newId } from "../../kernel/ids.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { lengthOf } from "./geojson.ts"
import {
  AssetChanged,
  type AssetFacts,
  type AssetKind,
  type AssetShape,
  lineKinds,
  pointKinds,
  type Position
} from "./model.ts"
import { loadNetwork, touchNetwork } from "./networks.ts"
import { meets, metresTo, placeOf } from "./places.ts"
import { boxAround } from "../../kernel/cases/geo.ts"
import type { Place } from "../../kernel/cases/model.ts"

export interface AssetRow extends AssetFacts {
  readonly id: string
  readonly networkId: string
  readonly shape: AssetShape
  readonly fromId: string | null
  readonly toId: string | null
  readonly longitude: number | null
  readonly latitude: number | null
  readonly coordinates: ReadonlyArray<Position> | null
  readonly version: number
  readonly retiredAt: Date | null
  readonly changedAt: Date
}

const columns = `a.id, a.network_id as "networkId", a.shape, a.kind, a.external_id as "externalId", a.from_id as "fromId", a.to_id as "toId",
  a.status, a.operable, a.directed, a.length, a.diameter, a.material, a.installed_on as "installedOn", a.customers, a.demand, a.properties,
  a.longitude, a.latitude, a.coordinates, a.version, a.retired_at as "retiredAt", a.changed_at as "changedAt"`

export interface AssetFilter {
  readonly network?: string | undefined
  readonly kind?: ReadonlyArray<AssetKind> | undefined
  readonly bbox?: BoundingBox | undefined
  /** How the external id begins, whatever the case of its letters. */
  readonly q?: string | undefined
}

/** The first text after all that begin with this one, in the order of bytes. */
const after = (prefix: string): string => `${prefix}\u{10FFFF}`

const conditions = Effect.fnUntraced(function* (filter: AssetFilter) {
  const { sql, tenantId } = yield* TenantTx
  const where: Array<Fragment> = [sql`a.tenant_id = ${tenantId}`, sql`a.retired_at is null`]
  if (filter.network !== undefined) where.push(sql`a.network_id = ${filter.network}`)
  if (filter.kind !== undefined) where.push(sql`a.kind = any (${filter.kind}::text[])`)
  if (filter.q !== undefined) {
    const begins = filter.q.toLowerCase()
    where.push(sql`a.search >= ${begins} and a.search < ${after(begins)}`)
  }
  if (filter.bbox !== undefined) where.push(meets(sql, filter.bbox))
  return where
})

/** Newest first, without what was retired. `limit` at least 1. */
export const listAssets = Effect.fn("network.listAssets")(function* (
  filter: AssetFilter,
  page: { readonly cursor?: string | undefined; readonly limit: number }
) {
  const { sql, tenantId } = yield* TenantTx
  const where = yield* conditions(filter)
  if (page.cursor !== undefined) where.push(sql`a.id < ${page.cursor}`)
  const newest = sql`order by a.id desc limit ${page.limit + 1}`
  const all = sql`select ${sql.literal(columns)} from mahalla.asset a`
  // A box or a name is found first and put in order then: the planner would rather walk the newest of the whole city until the page is full.
  const rows = yield* filter.bbox === undefined && filter.q === undefined
    ? sql<AssetRow>`${all} where ${sql.and(where)} ${newest}`
    : sql<AssetRow>`
        with found as materialized (select a.id from mahalla.asset a where ${sql.and(where)})
        ${all} where a.tenant_id = ${tenantId} and a.id in (select a.id from found a ${newest}) order by a.id desc`
  const items = rows.slice(0, page.limit)
  return { items, ...(rows.length > page.limit ? { cursor: items.at(-1)!.id } : {}) }
})

/** Retired ones too: what points to them goes on pointing to something. */
export const loadAsset = Effect.fnUntraced(function* (id: string, lock = false) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<AssetRow>`
    select ${sql.literal(columns)} from mahalla.asset a where a.tenant_id = ${tenantId} and a.id = ${id} ${lock ? sql`for update` : sql``}`
  return rows[0] ?? (yield* new NotFound({ what: "asset", id }))
})

/** By their ids, in no order. */
export const loadAssets = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<AssetRow>`
    select ${sql.literal(columns)} from mahalla.asset a where a.tenant_id = ${tenantId} and a.id = any (${ids}::uuid[])`
})

/** Where an asset lies; empty where nobody knows. */
export const positionsOf = ({
  coordinates,
  latitude,
  longitude
}: Pick<AssetRow, "coordinates" | "longitude" | "latitude">): ReadonlyArray<Position> =>
  coordinates ?? (longitude === null || latitude === null ? [] : [[longitude, latitude]])

/** Metres within which the nearest is looked for, one after the other. */
const circles = [50, 500, 5_000] as const

/** The nearest asset to a place and how many metres it is away; undefined where there is none within 5 km. */
export const nearestAsset = Effect.fn("network.nearestAsset")(function* (
  place: Place,
  filter: Omit<AssetFilter, "bbox">
) {
  const { sql } = yield* TenantTx
  for (const metres of circles) {
    const where = yield* conditions({ ...filter, bbox: boxAround(place, metres) })
    const rows = yield* sql<Pick<AssetRow, "id" | "longitude" | "latitude" | "coordinates">>`
      select a.id, a.longitude, a.latitude, a.coordinates from mahalla.asset a where ${sql.and(where)}`
    let best: { readonly id: string; readonly metres: number } | undefined
    for (const row of rows) {
      const distance = metresTo(place, positionsOf(row))
      if (distance <= metres && (best === undefined || distance < best.metres)) best = { id: row.id, metres: distance }
    }
    if (best !== undefined) return { asset: yield* loadAsset(best.id), metres: Math.round(best.metres * 1000) / 1000 }
  }
  return undefined
})

const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })

export interface NewAsset extends AssetFacts {
  readonly networkId: string
  /** A point's one, a line's from end to end; without one nobody knows where it is. */
  readonly positions: ReadonlyArray<Position>
  /** Ids of the points at a line's ends; both, or neither for a point. */
  readonly fromId?: string | undefined
  readonly toId?: string | undefined
}

const endOf = Effect.fnUntraced(function* (networkId: string, pointer: string, id: string) {
  const { sql, tenantId } = yield* TenantTx
  // Held, so that it is not retired meanwhile.
  const rows = yield* sql<{ longitude: number | null; latitude: number | null }>`
    select longitude, latitude from mahalla.asset
    where tenant_id = ${tenantId} and id = ${id} and network_id = ${networkId} and shape = 'point' and retired_at is null for key share`
  return rows[0] ?? (yield* issue(pointer, "There is no such point in this network."))
})

const announce = Effect.fnUntraced(function* (asset: AssetRow) {
  yield* touchNetwork(asset.networkId)
  yield* appendEvent(
    AssetChanged,
    {
      networkId: asset.networkId,
      assetId: asset.id,
      externalId: asset.externalId,
      kind: asset.kind,
      status: asset.status,
      retired: asset.retiredAt !== null
    },
    { actorId: (yield* Actor).id }
  )
  return asset
})

const taken = (externalId: string) =>
  Effect.mapError((error: SqlError) =>
    error.reason._tag === "UniqueViolation"
      ? issue("/externalId", `The network has ${externalId} already, or had it.`)
      : error
  )

/** Drawn by hand: imports leave it alone unless their file has one of the same name. */
export const createAsset = Effect.fn("network.createAsset")(function* (given: NewAsset) {
  const { sql, tenantId } = yield* TenantTx
  yield* loadNetwork(given.networkId)
  const shape: AssetShape = given.fromId === undefined && given.toId === undefined ? "point" : "line"
  if (!((shape === "line" ? lineKinds : pointKinds) as ReadonlyArray<string>).includes(given.kind))
    return yield* issue("/kind", shape === "line" ? `A ${given.kind} has no ends.` : `A ${given.kind} has two ends.`)
  let { positions } = given
  if (shape === "line") {
    if (given.fromId === undefined || given.toId === undefined || given.fromId === given.toId)
      return yield* issue(
        given.fromId === undefined ? "/fromId" : "/toId",
        "A line has two ends, which are not the same."
      )
    const from = yield* endOf(given.networkId, "/fromId", given.fromId)
    const to = yield* endOf(given.networkId, "/toId", given.toId)
    if (positions.length === 0)
      positions = [from, to].flatMap(({ latitude, longitude }): ReadonlyArray<Position> =>
        longitude === null || latitude === null ? [] : [[longitude, latitude]]
      )
    if (positions.length === 1) positions = []
  } else if (positions.length > 1) return yield* issue("/geometry", "A point has one place.")
  const place = placeOf(positions)
  const id = yield* newId
  const now = new Date(yield* Clock.currentTimeMillis)
  const length =
    given.length ?? (shape === "line" && positions.length > 0 ? Math.round(lengthOf(positions) * 1000) / 1000 : null)
  yield* sql`
    insert into mahalla.asset (tenant_id, network_id, id, shape, kind, external_id, from_id, to_id, status, operable, directed, length, diameter,
      material, installed_on, customers, demand, properties, longitude, latitude, west, south, east, north, coordinates, h3, reach, created_at,
      changed_at)
    values (${tenantId}, ${given.networkId}, ${id}, ${shape}, ${given.kind}, ${given.externalId}, ${given.fromId ?? null}, ${given.toId ?? null},
      ${given.status}, ${given.operable}, ${given.directed}, ${length}, ${given.diameter}, ${given.material}, ${given.installedOn}::text::date,
      ${given.customers}, ${given.demand}, ${JSON.stringify(given.properties)}::text::jsonb, ${place.longitude}, ${place.latitude}, ${place.west},
      ${place.south}, ${place.east}, ${place.north},
      ${shape === "line" && positions.length > 0 ? JSON.stringify(positions) : null}::text::jsonb, ${place.h3}, ${place.reach}, ${now}, ${now})`.pipe(
    taken(given.externalId)
  )
  return yield* announce(yield* loadAsset(id))
})

/** What may be said anew of an asset; its place and its ends are the drawing's. */
export type AssetChange = Partial<Omit<AssetFacts, "externalId" | "kind">>

const current = Effect.fnUntraced(function* (id: string, version: number | undefined) {
  const before = yield* loadAsset(id, true)
  if (version !== undefined && version !== before.version)
    return yield* new VersionConflict({ what: "asset", expected: version, found: before.version })
  if (before.retiredAt !== null)
    return yield* new Refused({ code: "retired", message: "The asset is retired; import or draw it again." })
  return before
})

/** Stays until a file says something else of this asset than it did at its import. */
export const changeAsset = Effect.fn("network.changeAsset")(function* (
  id: string,
  change: AssetChange,
  version: number | undefined
) {
  const { sql, tenantId } = yield* TenantTx
  const before = yield* current(id, version)
  const facts = { ...before, ...change }
  yield* sql`
    update mahalla.asset set status = ${facts.status}, operable = ${facts.operable}, directed = ${facts.directed}, length = ${facts.length},
      diameter = ${facts.diameter}, material = ${facts.material}, installed_on = ${facts.installedOn}::text::date, customers = ${facts.customers},
      demand = ${facts.demand}, properties = ${JSON.stringify(facts.properties)}::text::jsonb, version = version + 1,
      changed_at = ${new Date(yield* Clock.currentTimeMillis)}
    where tenant_id = ${tenantId} and id = ${id}`
  return yield* announce(yield* loadAsset(id))
})

/** It stays to be read, and is in no list, map or graph any more. A point at which lines end cannot go before them. */
export const retireAsset = Effect.fn("network.retireAsset")(function* (id: string, version: number | undefined) {
  const { sql, tenantId } = yield* TenantTx
  yield* current(id, version)
  const lines = yield* sql<{ name: string }>`
    select external_id as name from mahalla.asset where tenant_id = ${tenantId} and from_id = ${id} and retired_at is null
    union select external_id from mahalla.asset where tenant_id = ${tenantId} and to_id = ${id} and retired_at is null limit 5`
  if (lines.length > 0)
    return yield* new Refused({
      code: "in-use",
      message: `Lines end here: ${lines.map(({ name }) => name).join(", ")}. Retire them first.`
    })
  const now = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    update mahalla.asset set retired_at = ${now}, changed_at = ${now}, version = version + 1 where tenant_id = ${tenantId} and id = ${id}`
  yield* announce(yield* loadAsset(id))
})

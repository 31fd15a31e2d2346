/** Assets of an import into their table, some thousand in a statement. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { AssetShape } from "./model.ts"
import type { Prepared } from "./prepare.ts"

/** Adds or replaces, by network, shape and external id; what was retired is there again. */
export const writeAssets = Effect.fnUntraced(function* (
  networkId: string,
  assets: ReadonlyArray<Prepared>,
  idOf: (shape: AssetShape, externalId: string) => string,
  now: Date
) {
  const { sql, tenantId } = yield* TenantTx
  const rows = assets.map(({ externalId, from, h3, shape, to, ...rest }) => ({
    ...rest,
    shape,
    id: idOf(shape, externalId),
    external_id: externalId,
    from_id: from === null ? null : idOf("point", from),
    to_id: to === null ? null : idOf("point", to),
    h3: h3 === null ? null : String(h3)
  }))
  // As JSON: arrays for `unnest` would need a type of their own where a whole column is null.
  yield* sql`
    insert into mahalla.asset (tenant_id, network_id, id, shape, kind, external_id, from_id, to_id, status, operable, directed, length, diameter,
      material, installed_on, customers, demand, properties, longitude, latitude, west, south, east, north, coordinates, h3, reach, digest,
      created_at, changed_at)
    select ${tenantId}, ${networkId}, id, shape, kind, external_id, from_id, to_id, status, operable, directed, length, diameter, material,
      "installedOn", customers, demand, properties, longitude, latitude, west, south, east, north, nullif(coordinates, 'null'), h3, reach, digest,
      ${now}, ${now}
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as given (id uuid, shape text, kind text, external_id text, from_id uuid,
      to_id uuid, status text, operable boolean, directed boolean, length float8, diameter float8, material text, "installedOn" date,
      customers int, demand float8, properties jsonb, longitude float8, latitude float8, west float8, south float8, east float8, north float8,
      coordinates jsonb, h3 bigint, reach smallint, digest text)
    on conflict (tenant_id, network_id, shape, external_id) do update set
      kind = excluded.kind, from_id = excluded.from_id, to_id = excluded.to_id, status = excluded.status, operable = excluded.operable,
      directed = excluded.directed, length = excluded.length, diameter = excluded.diameter, material = excluded.material,
      installed_on = excluded.installed_on, customers = excluded.customers, demand = excluded.demand, properties = excluded.properties,
      longitude = excluded.longitude, latitude = excluded.latitude, west = excluded.west, south = excluded.south, east = excluded.east,
      north = excluded.north, coordinates = excluded.coordinates, h3 = excluded.h3, reach = excluded.reach, digest = excluded.digest,
      version = asset.version + 1, retired_at = null, changed_at = excluded.changed_at`
})

/** Of these, points at which a line drawn by hand still ends stay. Gives who went. */
export const retireVanished = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, now: Date) {
  const { sql, tenantId } = yield* TenantTx
  if (ids.length === 0) return new Set<string>()
  const rows = yield* sql<{ id: string }>`
    update mahalla.asset a set retired_at = ${now}, changed_at = ${now}, version = version + 1
    where a.tenant_id = ${tenantId} and a.id = any (${ids}::uuid[])
      and not exists (select from mahalla.asset l where l.tenant_id = a.tenant_id and l.from_id = a.id and l.retired_at is null and l.digest is null)
      and not exists (select from mahalla.asset l where l.tenant_id = a.tenant_id and l.to_id = a.id and l.retired_at is null and l.digest is null)
    returning a.id`
  return new Set(rows.map(({ id }) => id))
})

/** Map tiles: Mapbox Vector Tile 2.1, made when they are asked for, with the layers `lines` and `points`. */
import { geoJSONToTile } from "@maplibre/geojson-vt"
import { fromGeojsonVt } from "@maplibre/vt-pbf"
import type { Feature } from "geojson"
import * as Effect from "effect/Effect"
import type { BoundingBox } from "../../kernel/cases/geo.ts"
import { TenantTx } from "../../kernel/db/Database.ts"
import type { AssetRow } from "./assets.ts"
import { positionsOf } from "./assets.ts"
import { meets } from "./places.ts"

export interface TileAddress {
  /** 0–22. */
  readonly z: number
  readonly x: number
  readonly y: number
}

/** Units on a side, and how many a tile shows beyond its edge. */
const extent = 4096
const buffer = 64

const longitudeAt = (x: number, z: number) => (x / 2 ** z) * 360 - 180
/** Web Mercator, EPSG:3857. */
const latitudeAt = (y: number, z: number) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * y) / 2 ** z))) * 180) / Math.PI

/** What a tile shows, with its margin. */
export const boundsOf = ({ x, y, z }: TileAddress): BoundingBox => {
  const margin = buffer / extent
  return {
    west: Math.max(-180, longitudeAt(x - margin, z)),
    south: latitudeAt(y + 1 + margin, z),
    east: Math.min(180, longitudeAt(x + 1 + margin, z)),
    north: latitudeAt(y - margin, z)
  }
}

type TileRow = Pick<
  AssetRow,
  "id" | "shape" | "kind" | "externalId" | "status" | "diameter" | "material" | "longitude" | "latitude" | "coordinates"
>

const featureOf = (row: TileRow): Feature => {
  const positions = positionsOf(row).map(([longitude, latitude]) => [longitude, latitude])
  const { diameter, externalId, id, kind, material, status } = row
  return {
    type: "Feature",
    geometry:
      row.shape === "line"
        ? { type: "LineString", coordinates: positions }
        : { type: "Point", coordinates: positions[0]! },
    properties: {
      ...{ id, kind, externalId, status },
      ...(diameter === null ? {} : { diameter }),
      ...(material === null ? {} : { material })
    }
  }
}

/** An encoded tile; empty where nothing lies. */
export const encodeTile = (rows: ReadonlyArray<TileRow>, { x, y, z }: TileAddress): Uint8Array => {
  const layer = (shape: TileRow["shape"]) =>
    geoJSONToTile(
      { type: "FeatureCollection", features: rows.filter((row) => row.shape === shape).map(featureOf) },
      z,
      x,
      y,
      // At the deepest zooms nothing is left out.
      { extent, buffer, clip: true, tolerance: z >= 16 ? 0 : 3 }
    )
  const layers = { lines: layer("line"), points: layer("point") }
  return fromGeojsonVt(Object.fromEntries(Object.entries(layers).filter(([, { features }]) => features.length > 0)), {
    version: 2,
    extent
  })
}

/** From which zoom a kind of point is shown: sources from afar, what stands at every house from near. */
const pointsShown = (z: number): ReadonlyArray<string> => [
  ...["reservoir", "tank"],
  ...(z >= 11 ? ["pump"] : []),
  ...(z >= 13 ? ["valve"] : []),
  ...(z >= 15 ? ["hydrant", "meter", "junction", "other"] : [])
]

/** Lines in a tile at most, and points: a map has no more dots. */
const most = 5_000

/**
 * Assets of a network that a tile shows: of lines those that are at least four of its units long. Where there are more than a map can draw, the
 * widest and longest, so that from afar one sees the mains, and of points the sources first. Neither pushes the other out.
 */
export const loadTile = Effect.fn("network.loadTile")(function* (networkId: string, tile: TileAddress) {
  const { sql, tenantId } = yield* TenantTx
  const least = tile.z >= 15 ? 0 : (4 / extent) * (360 / 2 ** tile.z)
  const shown = pointsShown(tile.z)
  const found = sql`
    select a.id, a.shape, a.kind, a.external_id as "externalId", a.status, a.diameter, a.material, a.longitude, a.latitude, a.coordinates
    from mahalla.asset a
    where ${meets(sql, boundsOf(tile))} and a.tenant_id = ${tenantId} and a.network_id = ${networkId} and a.retired_at is null`
  return yield* sql<TileRow>`
    (${found} and a.shape = 'line' and greatest(a.east - a.west, a.north - a.south) >= ${least}
     order by a.diameter desc nulls last, a.length desc nulls last, a.id limit ${most})
    union all
    (${found} and a.shape = 'point' and a.kind = any (${shown}::text[])
     order by array_position(${shown}::text[], a.kind), a.id limit ${most})`
})

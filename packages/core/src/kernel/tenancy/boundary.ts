/** Areas as GeoJSON (RFC 7946), WGS84. One that crosses the antimeridian comes cut in two, as the RFC asks. */
import * as Schema from "effect/Schema"
import pointInPolygon from "point-in-polygon-hao"
import type { Place } from "../cases/model.ts"

/** Longitude, latitude, and perhaps a height that nobody looks at. */
export const Position = Schema.Array(Schema.Finite).check(
  Schema.isMinLength(2),
  Schema.makeFilter(
    ([longitude, latitude]: ReadonlyArray<number>) =>
      (Math.abs(longitude!) <= 180 && Math.abs(latitude!) <= 90) || "A position is longitude, latitude in degrees."
  )
)
const Ring = Schema.Array(Position).check(
  Schema.isMinLength(4),
  Schema.makeFilter((ring: ReadonlyArray<ReadonlyArray<number>>) => {
    const [first, last] = [ring[0], ring.at(-1)]
    return (first?.[0] === last?.[0] && first?.[1] === last?.[1]) || "A ring ends where it begins."
  })
)
/** The outer ring, then its holes. */
const Rings = Schema.Array(Ring).check(Schema.isMinLength(1))

export const Boundary = Schema.Union([
  Schema.Struct({ type: Schema.Literal("Polygon"), coordinates: Rings }),
  Schema.Struct({ type: Schema.Literal("MultiPolygon"), coordinates: Schema.Array(Rings).check(Schema.isMinLength(1)) })
])
export type Boundary = typeof Boundary.Type

const polygonsOf = (boundary: Boundary) => (boundary.type === "Polygon" ? [boundary.coordinates] : boundary.coordinates)

/** Whether a place lies inside; the edge is inside, that of a hole too. */
export const contains = (boundary: Boundary, place: Place): boolean =>
  polygonsOf(boundary).some(
    // The library takes mutable arrays and changes nothing in them.
    (rings) => pointInPolygon([place.longitude, place.latitude], rings as Array<Array<Array<number>>>) !== false
  )

export const boundsOf = (boundary: Boundary) => {
  const bounds = { west: 180, south: 90, east: -180, north: -90 }
  for (const [outer] of polygonsOf(boundary)) {
    for (const [longitude, latitude] of outer!) {
      bounds.west = Math.min(bounds.west, longitude!)
      bounds.east = Math.max(bounds.east, longitude!)
      bounds.south = Math.min(bounds.south, latitude!)
      bounds.north = Math.max(bounds.north, latitude!)
    }
  }
  return bounds
}

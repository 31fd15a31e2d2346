/**
 * Where assets lie, for B-trees. A point is found by its H3 cell. A line is found by the cell in the middle of its bounds, so a box is widened
 * by how far a line may reach from there; short lines, which are nearly all, are kept apart from long ones, so that one main across the county
 * does not widen every box.
 */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { type BoundingBox, boxAround, cellOf, coveringRanges, distanceBetween } from "../../kernel/cases/geo.ts"
import type { Place } from "../../kernel/cases/model.ts"
import type { Position } from "./model.ts"

/** Metres from its place that an asset of each reach may extend; the last has no bound. */
const reaches = [0, 250, 2_500] as const

/** What of an asset's place stands in its row. */
export interface PlaceColumns {
  readonly longitude: number | null
  readonly latitude: number | null
  readonly west: number | null
  readonly south: number | null
  readonly east: number | null
  readonly north: number | null
  readonly h3: bigint | null
  readonly reach: number | null
}

const nowhere: PlaceColumns = {
  longitude: null,
  latitude: null,
  west: null,
  south: null,
  east: null,
  north: null,
  h3: null,
  reach: null
}

/** Of a point's one position, or a line's in their order; nowhere without any. A line does not cross the antimeridian (RFC 7946, 3.1.9). */
export const placeOf = (positions: ReadonlyArray<Position>): PlaceColumns => {
  if (positions.length === 0) return nowhere
  let [west, south, east, north] = [180, 90, -180, -90]
  for (const [longitude, latitude] of positions) {
    west = Math.min(west, longitude)
    east = Math.max(east, longitude)
    south = Math.min(south, latitude)
    north = Math.max(north, latitude)
  }
  const place: Place = { longitude: (west + east) / 2, latitude: (south + north) / 2 }
  const extent =
    west === east && south === north
      ? 0
      : Math.max(
          distanceBetween(place, { longitude: east, latitude: place.latitude }),
          distanceBetween(place, { longitude: place.longitude, latitude: north })
        )
  const reach = reaches.findIndex((metres) => extent <= metres)
  return { ...place, west, south, east, north, h3: cellOf(place), reach: reach === -1 ? reaches.length : reach }
}

const widened = (box: BoundingBox, metres: number): BoundingBox => {
  const lower = boxAround({ longitude: box.west, latitude: box.south }, metres)
  const upper = boxAround({ longitude: box.east, latitude: box.north }, metres)
  const whole = box.west <= box.east ? box.east - box.west : box.east - box.west + 360
  const margin = Math.max(...[lower, upper].map(({ east, west }) => (east >= west ? east - west : east - west + 360)))
  if (whole + margin >= 359) return { west: -180, south: lower.south, east: 180, north: upper.north }
  const around = (longitude: number) => ((((longitude + 180) % 360) + 360) % 360) - 180
  return {
    west: around(box.west - margin / 2),
    south: lower.south,
    east: around(box.east + margin / 2),
    north: upper.north
  }
}

/** Rows of `asset a` whose bounds meet a box: by the index `asset_by_place`, then exactly. */
export const meets = (sql: SqlClient, box: BoundingBox): Fragment => {
  const byReach = reaches.map((metres, reach) => {
    const ranges = coveringRanges(metres === 0 ? box : widened(box, metres))
    const cells = ranges.map(([from, to]) => sql`a.h3 between ${from} and ${to}`)
    return cells.length === 0 ? sql`false` : sql`(a.reach = ${reach}::smallint and ${sql.or(cells)})`
  })
  const { east, north, south, west } = box
  return sql.and([
    sql.or([...byReach, sql`a.reach = ${reaches.length}::smallint`]),
    sql`a.south <= ${north} and a.north >= ${south}`,
    west <= east ? sql`a.west <= ${east} and a.east >= ${west}` : sql`(a.west <= ${east} or a.east >= ${west})`
  ])
}

/** Metres from a place to the nearest point of positions in degrees; exact to a thousandth within some kilometres. */
export const metresTo = ({ latitude, longitude }: Place, positions: ReadonlyArray<Position>): number => {
  const perDegree = 111_195
  const shrink = Math.cos((latitude * Math.PI) / 180)
  const plane = positions.map(
    ([x, y]) => [(((x - longitude + 540) % 360) - 180) * perDegree * shrink, (y - latitude) * perDegree] as const
  )
  // A line may have more places than a call takes arguments.
  let best = plane.reduce((least, [x, y]) => Math.min(least, Math.hypot(x, y)), Infinity)
  for (let place = 1; place < plane.length; place++) {
    const [ax, ay] = plane[place - 1]!
    const [bx, by] = plane[place]!
    const [dx, dy] = [bx - ax, by - ay]
    const squared = dx * dx + dy * dy
    if (squared === 0) continue
    const share = Math.min(1, Math.max(0, -(ax * dx + ay * dy) / squared))
    best = Math.min(best, Math.hypot(ax + share * dx, ay + share * dy))
  }
  return best
}

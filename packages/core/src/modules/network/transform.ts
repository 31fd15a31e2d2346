/**
 * From a file's coordinates to degrees. Drawings without a coordinate system are hung on one point of the map; surveys name their system, which
 * proj4 knows (EPSG codes of WGS84, Web Mercator and UTM, or any PROJ text).
 */
import proj4 from "proj4"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../../kernel/cases/model.ts"
import type { Position } from "./model.ts"

export const Transform = Schema.Union([
  Schema.Struct({
    kind: Schema.Literal("anchor"),
    /** Where the file's point (`x`, `y`) lies; north is up. */
    longitude: Schema.Finite,
    latitude: Schema.Finite,
    x: Schema.Finite,
    y: Schema.Finite,
    metresPerUnit: Schema.Finite
  }),
  Schema.Struct({ kind: Schema.Literal("projection"), projection: Schema.String }),
  /** They are degrees: longitude, then latitude. */
  Schema.Struct({ kind: Schema.Literal("degrees") })
])
export type Transform = typeof Transform.Type

/** What a request says of the coordinates; numbers are finite and in their bounds. */
export interface TransformQuery {
  readonly longitude?: number | undefined
  readonly latitude?: number | undefined
  readonly x?: number | undefined
  readonly y?: number | undefined
  readonly metresPerUnit?: number | undefined
  /** `EPSG:32642`, or a PROJ text as `+proj=tmerc +lon_0=69 …`; `degrees`. */
  readonly projection?: string | undefined
}

const wrong = (field: string, detail: string) => new InvalidInput({ issues: [{ pointer: `#query/${field}`, detail }] })

/** Undefined where the request says nothing. */
export const transformOf = (query: TransformQuery): Transform | undefined | InvalidInput => {
  const { latitude, longitude, metresPerUnit = 1, projection, x = 0, y = 0 } = query
  const anchored = longitude !== undefined || latitude !== undefined
  if (projection !== undefined && anchored)
    return wrong("projection", "Give either a projection or the longitude and latitude of an anchor.")
  const idle = (["x", "y", "metresPerUnit"] as const).find((field) => query[field] !== undefined)
  if (idle !== undefined && !anchored) return wrong(idle, "This belongs to an anchor; give its longitude and latitude.")
  if (projection !== undefined)
    return projection === "degrees" ? { kind: "degrees" } : { kind: "projection", projection }
  if (longitude === undefined && latitude === undefined) return undefined
  if (longitude === undefined || latitude === undefined)
    return wrong(longitude === undefined ? "longitude" : "latitude", "An anchor has a longitude and a latitude.")
  if (metresPerUnit <= 0) return wrong("metresPerUnit", "A unit of the file is more than 0 metres.")
  if (Math.abs(latitude) > 85) return wrong("latitude", "An anchor lies between 85 degrees south and north.")
  return { kind: "anchor", longitude, latitude, x, y, metresPerUnit }
}

/** Seven digits: about a centimetre. */
const rounded = (degrees: number): number => Math.round(degrees * 1e7) / 1e7

const projector = (projection: string): Effect.Effect<(position: Position) => Position, InvalidInput> =>
  Effect.try({
    try: () => {
      const converter = proj4(projection, "EPSG:4326")
      return ([x, y]: Position): Position => {
        try {
          const [longitude, latitude] = converter.forward([x, y])
          return [longitude!, latitude!]
        } catch {
          // Where a projection does not reach.
          return [Number.NaN, Number.NaN]
        }
      }
    },
    catch: () =>
      wrong(
        "projection",
        "proj4 does not know this system. Give EPSG:4326, EPSG:3857, a UTM zone as EPSG:32642, or its PROJ text from epsg.io."
      )
  })

/** A plane that touches the ellipsoid at the anchor: 20 km from there it is off by five metres in a million. */
const planeAt = ({ latitude, longitude }: { readonly longitude: number; readonly latitude: number }) =>
  `+proj=tmerc +lat_0=${latitude} +lon_0=${longitude} +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m +no_defs`

const converterOf = Effect.fnUntraced(function* (transform: Transform) {
  if (transform.kind === "degrees") return (position: Position) => position
  if (transform.kind === "projection") return yield* projector(transform.projection)
  const { metresPerUnit, x: originX, y: originY } = transform
  const onPlane = yield* projector(planeAt(transform))
  return ([x, y]: Position) => onPlane([(x - originX) * metresPerUnit, (y - originY) * metresPerUnit])
})

/** Gives degrees rounded to a centimetre, or undefined for a place that is not on the globe. */
export const placer = Effect.fnUntraced(function* (transform: Transform) {
  const convert = yield* converterOf(transform)
  return (position: Position): Position | undefined => {
    const [longitude, latitude] = convert(position)
    return Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90 ? [rounded(longitude), rounded(latitude)] : undefined
  }
})

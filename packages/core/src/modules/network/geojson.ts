/**
 * GeoJSON (RFC 7946) as a network: points are nodes, lines are links. A line names its ends in `from` and `to`, or they are the points within
 * the tolerance of its first and last position; where there is none, a junction is made, named by its place.
 */
import * as Schema from "effect/Schema"
import type { InvalidInput } from "../../kernel/cases/model.ts"
import { distanceBetween } from "../../kernel/cases/geo.ts"
import { existsInCalendar, issuesOf } from "../../kernel/cases/schema.ts"
import { makeFindings } from "./findings.ts"
import {
  AssetKind,
  type FileLine,
  type FilePoint,
  lineKinds,
  type NetworkFile,
  pointKinds,
  type Position
} from "./model.ts"
import { makeSnap } from "./snap.ts"

const Text = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100))
const Name = Schema.Union([Text, Schema.Finite])
const Amount = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1e9 }))
/** The members of `properties` that mean something; all others are kept as they are. */
const Known = Schema.Struct({
  kind: Schema.optionalKey(AssetKind),
  from: Schema.optionalKey(Name),
  to: Schema.optionalKey(Name),
  status: Schema.optionalKey(Schema.Literals(["open", "closed"])),
  operable: Schema.optionalKey(Schema.Boolean),
  /** Water goes the way the line was drawn. */
  directed: Schema.optionalKey(Schema.Boolean),
  length: Schema.optionalKey(Amount),
  diameter: Schema.optionalKey(Amount),
  material: Schema.optionalKey(Text),
  installedOn: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/),
      Schema.makeFilter((text: string) => existsInCalendar(text) || "There is no such day.")
    )
  ),
  customers: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e9 }))),
  demand: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: -1e9, maximum: 1e9 })))
})
type Known = typeof Known.Type
const decodeKnown = Schema.decodeUnknownResult(Known, { errors: "all" })
const knownNames = new Set([...Object.keys(Known.fields), "id", "name"])

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const positionOf = (value: unknown): Position | undefined => {
  if (!Array.isArray(value)) return undefined
  const [longitude, latitude] = value as ReadonlyArray<unknown>
  return typeof longitude === "number" &&
    typeof latitude === "number" &&
    Math.abs(longitude) <= 180 &&
    Math.abs(latitude) <= 90
    ? [longitude, latitude]
    : undefined
}

/** Metres along positions in degrees. */
export const lengthOf = (positions: ReadonlyArray<Position>): number =>
  positions
    .slice(1)
    .reduce(
      (sum, [longitude, latitude], place) =>
        sum +
        distanceBetween({ longitude: positions[place]![0], latitude: positions[place]![1] }, { longitude, latitude }),
      0
    )

const factsOf = (externalId: string, kind: AssetKind, known: Known, properties: Readonly<Record<string, unknown>>) => ({
  externalId,
  kind,
  status: known.status ?? ("open" as const),
  operable: known.operable ?? true,
  directed: known.directed ?? kind === "pump",
  diameter: known.diameter ?? null,
  material: known.material ?? null,
  installedOn: known.installedOn ?? null,
  customers: known.customers ?? 0,
  demand: known.demand ?? 0,
  properties: Object.fromEntries(Object.entries(properties).filter(([name]) => !knownNames.has(name)))
})

const junctionAt = ([longitude, latitude]: Position): FilePoint => ({
  ...factsOf(`@${longitude.toFixed(7)},${latitude.toFixed(7)}`, "junction", {}, {}),
  shape: "point",
  length: null,
  position: [longitude, latitude]
})

/** `tolerance` in metres. */
export const readGeoJson = (document: unknown, tolerance: number): NetworkFile | InvalidInput => {
  const findings = makeFindings()
  const points = new Map<string, FilePoint>()
  const lines = new Map<string, Omit<FileLine, "from" | "to"> & { readonly known: Known; readonly pointer: string }>()

  const read = (feature: unknown, pointer: string) => {
    if (!isObject(feature) || feature["type"] !== "Feature") return findings.add(pointer, "This is not a Feature.")
    const properties = isObject(feature["properties"]) ? feature["properties"] : {}
    const given = feature["id"] ?? properties["id"] ?? properties["name"]
    if ((typeof given !== "string" && typeof given !== "number") || !/^.{1,100}$/su.test(String(given)))
      return findings.add(
        `${pointer}/id`,
        "Every feature needs an id of 1 to 100 characters, so that the next import knows it again."
      )
    const externalId = String(given)
    const decoded = decodeKnown(
      Object.fromEntries(Object.entries(properties).filter(([name, value]) => name in Known.fields && value !== null))
    )
    if (decoded._tag === "Failure") {
      for (const issue of issuesOf(decoded.failure, `${pointer}/properties`)) findings.add(issue.pointer, issue.detail)
      return
    }
    const known = decoded.success
    const geometry = isObject(feature["geometry"]) ? feature["geometry"] : {}
    const coordinates = geometry["coordinates"]
    if (JSON.stringify(properties).length > 8192)
      return findings.add(`${pointer}/properties`, "Properties may have 8,192 characters.")
    if (geometry["type"] === "Point") {
      const position = positionOf(coordinates)
      if (position === undefined)
        return findings.add(`${pointer}/geometry/coordinates`, "A place is longitude and latitude in degrees.")
      const kind = known.kind ?? "junction"
      if (!(pointKinds as ReadonlyArray<string>).includes(kind))
        return findings.add(`${pointer}/properties/kind`, `A ${kind} is a line, not a point.`)
      if (points.has(externalId)) return findings.add(`${pointer}/id`, `Another point is named ${externalId}.`)
      points.set(externalId, {
        ...factsOf(externalId, kind, known, properties),
        shape: "point",
        length: null,
        position
      })
      return
    }
    // One line that somebody's program wrapped.
    const parts = geometry["type"] === "MultiLineString" && Array.isArray(coordinates) ? coordinates : undefined
    if (geometry["type"] !== "LineString" && parts?.length !== 1)
      return findings.add(`${pointer}/geometry`, "A network consists of Point and LineString.")
    const along = (parts === undefined ? coordinates : (parts[0] as unknown)) as ReadonlyArray<unknown>
    const vertices = Array.isArray(along) ? along.map(positionOf) : []
    if (vertices.length < 2 || vertices.includes(undefined))
      return findings.add(
        `${pointer}/geometry/coordinates`,
        "A line has at least two places, each longitude and latitude in degrees."
      )
    const kind = known.kind ?? "pipe"
    if (!(lineKinds as ReadonlyArray<string>).includes(kind))
      return findings.add(`${pointer}/properties/kind`, `A ${kind} is a point, not a line.`)
    if (lines.has(externalId)) return findings.add(`${pointer}/id`, `Another line is named ${externalId}.`)
    const positions = vertices as ReadonlyArray<Position>
    const length = known.length ?? Math.round(lengthOf(positions) * 1000) / 1000
    lines.set(externalId, {
      ...factsOf(externalId, kind, known, properties),
      shape: "line",
      length,
      vertices: positions,
      known,
      pointer
    })
  }

  if (!isObject(document) || document["type"] !== "FeatureCollection" || !Array.isArray(document["features"]))
    findings.add("", "The body is a GeoJSON FeatureCollection (RFC 7946).")
  else
    for (const [place, feature] of (document["features"] as ReadonlyArray<unknown>).entries())
      read(feature, `/features/${place}`)

  const snap = makeSnap(tolerance)
  for (const point of points.values()) if (point.position !== null) snap.add(point.externalId, point.position)
  let made = 0
  const endOf = (name: string | number | undefined, position: Position, pointer: string): string => {
    if (name !== undefined) {
      if (!points.has(String(name))) findings.add(pointer, `No point is named ${name}.`)
      return String(name)
    }
    const near = snap.nearest(position)
    if (near !== undefined) return near
    const junction = junctionAt(position)
    made++
    points.set(junction.externalId, junction)
    snap.add(junction.externalId, position)
    return junction.externalId
  }
  /** Metres from a point that a line names to a place of the line; 0 where it names none. */
  const metresTo = (name: string | number | undefined, [longitude, latitude]: Position): number => {
    const position = name === undefined ? undefined : points.get(String(name))?.position
    return position == null
      ? 0
      : distanceBetween({ longitude, latitude }, { longitude: position[0], latitude: position[1] })
  }
  const joined = [...lines.values()].map(({ known, pointer, ...drawn }): FileLine => {
    const [begin, end] = [drawn.vertices[0]!, drawn.vertices.at(-1)!]
    const isTurned =
      metresTo(known.from, end) + metresTo(known.to, begin) < metresTo(known.from, begin) + metresTo(known.to, end)
    const line = isTurned ? { ...drawn, vertices: drawn.vertices.toReversed() } : drawn
    for (const [name, place] of [
      [known.from, line.vertices[0]!],
      [known.to, line.vertices.at(-1)!]
    ] as const) {
      const metres = metresTo(name, place)
      if (metres > tolerance)
        findings.warn(`${line.externalId} is drawn ${Math.round(metres)} m from ${name}, where it ends.`)
    }
    const from = endOf(known.from, line.vertices[0]!, `${pointer}/properties/from`)
    const to = endOf(known.to, line.vertices.at(-1)!, `${pointer}/properties/to`)
    if (from === to)
      findings.add(
        `${pointer}/geometry`,
        `Both ends are at ${from}. Split the line, or take a smaller tolerance than ${tolerance} m.`
      )
    return { ...line, from, to, vertices: line.vertices.slice(1, -1) }
  })
  if (points.size === 0 && findings.failure() === undefined) findings.add("/features", "There is no asset in it.")
  if (made > 0) findings.warn(`${made} junctions were made where lines end and no point is.`)
  return findings.failure() ?? { title: "", points: [...points.values()], lines: joined, warnings: findings.warnings() }
}

/** A file's assets as rows: placed on the map, and each with a digest of all that the file says of it. */
import { hash } from "node:crypto"
import * as Effect from "effect/Effect"
import { makeFindings } from "./findings.ts"
import type { AssetFacts, AssetShape, FileLine, FilePoint, NetworkFile, Position } from "./model.ts"
import { type PlaceColumns, placeOf } from "./places.ts"
import { placer, type Transform } from "./transform.ts"

export interface Prepared extends AssetFacts, PlaceColumns {
  readonly shape: AssetShape
  /** External ids of a line's ends. */
  readonly from: string | null
  readonly to: string | null
  /** A line's, in degrees. */
  readonly coordinates: ReadonlyArray<Position> | null
  /** Equal digests: the file says the same. */
  readonly digest: string
}

const digestOf = (one: Omit<Prepared, "digest" | "h3">): string => hash("sha256", JSON.stringify(one), "base64url")

const finished = (
  facts: AssetFacts,
  more: Pick<Prepared, "shape" | "from" | "to" | "coordinates">,
  positions: ReadonlyArray<Position>
): Prepared => {
  const { h3, ...place } = placeOf(positions)
  // In one order, whatever order the reader of the format has.
  const { customers, demand, diameter, directed, externalId, installedOn, kind, length, material, operable } = facts
  const whole = {
    ...{ customers, demand, diameter, directed, externalId, installedOn, kind, length, material, operable },
    ...{ properties: facts.properties, status: facts.status },
    ...more,
    ...place
  }
  return { ...whole, h3, digest: digestOf(whole) }
}

/** Points first, so that lines find their ends. Without a transform nothing has a place. */
export const prepare = Effect.fnUntraced(function* (file: NetworkFile, transform: Transform | undefined) {
  const findings = makeFindings()
  for (const text of file.warnings) findings.warn(text)
  const convert = transform === undefined ? undefined : yield* placer(transform)
  const degrees = new Map<string, Position>()
  const outside = ({ externalId }: AssetFacts) =>
    findings.add("#query/projection", `This puts ${externalId} outside the globe; is it another system or anchor?`)
  const placePoint = (point: FilePoint): Prepared => {
    const position = point.position === null ? undefined : convert?.(point.position)
    if (position === undefined && point.position !== null && convert !== undefined) outside(point)
    if (position !== undefined) degrees.set(point.externalId, position)
    return finished(
      point,
      { shape: "point", from: null, to: null, coordinates: null },
      position === undefined ? [] : [position]
    )
  }
  const placeLine = (line: FileLine): Prepared => {
    const [from, to] = [degrees.get(line.from), degrees.get(line.to)]
    const between = convert === undefined ? [] : line.vertices.map(convert)
    if (between.includes(undefined)) outside(line)
    const whole =
      from === undefined || to === undefined ? [] : [from, ...between.filter((one) => one !== undefined), to]
    const ends = { shape: "line", from: line.from, to: line.to } as const
    return finished(line, { ...ends, coordinates: whole.length === 0 ? null : whole }, whole)
  }
  const points = file.points.map(placePoint)
  const lines = file.lines.map(placeLine)
  const failure = findings.failure()
  if (failure !== undefined) return yield* failure
  const unplaced = points.filter(({ longitude }) => longitude === null).length
  if (convert === undefined)
    findings.warn(
      "Nothing is on the map: the file says no coordinate system. Import it again with an anchor or a projection."
    )
  else if (unplaced > 0) findings.warn(`${unplaced} points have no coordinates and are not on the map.`)
  return { points, lines, warnings: findings.warnings() }
})

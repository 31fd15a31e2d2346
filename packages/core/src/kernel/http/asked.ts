/** What requests ask in words that several doors share: a version, a box. */
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { BoundingBox } from "../cases/geo.ts"
import { InvalidInput } from "../cases/model.ts"

const issue = (pointer: string, detail: string) => new InvalidInput({ issues: [{ pointer, detail }] })

/** The version in `If-Match`, if the request has one. */
export const versionAsked = (request: HttpServerRequest): Effect.Effect<number | undefined, InvalidInput> => {
  const header = request.headers["if-match"]
  if (header === undefined || header === "*") return Effect.succeed(undefined)
  const version = /^(?:W\/)?"(\d{1,9})"$/.exec(header)?.[1]
  return version === undefined
    ? Effect.fail(issue("#headers/if-match", 'If-Match must be an ETag that this address gave, as "3".'))
    : Effect.succeed(Number(version))
}

/** `west,south,east,north` in degrees; west greater than east crosses the antimeridian. */
export const boxAsked = (text: string): BoundingBox | InvalidInput => {
  const [west, south, east, north, ...rest] = text
    .split(",")
    .map((degree) => (degree.trim() === "" ? Number.NaN : Number(degree)))
  const good =
    rest.length === 0 &&
    [west, south, east, north].every((degree) => degree !== undefined && Number.isFinite(degree)) &&
    Math.abs(west!) <= 180 &&
    Math.abs(east!) <= 180 &&
    south! >= -90 &&
    north! <= 90 &&
    south! <= north!
  return good
    ? { west: west!, south: south!, east: east!, north: north! }
    : issue("#query/bbox", "Give west,south,east,north in degrees, south before north.")
}

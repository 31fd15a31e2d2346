/** Shapes of the API that several groups share: plain JSON, camelCase, times as RFC 3339 text. */
import * as Schema from "effect/Schema"
import { Id } from "../../kernel/ids.ts"

export const IdParam = Schema.Struct({ id: Id })

export const Timestamp = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })

const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/

/** A moment that the calendar and the database have: years 0001 to 9999. */
export const isMoment = (text: string): boolean =>
  rfc3339.test(text) && !text.startsWith("0000") && !Number.isNaN(Date.parse(text))

/** A moment that a request gives. */
export const GivenMoment = Schema.String.check(
  Schema.makeFilter((text: string) => isMoment(text) || "Give an RFC 3339 time, as 2026-11-20T08:00:00Z.")
).annotate({ format: "date-time", description: "RFC 3339" })

export const Json = Schema.Record(Schema.String, Schema.Unknown)

export const PlaceSchema = Schema.Struct({
  longitude: Schema.Finite.check(Schema.isBetween({ minimum: -180, maximum: 180 })),
  latitude: Schema.Finite.check(Schema.isBetween({ minimum: -90, maximum: 90 }))
}).annotate({ identifier: "Place", description: "WGS84 degrees" })

/** A case as its reader may see it: fields they may not see are absent. */
export const CaseView = Schema.Struct({
  id: Id,
  type: Schema.String,
  reference: Schema.String,
  state: Schema.String,
  phase: Schema.Literals(["open", "closed", "fixed"]),
  data: Json,
  place: Schema.optionalKey(Schema.NullOr(PlaceSchema)),
  territoryId: Schema.optionalKey(Schema.NullOr(Id)),
  ownerId: Schema.optionalKey(Schema.NullOr(Id)),
  assigneeId: Schema.optionalKey(Schema.NullOr(Id)),
  claimedBy: Schema.optionalKey(Schema.NullOr(Id)),
  claimedUntil: Schema.optionalKey(Schema.NullOr(Timestamp)),
  version: Schema.Int,
  createdAt: Timestamp,
  updatedAt: Timestamp,
  /** Transitions the reader could take now. */
  possible: Schema.optionalKey(Schema.Array(Schema.String))
}).annotate({ identifier: "Case" })

/** A page; `cursor` asks for the next one and is absent on the last. */
export const page = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), cursor: Schema.optionalKey(Schema.String) })

export const PageQuery = {
  cursor: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
  )
}

/** Pages of lists whose cursor is the last id. */
export const IdPageQuery = { ...PageQuery, cursor: Schema.optionalKey(Id) }

/** A list in a query: `a,b`. */
export const commaList = (text: string | undefined): ReadonlyArray<string> | undefined =>
  text === undefined || text === "" ? undefined : text.split(",")

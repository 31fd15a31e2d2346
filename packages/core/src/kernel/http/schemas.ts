/** Shapes of the API that several groups share: plain JSON, camelCase, times as RFC 3339 text. */
import * as Schema from "effect/Schema"
import { Id } from "../ids.ts"

export { GivenMoment, isMoment } from "../../kernel/http/moments.ts"

export const IdParam = Schema.Struct({ id: Id })

export const Timestamp = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })

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

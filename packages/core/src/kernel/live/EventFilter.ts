/** Which of the events they may hear of a live reader wants. Of several kinds of filter all must hold, of several values one. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../cases/model.ts"
import { issuesOf } from "../cases/schema.ts"
import { Id } from "../ids.ts"

/** Place in an order as text: up to 18 digits. */
export const Place = Schema.String.check(Schema.isPattern(/^\d{1,18}$/)).annotate({
  description: "A place in the order: digits"
})

export const Ids = Schema.Array(Id).check(Schema.isMinLength(1), Schema.isMaxLength(500))

export const EventFilter = Schema.Struct({
  /** Types of events; `alert.*` means all that begin with `alert.`. */
  types: Schema.optionalKey(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9.-]{0,99}(\.\*)?$/))).check(
      Schema.isMinLength(1),
      Schema.isMaxLength(100)
    )
  ),
  /** `severity` in the case's data, as alerts have it; of a change of it the one before too. */
  severity: Schema.optionalKey(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z][a-z-]{0,39}$/))).check(
      Schema.isMinLength(1),
      Schema.isMaxLength(20)
    )
  ),
  /** `originatorId` in the case's data: the device that an alert is about. */
  devices: Schema.optionalKey(Ids),
  /** A territory with all below it. */
  territory: Schema.optionalKey(Id)
})
export type EventFilter = typeof EventFilter.Type

const strict = { errors: "all", onExcessProperty: "error" } as const

/** Reads a filter from an address: lists are separated by commas. Names that the schema does not have are left alone. */
export const filterOfQuery = <A>(
  schema: Schema.Codec<A, unknown, never, never>,
  lists: ReadonlyArray<string>,
  others: ReadonlyArray<string>,
  url: string
): Effect.Effect<A, InvalidInput> => {
  const query = new URL(url, "http://local").searchParams
  const given: Record<string, unknown> = {}
  for (const name of lists) if (query.has(name)) given[name] = query.getAll(name).flatMap((text) => text.split(","))
  for (const name of others) if (query.has(name)) given[name] = query.get(name)
  return Effect.mapError(
    Schema.decodeUnknownEffect(schema, strict)(given),
    (error) => new InvalidInput({ issues: issuesOf(error, "#query").slice(0, 50) })
  )
}

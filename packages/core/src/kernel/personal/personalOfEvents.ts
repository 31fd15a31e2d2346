/** Personal values of events: what their commitments were made of. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import { personalColumn, personalRow } from "../events/append.ts"

export interface PersonalValue {
  readonly eventId: string
  readonly field: string
  /** With it and the value the commitment can be made again. */
  readonly salt: string
  readonly value: unknown
}

interface Row {
  readonly event_id: string
  readonly field: string
  readonly salt: string | null
  readonly value: unknown
  readonly sealed: string | null
}

const opened = ({ event_id: eventId, field, salt, sealed, value }: Row) =>
  sealed === null
    ? Effect.succeed<PersonalValue>({ eventId, field, salt: salt!, value })
    : Effect.map(personalColumn.open(personalRow(eventId, field), sealed), (text): PersonalValue => ({
        eventId,
        field,
        ...(JSON.parse(text) as Pick<PersonalValue, "salt" | "value">)
      }))

/** Of one event; none when they were erased. */
export const personalOfEvent = Effect.fnUntraced(function* (eventId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Row>`
    select event_id, field, salt, value, sealed from mahalla.event_personal
    where tenant_id = ${tenantId} and event_id = ${eventId} order by field`
  return yield* Effect.forEach(rows, opened)
})

/** Of the events about a person, or caused by them, in the order of the events. Index `event_personal_of`. */
export const personalOf = Effect.fnUntraced(function* (personId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<Row>`
    select event_id, field, salt, value, sealed from mahalla.event_personal
    where tenant_id = ${tenantId} and person_id = ${personId} order by event_id, field`
  return yield* Effect.forEach(rows, opened)
})

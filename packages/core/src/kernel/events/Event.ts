/**
 * Facts that happened. An event type says how its payload looks and which fields are personal; personal values are kept apart and
 * enter the event as salted commitments, so that erasing a person keeps every proof valid.
 */
import type * as Schema from "effect/Schema"
import type { Erased } from "../Erased.ts"

export interface EventType<Id extends string = string, Payload = unknown> {
  /** `module.what-happened`, as `reports.submitted`. */
  readonly id: Id
  readonly payload: Schema.Codec<Payload, Erased>
  /** Top-level fields of the payload that are personal data. */
  readonly personal: ReadonlyArray<string>
}

/**
 * Defines an event type.
 *
 * @example
 * const Registered = defineEvent({ id: "identity.registered", payload: Schema.Struct({ phone: Schema.String }), personal: ["phone"] })
 */
export const defineEvent = <const Id extends string, Payload>(definition: {
  readonly id: Id
  readonly payload: Schema.Codec<Payload, Erased>
  readonly personal?: ReadonlyArray<keyof Payload & string>
}): EventType<Id, Payload> => ({ id: definition.id, payload: definition.payload, personal: definition.personal ?? [] })

/** An event as stored and read in a tenant's order. */
export interface StoredEvent {
  readonly tenantId: string
  /** Place in the tenant's order, from 1 without gaps. */
  readonly position: bigint
  readonly id: string
  readonly type: string
  readonly caseId: string | null
  readonly actorId: string | null
  readonly payload: Readonly<Record<string, unknown>>
  readonly occurredAt: Date
}

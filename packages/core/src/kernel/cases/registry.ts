/**
 * The case types of this city, compiled: decoders, guards, events. Older versions that cases still carry are kept beside the newest.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PlatformTx } from "../db/Database.ts"
import { defineEvent, type EventType } from "../events/Event.ts"
import type { CaseType, CaseTypeDefinition } from "./CaseType.ts"
import { NotFound } from "./model.ts"
import { type Decoder, makeDecoder } from "./schema.ts"

const Payload = Schema.Record(Schema.String, Schema.Unknown)

export interface CompiledTransition {
  readonly decode: Decoder
  readonly event: EventType<string, Readonly<Record<string, unknown>>>
}

export interface CompiledCaseType extends CaseType {
  readonly decodeData: Decoder
  readonly created_: EventType<string, Readonly<Record<string, unknown>>>
  readonly compiled: Readonly<Record<string, CompiledTransition>>
}

export class CaseTypes extends Context.Service<
  CaseTypes,
  {
    /** The newest version of each type. */
    readonly all: ReadonlyArray<CompiledCaseType>
    readonly get: (id: string) => Effect.Effect<CompiledCaseType, NotFound>
  }
>()("@mahalla/kernel/CaseTypes") {}

/** Names of the top-level fields marked personal. */
const personalFields = (definition: CaseTypeDefinition, input?: CaseTypeDefinition["data"]) =>
  Object.entries({ ...definition.data.properties, ...input?.properties })
    .filter(([, field]) => field.personal === true)
    .map(([name]) => name)

export const compileCaseType = (type: CaseType): CompiledCaseType => {
  const { definition } = type
  return {
    ...type,
    decodeData: makeDecoder(definition.data),
    created_: defineEvent({ id: `${definition.id}.created`, payload: Payload, personal: personalFields(definition) }),
    compiled: Object.fromEntries(
      Object.entries(definition.transitions).map(([name, transition]) => [
        name,
        {
          decode: makeDecoder(transition.input ?? { properties: {} }),
          event: defineEvent({
            id: `${definition.id}.${transition.event ?? name}`,
            payload: Payload,
            personal: personalFields(definition, transition.input)
          })
        }
      ])
    )
  }
}

/** Every event type a case type can cause. */
export const eventTypesOf = (type: CompiledCaseType): ReadonlyArray<string> => [
  type.created_.id,
  ...new Set(Object.values(type.compiled).map((entry) => entry.event.id))
]

export const makeCaseTypes = (types: ReadonlyArray<CaseType>): CaseTypes["Service"] => {
  const compiled = new Map<string, CompiledCaseType>()
  for (const type of types) {
    if (compiled.has(type.definition.id))
      throw new Error(`Case type ${type.definition.id} is defined twice; rename one of them.`)
    compiled.set(type.definition.id, compileCaseType(type))
  }
  return {
    all: [...compiled.values()],
    get: (id) => {
      const found = compiled.get(id)
      return found === undefined ? Effect.fail(new NotFound({ what: "case type", id })) : Effect.succeed(found)
    }
  }
}

export class CaseTypeError extends Data.TaggedError("CaseTypeError")<{
  readonly type: string
  readonly message: string
}> {}

/**
 * Stores the definitions at start. A version that was stored with another content is refused; so is one that removes a state
 * in which cases stand, unless `movedStates` says where they go, and then they are moved.
 */
export const storeCaseTypes = Effect.fn("storeCaseTypes")(function* (types: ReadonlyArray<CompiledCaseType>) {
  const { sql } = yield* PlatformTx
  // Two servers may start at once.
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.case_type', 0))`
  for (const { definition } of types) {
    const stored = yield* sql<{ version: number; same: boolean }>`
      select version, definition = ${JSON.stringify(definition)}::text::jsonb as same from mahalla.case_type
      where id = ${definition.id} order by version desc limit 1`
    const last = stored[0]
    if (last !== undefined && last.version === definition.version && last.same) continue
    if (last !== undefined && last.version >= definition.version) {
      return yield* new CaseTypeError({
        type: definition.id,
        message:
          last.version === definition.version
            ? `Case type ${definition.id} version ${definition.version} was stored with another content. Count its version up.`
            : `Case type ${definition.id} is stored as version ${last.version}, newer than ${definition.version}. Start the newer deployment.`
      })
    }
    const occupied = yield* sql<{ state: string; amount: number }>`
      select state, count(*)::int as amount from mahalla.civic_case where type = ${definition.id} group by state`
    const moved = definition.movedStates ?? {}
    const lost = occupied.filter(
      (row) => definition.states[row.state] === undefined && definition.states[moved[row.state] ?? ""] === undefined
    )
    if (lost.length > 0) {
      return yield* new CaseTypeError({
        type: definition.id,
        message: `Case type ${definition.id} version ${definition.version} removes ${lost.map((row) => `${row.state} (${row.amount} cases)`).join(", ")}. Say in movedStates where they go.`
      })
    }
    yield* sql`insert into mahalla.case_type (id, version, definition) values (${definition.id}, ${definition.version}, ${JSON.stringify(definition)}::text::jsonb)`
    // Cases move to the new version: its schema reads their data, and its transitions rule them from now on.
    yield* sql`update mahalla.civic_case set type_version = ${definition.version} where type = ${definition.id}`
    for (const row of occupied.filter((entry) => definition.states[entry.state] === undefined)) {
      const to = moved[row.state]!
      yield* sql`
        update mahalla.civic_case set state = ${to}, phase = ${definition.states[to]!.phase}, version = version + 1, updated_at = now()
        where type = ${definition.id} and state = ${row.state}`
    }
  }
})

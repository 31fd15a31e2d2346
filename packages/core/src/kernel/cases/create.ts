/** Creating a case: checked data, a place in a territory, the first state with its deadlines, the event; one transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { attachToCase } from "../attachments/Attachments.ts"
import { TenantTx } from "../db/Database.ts"
import type { LaterWrite } from "../db/later.ts"
import { enterState } from "../deadlines/deadlines.ts"
import { appendEvent } from "../events/append.ts"
import { newId, referenceOf } from "../ids.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { territoryAt } from "../tenancy/territories.ts"
import type { Territory } from "../tenancy/Tenant.ts"
import type { CaseTypeDefinition } from "./CaseType.ts"
import { cellOf } from "./geo.ts"
import { type CaseRecord, InvalidInput, type Place, Refused } from "./model.ts"
import { CaseTypes } from "./registry.ts"

export interface CreateCase {
  readonly type: string
  readonly data: unknown
  readonly place?: Place | undefined
  /** Ids of stored attachments of the actor's. */
  readonly attachments?: ReadonlyArray<string> | undefined
  /** The territory it is in, with its path, for cases that the engine makes; null: none. Default: that of the place. */
  readonly territory?: Pick<Territory, "id" | "path"> | null | undefined
  /** The case this one belongs to, for cases that the engine makes. */
  readonly parentId?: string | undefined
  /** Whose case it is; for the engine only. Default: the actor. */
  readonly ownerId?: string | null | undefined
}

/** What the text search reads, in the order of the definition. */
export const searchText = (
  definition: CaseTypeDefinition,
  data: Readonly<Record<string, unknown>>,
  reference: string
): string =>
  [reference, ...(definition.search ?? []).map((field) => data[field]).filter((value) => value !== undefined)]
    .map(String)
    .join(" ")

const checkPlace = (definition: CaseTypeDefinition, place: Place | undefined) => {
  const issue = (detail: string) => Effect.fail(new InvalidInput({ issues: [{ pointer: "/place", detail }] }))
  if (place === undefined)
    return definition.place === "required" ? issue("A place is needed: longitude and latitude.") : Effect.void
  if (definition.place === "none") return issue("Cases of this type have no place.")
  const inside = Math.abs(place.longitude) <= 180 && Math.abs(place.latitude) <= 90
  return inside ? Effect.void : issue("Longitude is between -180 and 180, latitude between -90 and 90.")
}

const checkAttachments = (definition: CaseTypeDefinition, given: number) => {
  const { max, min } = definition.attachments
  return given >= min && given <= max
    ? Effect.void
    : Effect.fail(
        new InvalidInput({
          issues: [
            {
              pointer: "/attachments",
              detail: min === max ? `Needs ${min} attachments.` : `Needs ${min} to ${max} attachments.`
            }
          ]
        })
      )
}

const caseWrite: LaterWrite<Record<string, unknown>> = {
  insert: (sql, json) => sql`
    insert into mahalla.civic_case
      (tenant_id, id, type, type_version, reference, state, phase, data, territory_id, longitude, latitude, h3, owner_id, search, created_at, updated_at)
    select tenant_id, id, type, type_version, reference, state, phase, data, territory_id, longitude, latitude, h3, owner_id,
      to_tsvector('simple', text), created_at, created_at
    from jsonb_to_recordset(${json}::text::jsonb) as given
      (tenant_id uuid, id uuid, type text, type_version integer, reference text, state text, phase text, data jsonb, territory_id uuid,
       longitude double precision, latitude double precision, h3 bigint, owner_id uuid, text text, created_at timestamptz)`
}

export const createCase = Effect.fnUntraced(function* (request: CreateCase) {
  const actor = yield* Actor
  const types = yield* CaseTypes
  const type = yield* types.get(request.type)
  const { definition } = type
  const byEngine = actor.kind === "system"
  if (!byEngine) {
    if (!definition.creatable) {
      return yield* new Refused({
        code: "not-creatable",
        message: `Cases of type ${definition.id} are made by the engine itself.`
      })
    }
    // An anonymous visitor needs no role where the type is open to all.
    if (!(actor.kind === "anonymous" && definition.anonymous)) yield* demand(`${definition.id}.create`)
  }
  const data = yield* type.decodeData(request.data ?? {}, "/data")
  yield* checkPlace(definition, request.place)
  yield* checkAttachments(definition, request.attachments?.length ?? 0)

  const { later, sql, tenantId } = yield* TenantTx
  const id = yield* newId
  const reference = referenceOf(id)
  const at = new Date(yield* Clock.currentTimeMillis)
  const { place } = request
  const given = byEngine ? request.territory : undefined
  const territory = given !== undefined ? given : place === undefined ? null : yield* territoryAt(place)
  const ownerId = byEngine ? (request.ownerId ?? null) : actor.id
  const initial = definition.states[definition.initial]!
  const record: CaseRecord = {
    id,
    type: definition.id,
    typeVersion: definition.version,
    reference,
    state: definition.initial,
    phase: initial.phase,
    data,
    place: place ?? null,
    territoryId: territory?.id ?? null,
    territoryPath: territory?.path ?? [],
    ownerId,
    assigneeId: null,
    claimedBy: null,
    claimedUntil: null,
    version: 1,
    createdAt: at,
    updatedAt: at
  }
  for (const guard of definition.guards ?? [])
    yield* type.guards[guard]!({ case: record, transition: "created", input: data })
  yield* later.soon(caseWrite, {
    tenant_id: tenantId,
    id,
    type: definition.id,
    type_version: definition.version,
    reference,
    state: definition.initial,
    phase: initial.phase,
    data,
    territory_id: territory?.id ?? null,
    longitude: place?.longitude ?? null,
    latitude: place?.latitude ?? null,
    h3: place === undefined ? null : String(cellOf(place)),
    owner_id: ownerId,
    text: searchText(definition, data, reference),
    created_at: at
  })
  if (request.attachments !== undefined && request.attachments.length > 0) yield* attachToCase(request.attachments, id)
  if (request.parentId !== undefined) {
    yield* sql`
      insert into mahalla.case_link (tenant_id, from_id, kind, to_id, created_by, created_at)
      values (${tenantId}, ${id}, 'parent', ${request.parentId}, ${actor.id}, ${at})`
  }
  yield* enterState(record, definition, null, definition.initial)
  yield* appendEvent(
    type.created_,
    {
      ...data,
      type: definition.id,
      reference,
      state: definition.initial,
      territoryId: record.territoryId,
      parentId: request.parentId ?? null
    },
    { caseId: id, actorId: actor.id }
  )
  if (type.created !== undefined) yield* type.created(record)
  return record
})

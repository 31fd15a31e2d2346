/**
 * Who sees what of a case: the one filter in front of every outlet, be it an answer, a list, a live feed, a webhook, an export or a
 * neighbour's format. Fields that the audience may not see are absent.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { decide, type Roles } from "../policy/decide.ts"
import { may, rolesFor } from "../policy/Policy.ts"
import { Actor, type Principal } from "../policy/Principal.ts"
import type { CaseTypeDefinition, FieldSchema, ObjectSchema, Visibility } from "./CaseType.ts"
import { type CaseRecord, NotFound, type Place } from "./model.ts"

/** Each sees what those before it see, and more. */
export type Audience = Visibility

const rank = { public: 0, owner: 1, staff: 2 } as const
export const sees = (audience: Audience, visibility: Visibility) => rank[audience] >= rank[visibility]

export const placeVisibility = (definition: CaseTypeDefinition): Visibility => definition.placeVisibility ?? "owner"

/** Of a field at the top of a case's data. */
export const fieldVisibility = (definition: CaseTypeDefinition, field: string): Visibility =>
  definition.data.properties[field]?.visibility ?? "owner"

/** A case as plain JSON. */
export interface CaseView {
  readonly id: string
  readonly type: string
  readonly reference: string
  readonly state: string
  readonly phase: CaseRecord["phase"]
  readonly data: Readonly<Record<string, unknown>>
  /** Null too where the audience may not see it. */
  readonly place: Place | null
  readonly territoryId: string | null
  readonly version: number
  /** RFC 3339, UTC. */
  readonly createdAt: string
  readonly updatedAt: string
  /** For the owner and staff. */
  readonly ownerId?: string | null
  readonly assigneeId?: string | null
  /** For staff: who has claimed it, until when; a claim of the past is none. */
  readonly claimedBy?: string | null
  readonly claimedUntil?: string | null
}

const hidden = Symbol("hidden")

/** What is left of a value; `above` is what holds for a field that says nothing itself. */
const visiblePart = (field: FieldSchema, value: unknown, audience: Audience, above: Visibility): unknown => {
  const visibility = field.visibility ?? above
  if (!sees(audience, visibility)) return hidden
  if (field.properties !== undefined) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return hidden
    return visibleFields({ properties: field.properties }, value as Record<string, unknown>, audience, visibility)
  }
  if (field.items !== undefined) {
    if (!Array.isArray(value)) return hidden
    const items = value.map((item) => visiblePart(field.items!, item, audience, visibility))
    return items.some((item) => item === hidden) || !sees(audience, field.items.visibility ?? visibility)
      ? hidden
      : items
  }
  return value
}

/** The fields of an object that the audience may see. Only staff sees fields that the schema does not know. */
export const visibleFields = (
  schema: ObjectSchema,
  data: Readonly<Record<string, unknown>>,
  audience: Audience,
  above: Visibility = "owner"
): Readonly<Record<string, unknown>> => {
  if (audience === "staff") return data
  const parts: Array<readonly [string, unknown]> = []
  for (const [name, field] of Object.entries(schema.properties)) {
    if (data[name] === undefined) continue
    const part = visiblePart(field, data[name], audience, above)
    if (part !== hidden) parts.push([name, part])
  }
  return Object.fromEntries(parts)
}

export const viewOf = (record: CaseRecord, definition: CaseTypeDefinition, audience: Audience): CaseView => ({
  id: record.id,
  type: record.type,
  reference: record.reference,
  state: record.state,
  phase: record.phase,
  data: visibleFields(definition.data, record.data, audience),
  place: sees(audience, placeVisibility(definition)) ? record.place : null,
  territoryId: record.territoryId,
  version: record.version,
  createdAt: record.createdAt.toISOString(),
  updatedAt: record.updatedAt.toISOString(),
  ...(sees(audience, "owner") ? { ownerId: record.ownerId, assigneeId: record.assigneeId } : {}),
  ...(sees(audience, "staff")
    ? { claimedBy: record.claimedBy, claimedUntil: record.claimedUntil?.toISOString() ?? null }
    : {})
})

/**
 * To which audience somebody belongs for a case they may know of. Staff are those who were *given* the right to read such cases there:
 * a right that everybody of their kind has, such as citizens', makes nobody staff.
 */
export const decideAudience = (
  roles: Roles,
  principal: Principal,
  record: Pick<CaseRecord, "type" | "territoryPath" | "ownerId">,
  now: number
): Audience => {
  const given = decide(roles, {
    // An app has what it was given, and nothing for being an app.
    principal: principal.kind === "system" ? principal : { ...principal, kind: "app" },
    permission: `${record.type}.read`,
    tenantId: principal.tenantId,
    subject: { territoryPath: record.territoryPath },
    now
  })
  if (given.allowed) return "staff"
  return record.ownerId !== null && record.ownerId === principal.id ? "owner" : "public"
}

/** The actor's audience for a case that they may know of: see `demandVisible`. */
export const audienceOf = Effect.fnUntraced(function* (record: CaseRecord) {
  const actor = yield* Actor
  return decideAudience(yield* rolesFor(actor), actor, record, yield* Clock.currentTimeMillis)
})

/** Rights on a case depend on where it is and whose it is. */
export const subjectOf = (record: CaseRecord) => ({ territoryPath: record.territoryPath, ownerId: record.ownerId })

/** Whether the actor may know of the case. */
export const isVisible = Effect.fnUntraced(function* (record: CaseRecord, definition: CaseTypeDefinition) {
  return definition.public || (yield* may(`${record.type}.read`, subjectOf(record))).allowed
})

/** Fails with `NotFound` unless the actor may know of the case. */
export const demandVisible = Effect.fnUntraced(function* (record: CaseRecord, definition: CaseTypeDefinition) {
  if (!(yield* isVisible(record, definition))) return yield* new NotFound({ what: "case", id: record.id })
})

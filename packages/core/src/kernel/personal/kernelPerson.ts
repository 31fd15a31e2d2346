/** What the kernel holds of a person: who they are, their cases, comments and files, and personal values of events. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CaseTypes } from "../cases/registry.ts"
import { searchText } from "../cases/create.ts"
import { visibleFields } from "../cases/view.ts"
import { TenantTx } from "../db/Database.ts"
import { nameOf, type NameRow, phoneOf, type PhoneRow } from "./people.ts"
import { personalOf } from "./personalOfEvents.ts"
import type { PersonPart } from "./PersonPart.ts"

interface ProfileRow extends NameRow, PhoneRow {
  readonly id: string
  readonly kind: string
  readonly external_id: string | null
  readonly language: string
  readonly created_at: Date
}

const profile: PersonPart = {
  id: "profile",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const [row] = yield* sql<ProfileRow>`
      select id, kind, name, name_sealed, phone, phone_sealed, external_id, language, created_at from mahalla.principal
      where tenant_id = ${tenantId} and id = ${personId}`
    if (row === undefined) return null
    const roles = yield* sql`
      select role, territory_id as "territoryId", until from mahalla.role_grant
      where tenant_id = ${tenantId} and principal_id = ${personId} order by granted_at`
    const delegations = yield* sql`
      select role, permissions, territory_id as "territoryId", giver_id = ${personId} as given, given_at as "givenAt", until,
        ended_at as "endedAt"
      from mahalla.delegation
      where tenant_id = ${tenantId} and (giver_id = ${personId} or principal_id = ${personId}) order by given_at, id`
    return {
      id: row.id,
      kind: row.kind,
      name: yield* nameOf(row),
      phone: yield* phoneOf(row),
      externalId: row.external_id,
      language: row.language,
      createdAt: row.created_at,
      roles,
      delegations
    }
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.role_grant where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`
      delete from mahalla.delegation where tenant_id = ${tenantId} and (giver_id = ${personId} or principal_id = ${personId})`
    yield* sql`delete from mahalla.idempotency_key where tenant_id = ${tenantId} and principal_id = ${personId}`
    yield* sql`
      update mahalla.principal set status = 'erased', phone = null, phone_sealed = null, phone_index = null, name = null, name_sealed = null,
        external_id = null, language = 'en' where tenant_id = ${tenantId} and id = ${personId}`
  })
}

interface CaseRow {
  readonly id: string
  readonly type: string
  readonly reference: string
  readonly state: string
  readonly data: Readonly<Record<string, unknown>>
  readonly longitude: number | null
  readonly latitude: number | null
  readonly createdAt: Date
}

const casesOf = Effect.fnUntraced(function* (personId: string) {
  const { sql, tenantId } = yield* TenantTx
  return yield* sql<CaseRow>`
    select id, type, reference, state, data, longitude, latitude, created_at as "createdAt" from mahalla.civic_case
    where tenant_id = ${tenantId} and owner_id = ${personId} order by id`
})

const cases: PersonPart = {
  id: "cases",
  collect: Effect.fnUntraced(function* (personId) {
    const types = yield* CaseTypes
    return (yield* casesOf(personId)).map((row) => {
      const definition = types.all.find((type) => type.definition.id === row.type)?.definition
      return { ...row, data: definition === undefined ? {} : visibleFields(definition.data, row.data, "owner") }
    })
  }),
  // A decision rests on them: they stay, without what is marked personal in them, and their owner is a name of nobody.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const types = yield* CaseTypes
    for (const row of yield* casesOf(personId)) {
      const definition = types.all.find((type) => type.definition.id === row.type)?.definition
      // Made by the engine on the way to a decision: what is personal in it is somebody else's, a plate or an inspector's reasons.
      if (definition?.creatable === false) continue
      // Of a type that this city has no more nobody knows what is personal.
      const data =
        definition === undefined
          ? {}
          : Object.fromEntries(
              Object.entries(row.data).filter(([name]) => definition.data.properties[name]?.personal !== true)
            )
      if (Object.keys(data).length === Object.keys(row.data).length) continue
      const search = definition === undefined ? row.reference : searchText(definition, data, row.reference)
      yield* sql`
        update mahalla.civic_case set data = ${JSON.stringify(data)}::text::jsonb, search = to_tsvector('simple', ${search})
        where tenant_id = ${tenantId} and id = ${row.id}`
    }
    yield* sql`delete from mahalla.case_subscriber where tenant_id = ${tenantId} and principal_id = ${personId}`
  })
}

const comments: PersonPart = {
  id: "comments",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, case_id as "caseId", text, created_at as "createdAt" from mahalla.case_comment
      where tenant_id = ${tenantId} and author_id = ${personId} order by id`
  }),
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    // Its place in the conversation stays.
    yield* sql`update mahalla.case_comment set text = '…' where tenant_id = ${tenantId} and author_id = ${personId}`
  })
}

const files: PersonPart = {
  id: "files",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    return yield* sql`
      select id, case_id as "caseId", name, media_type as "mediaType", size::float8 as size, sha256, state, receipt, created_at as "createdAt"
      from mahalla.attachment where tenant_id = ${tenantId} and owner_id = ${personId} and role = 'original' order by id`
  }),
  // Evidence of a case stays with it. What was never attached goes with the next sweep.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const now = new Date(yield* Clock.currentTimeMillis)
    yield* sql`
      update mahalla.attachment set name = null, expires_at = case when case_id is null then ${now} else expires_at end
      where tenant_id = ${tenantId} and owner_id = ${personId} and role = 'original'`
  })
}

const events: PersonPart = {
  id: "events",
  collect: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    const personal = yield* personalOf(personId)
    const rows = yield* sql<{ id: string; type: string; at: Date }>`
      select id, type, occurred_at as at from mahalla.event
      where tenant_id = ${tenantId} and id = any (${personal.map(({ eventId }) => eventId)}::uuid[])`
    const byId = new Map(rows.map((row) => [row.id, row]))
    return personal.map((value) => ({ ...value, type: byId.get(value.eventId)?.type, at: byId.get(value.eventId)?.at }))
  }),
  // With the salts: then nobody can tell what a commitment was made of, and every proof stays valid.
  erase: Effect.fnUntraced(function* (personId) {
    const { sql, tenantId } = yield* TenantTx
    yield* sql`delete from mahalla.event_personal where tenant_id = ${tenantId} and person_id = ${personId}`
  })
}

export const kernelPerson: ReadonlyArray<PersonPart> = [profile, cases, comments, files, events]

/** The kernel's own sealed values, as the resealer goes through them: principals, personal values of events, stored answers. */
import * as Effect from "effect/Effect"
import { sent } from "../db/pipelined.ts"
import { personalColumn, personalRow } from "../events/append.ts"
import { answerColumn, answerRow } from "../idempotency/idempotency.ts"
import { prefixOf } from "./crypt.ts"
import { nameColumn, phoneColumn } from "./people.ts"
import { again, sealedPart, type SealedPart } from "./SealedPart.ts"

const count = (rows: ReadonlyArray<{ readonly amount: number }>) => rows[0]?.amount ?? 0

interface PrincipalRow {
  readonly id: string
  readonly phone: string | null
  readonly phone_sealed: string | null
  readonly name: string | null
  readonly name_sealed: string | null
}

const principals = sealedPart<PrincipalRow>({
  id: "kernel.principal",
  read: ({ sql, tenantId }, after, limit) => sql<PrincipalRow>`
    select id, phone, phone_sealed, name, name_sealed from mahalla.principal
    where tenant_id = ${tenantId} and (${after}::uuid is null or id > ${after}::uuid) order by id limit ${limit} for no key update`,
  position: (row) => row.id,
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId, vault } = reader
    const phone = yield* again(reader, phoneColumn, row.id, { sealed: row.phone_sealed, clear: row.phone })
    const name = yield* again(reader, nameColumn, row.id, { sealed: row.name_sealed, clear: row.name })
    if (phone === undefined && name === undefined) return
    const index = phone === undefined ? null : yield* vault.index(tenantId, "principal.phone", phone.text)
    yield* sent(sql`
      update mahalla.principal set phone = null, name = null, phone_sealed = coalesce(${phone?.sealed ?? null}, phone_sealed),
        phone_index = coalesce(${index}, phone_index), name_sealed = coalesce(${name?.sealed ?? null}, name_sealed)
      where tenant_id = ${tenantId} and id = ${row.id}`)
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.principal
        where tenant_id = ${tenantId} and (phone is not null or name is not null
          or not starts_with(coalesce(phone_sealed, ${prefixOf(version)}), ${prefixOf(version)})
          or not starts_with(coalesce(name_sealed, ${prefixOf(version)}), ${prefixOf(version)}))`,
      count
    )
})

interface PersonalRow {
  readonly event_id: string
  readonly field: string
  readonly sealed: string | null
  readonly clear: string | null
}

/** `<event> <field>`, as the row is named; both parts of the key. */
const partsOf = (position: string | null) => {
  const [eventId = null, field = null] = position?.split(" ") ?? []
  return { eventId, field }
}

const personal = sealedPart<PersonalRow>({
  id: "kernel.event-personal",
  read: ({ sql, tenantId }, after, limit) => {
    const { eventId, field } = partsOf(after)
    return sql<PersonalRow>`
      select event_id, field, sealed,
        case when sealed is null then jsonb_build_object('salt', salt, 'value', value)::text end as clear
      from mahalla.event_personal
      where tenant_id = ${tenantId} and (${eventId}::uuid is null or (event_id, field) > (${eventId}::uuid, ${field}::text))
      order by event_id, field limit ${limit} for no key update`
  },
  position: (row) => personalRow(row.event_id, row.field),
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, personalColumn, personalRow(row.event_id, row.field), row)
    if (made === undefined) return
    yield* sent(sql`
      update mahalla.event_personal set sealed = ${made.sealed}, salt = null, value = null
      where tenant_id = ${tenantId} and event_id = ${row.event_id} and field = ${row.field}`)
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.event_personal
        where tenant_id = ${tenantId} and (sealed is null or not starts_with(sealed, ${prefixOf(version)}))`,
      count
    )
})

interface AnswerRow {
  readonly principal_id: string
  readonly route: string
  readonly key: string
  readonly clear: string | null
  readonly sealed: string | null
}

const answers = sealedPart<AnswerRow>({
  id: "kernel.idempotency-key",
  read: ({ sql, tenantId }, after, limit) => {
    const [principalId = null, route = null, key = null] =
      after === null ? [] : (JSON.parse(after) as ReadonlyArray<string>)
    return sql<AnswerRow>`
      select principal_id, route, key, answer::text as clear, answer_sealed as sealed from mahalla.idempotency_key
      where tenant_id = ${tenantId}
        and (${principalId}::uuid is null or (principal_id, route, key) > (${principalId}::uuid, ${route}::text, ${key}::text))
      order by principal_id, route, key limit ${limit} for no key update`
  },
  position: (row) => answerRow(row.principal_id, row.route, row.key),
  reseal: Effect.fnUntraced(function* (reader, row) {
    const { sql, tenantId } = reader
    const made = yield* again(reader, answerColumn, answerRow(row.principal_id, row.route, row.key), row)
    if (made === undefined) return
    yield* sent(sql`
      update mahalla.idempotency_key set answer = null, answer_sealed = ${made.sealed}
      where tenant_id = ${tenantId} and principal_id = ${row.principal_id} and route = ${row.route} and key = ${row.key}`)
  }),
  left: ({ sql, tenantId, version }) =>
    Effect.map(
      sql<{ amount: number }>`
        select count(*)::int as amount from mahalla.idempotency_key
        where tenant_id = ${tenantId} and (answer is not null or not starts_with(coalesce(answer_sealed, ${prefixOf(version)}), ${prefixOf(version)}))`,
      count
    )
})

export const kernelParts: ReadonlyArray<SealedPart> = [principals, personal, answers]

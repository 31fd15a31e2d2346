/** How cases belong together: one is part of another, follows from others, or tells of the same matter as another. Never in a circle. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import type { CaseTypeDefinition } from "./CaseType.ts"
import { type CaseRecord, NotFound, Refused } from "./model.ts"
import { carrySubscribers } from "./subscribe.ts"
import { isVisible, subjectOf } from "./view.ts"
import { caseColumns, type CaseRow, recordOf } from "./record.ts"
import { CaseTypes } from "./registry.ts"
import { visibleCase } from "./visible.ts"

export type LinkKind = "parent" | "duplicate-of" | "caused-by"

/** Both cases have an event; `direction` says which end this one is. */
export const CaseLinked = defineEvent({
  id: "case.linked",
  payload: Schema.Struct({
    type: Schema.String,
    reference: Schema.String,
    kind: Schema.String,
    direction: Schema.Literals(["from", "to"]),
    otherId: Schema.String,
    otherReference: Schema.String
  })
})
export const CaseUnlinked = defineEvent({ id: "case.unlinked", payload: CaseLinked.payload })

const announce = Effect.fnUntraced(function* (
  event: typeof CaseLinked | typeof CaseUnlinked,
  kind: LinkKind,
  from: CaseRecord,
  to: CaseRecord
) {
  const actor = yield* Actor
  for (const [record, other, direction] of [
    [from, to, "from"],
    [to, from, "to"]
  ] as const) {
    yield* appendEvent(
      event,
      {
        type: record.type,
        reference: record.reference,
        kind,
        direction,
        otherId: other.id,
        otherReference: other.reference
      },
      { caseId: record.id, actorId: actor.id }
    )
  }
})

/** Both ends, locked in one order whoever asks; the actor needs `<type>.link` on both. */
const bothEnds = Effect.fnUntraced(function* (fromId: string, toId: string) {
  const { sql, tenantId } = yield* TenantTx
  // Links are made one at a time in a tenant: two at once could close a circle that neither sees.
  yield* sql`select pg_advisory_xact_lock(hashtextextended('mahalla.case_link ' || ${tenantId}::text, 0))`
  const ends = new Map<string, { readonly record: CaseRecord; readonly definition: CaseTypeDefinition }>()
  for (const id of [fromId, toId].sort()) ends.set(id, yield* visibleCase(id, { lock: true }))
  for (const { record } of ends.values()) yield* demand(`${record.type}.link`, subjectOf(record))
  return { from: ends.get(fromId)!, to: ends.get(toId)! }
})

/** The case that this one is a part or a duplicate of. */
const singleLink = Effect.fnUntraced(function* (fromId: string, kind: "parent" | "duplicate-of") {
  const { sql, tenantId } = yield* TenantTx
  const [row] = yield* sql<{ id: string; reference: string }>`
    select c.id, c.reference from mahalla.case_link l
    join mahalla.civic_case c on c.tenant_id = l.tenant_id and c.id = l.to_id
    where l.tenant_id = ${tenantId} and l.from_id = ${fromId} and l.kind = ${kind}`
  return row
})

const insertLink = Effect.fnUntraced(function* (kind: LinkKind, from: CaseRecord, to: CaseRecord) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const circle = yield* sql`
    with recursive reached (id) as (
      select ${to.id}::uuid
      union
      select l.to_id from reached
      join mahalla.case_link l on l.tenant_id = ${tenantId} and l.from_id = reached.id and l.kind = ${kind}
    )
    select from reached where id = ${from.id}`
  if (circle.length > 0) {
    const message = `${to.reference} already leads to ${from.reference} by ${kind}; this link would close a circle. Remove that one first.`
    return yield* new Refused({ code: "circle", message })
  }
  if (kind !== "caused-by") {
    const other = yield* singleLink(from.id, kind)
    if (other?.id === to.id) return
    if (other !== undefined) {
      const message = `${from.reference} is linked to ${other.reference} as ${kind} already. Remove that link first.`
      return yield* new Refused({ code: "already-linked", message })
    }
  }
  const at = new Date(yield* Clock.currentTimeMillis)
  const made = yield* sql`
    insert into mahalla.case_link (tenant_id, from_id, kind, to_id, created_by, created_at)
    values (${tenantId}, ${from.id}, ${kind}, ${to.id}, ${actor.id}, ${at}) on conflict do nothing returning kind`
  if (made.length > 0) yield* announce(CaseLinked, kind, from, to)
})

/** Makes a case part of another, or a consequence of it; needs `<type>.link` on both. `Refused` with code `circle` or `already-linked`. */
export const linkCases = Effect.fn("linkCases")(function* (link: {
  readonly fromId: string
  readonly kind: Exclude<LinkKind, "duplicate-of">
  readonly toId: string
}) {
  const { from, to } = yield* bothEnds(link.fromId, link.toId)
  yield* insertLink(link.kind, from.record, to.record)
})

/** Takes a link away; needs `<type>.link` on both. A duplicate that was closed by merging stays closed. */
export const unlinkCases = Effect.fn("unlinkCases")(function* (link: {
  readonly fromId: string
  readonly kind: LinkKind
  readonly toId: string
}) {
  const { sql, tenantId } = yield* TenantTx
  const { from, to } = yield* bothEnds(link.fromId, link.toId)
  const gone = yield* sql`
    delete from mahalla.case_link
    where tenant_id = ${tenantId} and from_id = ${link.fromId} and kind = ${link.kind} and to_id = ${link.toId} returning kind`
  if (gone.length === 0) return yield* new NotFound({ what: "link", id: `${link.fromId} ${link.kind} ${link.toId}` })
  yield* announce(CaseUnlinked, link.kind, from.record, to.record)
})

/**
 * Says that a case tells of the same matter as another of its type: links it, lets its owner and subscribers hear of the other, and
 * closes it by its type's internal transition `merge` where there is one that leads on from its state. Nothing of it is moved or lost:
 * its evidence is found through `duplicatesOf`. `take` runs the transition as the engine.
 */
export const mergeDuplicate = Effect.fn("mergeDuplicate")(function* <E, R>(
  merge: { readonly duplicateId: string; readonly intoId: string },
  take: (
    record: CaseRecord,
    transition: string,
    input: Readonly<Record<string, unknown>>
  ) => Effect.Effect<unknown, E, R>
) {
  const { from, to } = yield* bothEnds(merge.duplicateId, merge.intoId)
  if (from.record.type !== to.record.type) {
    const message = `A ${from.record.type} is no duplicate of a ${to.record.type}. Link them as parent or caused-by instead.`
    return yield* new Refused({ code: "other-type", message })
  }
  const original = yield* singleLink(to.record.id, "duplicate-of")
  if (original !== undefined && original.id !== from.record.id) {
    const message = `${to.record.reference} is itself a duplicate of ${original.reference}. Merge into that one.`
    return yield* new Refused({ code: "is-duplicate", message })
  }
  yield* insertLink("duplicate-of", from.record, to.record)
  if (to.record.phase !== "open") {
    const message = `${to.record.reference} is closed. Merge the other way round, or reopen it first.`
    return yield* new Refused({ code: "target-closed", message })
  }
  yield* carrySubscribers(from.record, to.record)
  const transition = from.definition.transitions["merge"]
  if (transition?.internal === true && transition.from.includes(from.record.state)) {
    yield* take(from.record, "merge", transition.input?.properties["into"] === undefined ? {} : { into: merge.intoId })
  }
})

/** Ids of all cases that were merged into this one, those merged into them included: their attachments are evidence of it too. */
export const duplicatesOf = Effect.fnUntraced(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  const rows = yield* sql<{ id: string }>`
    with recursive merged (id) as (
      select ${caseId}::uuid
      union
      select l.from_id from merged
      join mahalla.case_link l on l.tenant_id = ${tenantId} and l.to_id = merged.id and l.kind = 'duplicate-of'
    )
    select id from merged where id <> ${caseId} order by id`
  return rows.map((row) => row.id)
})

export interface CaseLink {
  readonly kind: LinkKind
  /** `from`: this case is the part, the consequence, the duplicate. */
  readonly direction: "from" | "to"
  readonly other: CaseRecord
}

/** A case's links to cases that the actor may know of. */
export const linksOf = Effect.fn("linksOf")(function* (caseId: string) {
  const { sql, tenantId } = yield* TenantTx
  yield* visibleCase(caseId)
  const rows = yield* sql<CaseRow & { readonly kind: LinkKind; readonly direction: "from" | "to" }>`
    select ${sql.literal(caseColumns)}, l.kind, l.direction from (
      select kind, 'from' as direction, to_id as id from mahalla.case_link where tenant_id = ${tenantId} and from_id = ${caseId}
      union all
      select kind, 'to', from_id from mahalla.case_link where tenant_id = ${tenantId} and to_id = ${caseId}
    ) l
    join mahalla.civic_case c on c.tenant_id = ${tenantId} and c.id = l.id
    left join mahalla.territory t on t.tenant_id = c.tenant_id and t.id = c.territory_id
    order by c.id limit 500`
  const types = yield* CaseTypes
  const links: Array<CaseLink> = []
  for (const row of rows) {
    const other = recordOf(row)
    const { definition } = yield* types.get(other.type)
    if (yield* isVisible(other, definition)) links.push({ kind: row.kind, direction: row.direction, other })
  }
  return links
})

/** What happened to a case, for people to read: its events and comments, as far as the reader may know of them. */
import * as Effect from "effect/Effect"
import { TenantTx } from "../db/Database.ts"
import type { StoredEvent } from "../events/Event.ts"
import { readCaseEvents } from "../events/read.ts"
import type { CaseTypeDefinition, LocalizedText, ObjectSchema } from "./CaseType.ts"
import type { CaseRecord } from "./model.ts"
import { type Audience, audienceOf, visibleFields } from "./view.ts"
import { visibleCase } from "./visible.ts"

export interface TimelineEntry {
  /** The event's id. */
  readonly id: string
  /** RFC 3339, UTC. */
  readonly at: string
  /** The event's type, as `traffic-report.accept`. */
  readonly type: string
  /** In the reader's language where the definition has it, else in English. */
  readonly title: string
  /** The case's owner, the engine itself, another citizen, or somebody of the city. */
  readonly by: "owner" | "engine" | "other" | "staff"
  /** For staff: which principal. */
  readonly actorId?: string | null
  /** Of a change of state. */
  readonly from?: string
  readonly to?: string
  readonly comment?: { readonly id: string; readonly visibility: "public" | "internal"; readonly text: string }
  /** What was given with it, as far as the reader may see it. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** Events of the kernel, with who may read of them. */
const kernelEvents: Readonly<Record<string, { readonly audience: Audience; readonly title: LocalizedText }>> = {
  "case.commented": { audience: "public", title: { en: "Comment", ru: "Комментарий", uz: "Izoh" } },
  "case.assigned": {
    audience: "owner",
    title: { en: "Assigned", ru: "Назначен ответственный", uz: "Mas’ul tayinlandi" }
  },
  "case.claimed": {
    audience: "staff",
    title: { en: "Claimed", ru: "Взято на рассмотрение", uz: "Ko‘rib chiqishga olindi" }
  },
  "case.claim-released": {
    audience: "staff",
    title: { en: "Claim released", ru: "Рассмотрение отпущено", uz: "Ko‘rib chiqish bo‘shatildi" }
  },
  "case.linked": { audience: "staff", title: { en: "Linked", ru: "Связано", uz: "Bog‘landi" } },
  "case.unlinked": {
    audience: "staff",
    title: { en: "Link removed", ru: "Связь удалена", uz: "Bog‘lanish olib tashlandi" }
  },
  "attachment.original-opened": {
    audience: "staff",
    title: { en: "Original opened", ru: "Открыт оригинал", uz: "Asl nusxa ochildi" }
  },
  "case.deadline-passed": { audience: "staff", title: { en: "Deadline passed", ru: "Срок истёк", uz: "Muddat o‘tdi" } },
  "case.escalated": { audience: "staff", title: { en: "Escalated", ru: "Передано выше", uz: "Yuqoriga uzatildi" } }
}
const received: LocalizedText = { en: "Received", ru: "Получено", uz: "Qabul qilindi" }

const rank = { public: 0, owner: 1, staff: 2 } as const

/** A text in a language, else in the language without its region, else in English. A language is whatever somebody sent: `constructor` is none. */
export const localized = (text: LocalizedText, language: string): string => {
  const known = [language, language.split("-")[0]!].find((name) => Object.hasOwn(text, name))
  return known === undefined ? text.en : text[known]!
}

const textOf = (value: unknown) => (typeof value === "string" ? value : undefined)

/** Whether such a reader may know that it happened; the one filter of timelines and live feeds. */
export const mayHearOf = (
  definition: CaseTypeDefinition,
  event: Pick<StoredEvent, "type" | "payload">,
  audience: Audience
): boolean => {
  // The case's own life: its creation and its changes of state.
  if (event.type.startsWith(`${definition.id}.`)) return true
  if (event.type === "case.commented" && event.payload["visibility"] === "internal") return audience === "staff"
  // What a module writes down is staff's to read, unless its case types say more.
  return rank[audience] >= rank[kernelEvents[event.type]?.audience ?? "staff"]
}

/** The words and the visible contents of one event; undefined when the reader may not know of it. */
const describe = (
  definition: CaseTypeDefinition,
  event: Omit<StoredEvent, "position">,
  audience: Audience,
  language: string
) => {
  const { payload, type } = event
  const of = (schema: ObjectSchema) =>
    visibleFields({ properties: { ...definition.data.properties, ...schema.properties } }, payload, audience)
  if (type === `${definition.id}.created`) {
    const to = textOf(payload["state"])
    return { title: localized(received, language), data: of(definition.data), ...(to === undefined ? {} : { to }) }
  }
  const transition = definition.transitions[textOf(payload["transition"]) ?? ""]
  if (type.startsWith(`${definition.id}.`) && transition !== undefined) {
    const [from, to] = [textOf(payload["from"]), textOf(payload["to"])]
    return {
      title: localized(transition.title, language),
      data: of(transition.input ?? { properties: {} }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to })
    }
  }
  const known = kernelEvents[type]
  if (type.startsWith(`${definition.id}.`) ? audience !== "staff" : !mayHearOf(definition, event, audience))
    return undefined
  const title = known?.title ?? definition.events?.[type]
  return {
    title: title === undefined ? type : localized(title, language),
    ...(audience === "staff" ? { data: payload } : {})
  }
}

interface CommentRow {
  readonly id: string
  readonly visibility: "public" | "internal"
  readonly text: string
  readonly kind: string | null
}

const commentsOf = Effect.fnUntraced(function* (events: ReadonlyArray<Omit<StoredEvent, "position">>) {
  const { sql, tenantId } = yield* TenantTx
  const ids = events.flatMap((event) => (event.type === "case.commented" ? [String(event.payload["commentId"])] : []))
  if (ids.length === 0) return new Map<string, CommentRow>()
  const rows = yield* sql<CommentRow>`
    select c.id, c.visibility, c.text, p.kind from mahalla.case_comment c
    left join mahalla.principal p on p.tenant_id = c.tenant_id and p.id = c.author_id
    where c.tenant_id = ${tenantId} and c.id = any (${ids}::uuid[])`
  return new Map(rows.map((row) => [row.id, row]))
})

const byWhom = (
  record: CaseRecord,
  definition: CaseTypeDefinition,
  event: Omit<StoredEvent, "position">,
  comment: CommentRow | undefined
) => {
  if (event.actorId !== null) {
    if (event.actorId === record.ownerId) return "owner"
    return comment?.kind === "person" ? "other" : "staff"
  }
  // An anonymous report is its sender's, whoever that is.
  return event.type === `${definition.id}.created` && definition.anonymous && record.ownerId === null
    ? "owner"
    : "engine"
}

/**
 * A page of a case's timeline, oldest first. It may be shorter than `limit`, even empty, for what the reader may not know is left out:
 * go on while there is a `cursor`.
 */
export const timelineOf = Effect.fn("timelineOf")(function* (
  caseId: string,
  page: {
    /** Cursor of the page before. */
    readonly after?: string | undefined
    /** 1–200, default 50. */
    readonly limit?: number | undefined
    /** BCP 47. Default `en`. */
    readonly language?: string | undefined
  } = {}
) {
  const { definition, record } = yield* visibleCase(caseId)
  const audience = yield* audienceOf(record)
  const limit = Math.min(Math.max(page.limit ?? 50, 1), 200)
  const events = yield* readCaseEvents(caseId, page.after ?? null, limit)
  const comments = yield* commentsOf(events)
  const items: Array<TimelineEntry> = []
  for (const event of events) {
    const described = describe(definition, event, audience, page.language ?? "en")
    if (described === undefined) continue
    const comment = comments.get(textOf(event.payload["commentId"]) ?? "")
    items.push({
      id: event.id,
      at: event.occurredAt.toISOString(),
      type: event.type,
      by: byWhom(record, definition, event, comment),
      ...described,
      ...(audience === "staff" ? { actorId: event.actorId } : {}),
      ...(comment === undefined
        ? {}
        : { comment: { id: comment.id, visibility: comment.visibility, text: comment.text } })
    })
  }
  return { items, ...(events.length === limit ? { cursor: events.at(-1)!.id } : {}) }
})

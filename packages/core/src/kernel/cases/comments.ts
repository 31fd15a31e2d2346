/** Comments: public ones for everybody who sees the case, internal ones for staff. They stay; a correction is another comment. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TenantTx } from "../db/Database.ts"
import { appendEvent } from "../events/append.ts"
import { defineEvent } from "../events/Event.ts"
import { newId } from "../ids.ts"
import { demand } from "../policy/Policy.ts"
import { Actor } from "../policy/Principal.ts"
import { InvalidInput } from "./model.ts"
import { audienceOf, subjectOf } from "./view.ts"
import { visibleCase } from "./visible.ts"

export type CommentVisibility = "public" | "internal"

export interface Comment {
  readonly id: string
  readonly visibility: CommentVisibility
  readonly text: string
  readonly createdAt: Date
  /** The case's owner, somebody of the city, or another citizen. */
  readonly by: "owner" | "staff" | "other"
  /** For staff. */
  readonly authorId?: string | null
}

/** The text is kept apart as personal data; who hears of internal comments is who may see them. */
export const CaseCommented = defineEvent({
  id: "case.commented",
  payload: Schema.Struct({
    type: Schema.String,
    reference: Schema.String,
    commentId: Schema.String,
    visibility: Schema.Literals(["public", "internal"]),
    text: Schema.String
  }),
  personal: ["text"]
})

const longest = 10_000

/** Adds a comment; needs `<type>.comment`, or `<type>.comment-internal`. */
export const addComment = Effect.fn("addComment")(function* (request: {
  readonly caseId: string
  /** 1–10,000 characters. */
  readonly text: string
  /** Default public. */
  readonly visibility?: CommentVisibility | undefined
}) {
  const { sql, tenantId } = yield* TenantTx
  const actor = yield* Actor
  const visibility = request.visibility ?? "public"
  const { record } = yield* visibleCase(request.caseId)
  yield* demand(`${record.type}.${visibility === "public" ? "comment" : "comment-internal"}`, subjectOf(record))
  const text = request.text.trim()
  if (text.length === 0 || text.length > longest || text.includes("\u0000")) {
    const detail = `A comment has 1 to ${longest} characters, and no zero bytes.`
    return yield* new InvalidInput({ issues: [{ pointer: "/text", detail }] })
  }
  const id = yield* newId
  const createdAt = new Date(yield* Clock.currentTimeMillis)
  yield* sql`
    insert into mahalla.case_comment (tenant_id, id, case_id, author_id, visibility, text, created_at)
    values (${tenantId}, ${id}, ${record.id}, ${actor.id}, ${visibility}, ${text}, ${createdAt})`
  yield* appendEvent(
    CaseCommented,
    { type: record.type, reference: record.reference, commentId: id, visibility, text },
    { caseId: record.id, actorId: actor.id }
  )
  const by = actor.id !== null && actor.id === record.ownerId ? "owner" : actor.kind === "person" ? "other" : "staff"
  return { id, visibility, text, createdAt, by } satisfies Comment
})

/** A case's comments that the actor may see, oldest first, after the given one. Index `case_comment_case`. */
export const listComments = Effect.fn("listComments")(function* (
  caseId: string,
  page: { readonly after?: string | undefined; readonly limit?: number | undefined } = {}
) {
  const { sql, tenantId } = yield* TenantTx
  const { record } = yield* visibleCase(caseId)
  const audience = yield* audienceOf(record)
  const limit = Math.min(Math.max(page.limit ?? 50, 1), 200)
  const rows = yield* sql<Comment & { readonly authorId: string | null; readonly kind: string | null }>`
    select c.id, c.visibility, c.text, c.created_at as "createdAt", c.author_id as "authorId", p.kind
    from mahalla.case_comment c
    left join mahalla.principal p on p.tenant_id = c.tenant_id and p.id = c.author_id
    where c.tenant_id = ${tenantId} and c.case_id = ${caseId}
      and (c.visibility = 'public' or ${audience === "staff"})
      and (${page.after ?? null}::uuid is null or c.id > ${page.after ?? null}::uuid)
    order by c.id limit ${limit}`
  return rows.map(({ authorId, kind, ...comment }): Comment => {
    const by = authorId !== null && authorId === record.ownerId ? "owner" : kind === "person" ? "other" : "staff"
    return { ...comment, by, ...(audience === "staff" ? { authorId } : {}) }
  })
})

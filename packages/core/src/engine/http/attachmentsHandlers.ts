/** What stands behind the doors to stored files. The original is sealed: people see copies, unless they hold the right to the original. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Attachments } from "../../kernel/attachments/Attachments.ts"
import type { Attachment } from "../../kernel/attachments/model.ts"
import { noteOpened } from "../../kernel/attachments/opened.ts"
import { NotFound } from "../../kernel/cases/model.ts"
import { duplicatesOf } from "../../kernel/cases/links.ts"
import { loadCase } from "../../kernel/cases/record.ts"
import { withTenant } from "../../kernel/db/Database.ts"
import { answering } from "../../kernel/http/Door.ts"
import { registerProblems, problem } from "../../kernel/http/problems.ts"
import { demand, may } from "../../kernel/policy/Policy.ts"
import { Actor } from "../../kernel/policy/Principal.ts"
import { caseAt } from "./casesHandlers.ts"
import { AttachmentsApi } from "./attachmentsApi.ts"

registerProblems({
  RangeNotSatisfiable: (error) => problem(416, "range", error.message, {}, { "content-range": `bytes */${error.size}` })
})

const viewOf = (attachment: Attachment) => ({
  id: attachment.id,
  role: attachment.role,
  derivedFrom: attachment.derivedFrom,
  kind: attachment.kind,
  name: attachment.name,
  mediaType: attachment.mediaType,
  size: attachment.size,
  sha256: attachment.sha256,
  metadata: attachment.metadata,
  receipt: attachment.receipt,
  createdAt: attachment.createdAt.toISOString()
})

/** The attachment, if the actor may know of it: their own, or one of a case they may read files of. */
const visible = Effect.fnUntraced(function* (id: string) {
  const actor = yield* Actor
  const attachment = yield* (yield* Attachments).get(id)
  const missing = new NotFound({ what: "attachment", id })
  if (attachment.state !== "stored") return yield* missing
  const subject =
    attachment.caseId === null
      ? { territoryPath: [], ownerId: attachment.ownerId }
      : yield* Effect.map(withTenant(actor.tenantId)(loadCase(attachment.caseId)), ({ ownerId, territoryPath }) => ({
          ownerId,
          territoryPath
        }))
  if (attachment.caseId === null && (attachment.ownerId === null || attachment.ownerId !== actor.id))
    return yield* missing
  if (!(yield* may("attachment.read", subject)).allowed) return yield* missing
  return { attachment, subject }
})

export const attachmentsHandlers = HttpApiBuilder.group(AttachmentsApi, "attachments", (handlers) =>
  handlers
    .handle("listAttachments", ({ params }) =>
      answering(
        Effect.gen(function* () {
          const actor = yield* Actor
          const { merged, record } = yield* withTenant(actor.tenantId)(
            Effect.gen(function* () {
              const { record } = yield* caseAt(params)
              return { record, merged: yield* duplicatesOf(record.id) }
            })
          )
          yield* demand("attachment.read", { territoryPath: record.territoryPath, ownerId: record.ownerId })
          // The evidence of what was merged into a case is evidence of the case.
          const attachments = yield* Attachments
          const items = (yield* Effect.forEach([record.id, ...merged], (id) => attachments.forCase(id))).flat()
          return { items: items.map(viewOf) }
        })
      )
    )
    .handle("getAttachment", ({ params }) =>
      answering(Effect.map(visible(params.id), ({ attachment }) => viewOf(attachment)))
    )
    .handle("attachmentContent", ({ params, request }) =>
      answering(
        Effect.gen(function* () {
          const { attachment, subject } = yield* visible(params.id)
          if (attachment.role === "original") {
            yield* demand("attachment.read-original", subject)
            yield* withTenant((yield* Actor).tenantId)(noteOpened(attachment))
          }
          const download = yield* (yield* Attachments).open(params.id, request.headers["range"])
          return HttpServerResponse.stream(download.stream, {
            status: download.status,
            headers: download.headers
          }) as never
        })
      )
    )
)

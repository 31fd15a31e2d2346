/** Doors to stored files: what a case has, facts of one, its bytes. Uploading is tus, at `/v1/uploads`. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { IdParam, Json, Timestamp } from "../../kernel/http/schemas.ts"

export const AttachmentView = Schema.Struct({
  id: Id,
  role: Schema.Literals(["original", "derived"]),
  derivedFrom: Schema.NullOr(Id),
  kind: Schema.NullOr(Schema.String),
  name: Schema.NullOr(Schema.String),
  mediaType: Schema.NullOr(Schema.String),
  size: Schema.Finite,
  /** Hex. */
  sha256: Schema.NullOr(Schema.String),
  metadata: Json,
  receipt: Schema.NullOr(Schema.String),
  createdAt: Timestamp
}).annotate({ identifier: "Attachment" })

export const AttachmentsApi = cityApi("attachments")
  .add(
    HttpApiGroup.make("attachments")
      .add(
        HttpApiEndpoint.get("listAttachments", "/cases/:type/:id/attachments", {
          params: { type: Schema.String, id: Id },
          success: Schema.Struct({ items: Schema.Array(AttachmentView) })
        })
      )
      .add(HttpApiEndpoint.get("getAttachment", "/attachments/:id", { params: IdParam, success: AttachmentView }))
      .add(
        HttpApiEndpoint.get("attachmentContent", "/attachments/:id/content", {
          params: IdParam,
          success: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" }))
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

/** The doors to what hangs on a case: timeline, comments, links, duplicates, claim, assignment, subscription. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { CaseView, IdPageQuery, Json, page, Timestamp } from "../../kernel/http/schemas.ts"

const CaseParams = { type: Schema.String, id: Id }

const Comment = Schema.Struct({
  id: Id,
  visibility: Schema.Literals(["public", "internal"]),
  text: Schema.String,
  by: Schema.Literals(["owner", "staff", "other"]),
  authorId: Schema.optionalKey(Schema.NullOr(Id)),
  createdAt: Timestamp
}).annotate({ identifier: "Comment" })

const LinkView = Schema.Struct({
  kind: Schema.Literals(["parent", "duplicate-of", "caused-by"]),
  /** `from`: this case is the part, the consequence, the duplicate. */
  direction: Schema.Literals(["from", "to"]),
  case: Schema.Struct({ id: Id, type: Schema.String, reference: Schema.String, state: Schema.String })
}).annotate({ identifier: "CaseLink" })

const TimelineEntry = Schema.Struct({
  id: Id,
  at: Timestamp,
  type: Schema.String,
  title: Schema.String,
  by: Schema.Literals(["owner", "engine", "other", "staff"]),
  actorId: Schema.optionalKey(Schema.NullOr(Id)),
  from: Schema.optionalKey(Schema.String),
  to: Schema.optionalKey(Schema.String),
  comment: Schema.optionalKey(
    Schema.Struct({ id: Id, visibility: Schema.Literals(["public", "internal"]), text: Schema.String })
  ),
  data: Schema.optionalKey(Json)
}).annotate({ identifier: "TimelineEntry" })

const get = HttpApiEndpoint.get
const post = HttpApiEndpoint.post

export const CaseSidesApi = cityApi("case-sides")
  .add(
    HttpApiGroup.make("caseSides")
      .add(
        get("timeline", "/cases/:type/:id/timeline", {
          params: CaseParams,
          query: IdPageQuery,
          success: page(TimelineEntry)
        })
      )
      .add(
        get("listComments", "/cases/:type/:id/comments", {
          params: CaseParams,
          query: IdPageQuery,
          success: page(Comment)
        })
      )
      .add(
        post("addComment", "/cases/:type/:id/comments", {
          params: CaseParams,
          payload: Schema.Struct({
            text: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(10_000)),
            visibility: Schema.optionalKey(Schema.Literals(["public", "internal"]))
          }),
          success: Comment.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(
        get("listLinks", "/cases/:type/:id/links", {
          params: CaseParams,
          success: Schema.Struct({ items: Schema.Array(LinkView) })
        })
      )
      .add(
        post("addLink", "/cases/:type/:id/links", {
          params: CaseParams,
          payload: Schema.Struct({ kind: Schema.Literals(["parent", "caused-by"]), to: Id }),
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.delete("removeLink", "/cases/:type/:id/links/:kind/:to", {
          params: { ...CaseParams, kind: Schema.Literals(["parent", "duplicate-of", "caused-by"]), to: Id },
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        get("duplicates", "/cases/:type/:id/duplicates", {
          params: CaseParams,
          success: Schema.Struct({
            items: Schema.Array(Schema.Struct({ case: CaseView, distance: Schema.Finite, seconds: Schema.Finite }))
          })
        })
      )
      .add(
        post("merge", "/cases/:type/:id/merge", {
          params: CaseParams,
          payload: Schema.Struct({ into: Id }),
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        post("claim", "/cases/:type/:id/claim", {
          params: CaseParams,
          payload: Schema.Struct({
            minutes: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 480 })))
          }),
          success: CaseView
        })
      )
      .add(
        HttpApiEndpoint.delete("release", "/cases/:type/:id/claim", {
          params: CaseParams,
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.put("assign", "/cases/:type/:id/assignee", {
          params: CaseParams,
          payload: Schema.Struct({ assigneeId: Schema.NullOr(Id) }),
          success: CaseView
        })
      )
      .add(
        HttpApiEndpoint.put("subscribe", "/cases/:type/:id/subscription", {
          params: CaseParams,
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.delete("unsubscribe", "/cases/:type/:id/subscription", {
          params: CaseParams,
          success: HttpApiSchema.NoContent
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

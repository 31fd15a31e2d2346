/** Doors for operators: people and roles, jobs and dead letters, the order of events, plugins, the kept messages of an outbox. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"
import { DelegationView } from "./rolesApi.ts"
import { GivenMoment, IdPageQuery, IdParam, Json, page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"

const RoleGrantView = Schema.Struct({
  id: Id,
  role: Schema.String,
  territoryId: Schema.NullOr(Id),
  until: Schema.NullOr(Timestamp)
}).annotate({ identifier: "RoleGrant" })

const PrincipalView = Schema.Struct({
  id: Id,
  kind: Schema.String,
  name: Schema.NullOr(Schema.String),
  status: Schema.String,
  language: Schema.String,
  grants: Schema.Array(RoleGrantView),
  /** What others have handed to them and is in force; `GET /v1/delegations` has the rest. */
  delegations: Schema.Array(DelegationView)
}).annotate({ identifier: "Principal" })

const Territory = Schema.Struct({
  id: Id,
  parentId: Schema.NullOr(Id),
  kind: Schema.String,
  name: Schema.Record(Schema.String, Schema.String),
  boundary: Schema.optionalKey(Schema.NullOr(Json))
}).annotate({ identifier: "Territory" })

const DeadLetter = Schema.Struct({
  id: Id,
  topic: Schema.String,
  attempts: Schema.Int,
  error: Schema.String,
  diedAt: Timestamp
}).annotate({ identifier: "DeadLetter" })

export const EventView = Schema.Struct({
  position: Schema.String,
  id: Id,
  type: Schema.String,
  caseId: Schema.NullOr(Id),
  actorId: Schema.NullOr(Id),
  payload: Json,
  occurredAt: Timestamp
}).annotate({ identifier: "Event" })

export const OpsApi = cityApi("operations")
  .add(
    HttpApiGroup.make("city")
      .add(
        HttpApiEndpoint.get("city", "/city", {
          success: Schema.Struct({
            slug: Schema.String,
            name: Schema.String,
            languages: Schema.Array(Schema.String),
            timeZone: Schema.String,
            country: Schema.String,
            currency: Schema.String
          })
        })
      )
      .add(
        HttpApiEndpoint.get("territories", "/territories", {
          success: Schema.Struct({ items: Schema.Array(Territory) })
        })
      )
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("people")
      .add(
        HttpApiEndpoint.get("listPrincipals", "/principals", {
          query: { ...IdPageQuery, kind: Schema.optionalKey(Schema.String), q: Schema.optionalKey(Schema.String) },
          success: page(PrincipalView)
        })
      )
      .add(
        HttpApiEndpoint.post("createStaff", "/principals", {
          payload: Schema.Struct({
            name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
            language: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(35)))
          }),
          success: PrincipalView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(HttpApiEndpoint.get("getPrincipal", "/principals/:id", { params: IdParam, success: PrincipalView }))
      .add(
        HttpApiEndpoint.post("grantRole", "/principals/:id/grants", {
          params: IdParam,
          payload: Schema.Struct({
            role: Schema.String.check(Schema.isMaxLength(100)),
            territoryId: Schema.optionalKey(Schema.NullOr(Id)),
            until: Schema.optionalKey(Schema.NullOr(GivenMoment))
          }),
          success: RoleGrantView.pipe(HttpApiSchema.status(201))
        })
      )
      .add(
        HttpApiEndpoint.delete("revokeRole", "/principals/:id/grants/:grant", {
          params: { id: Id, grant: Id },
          success: HttpApiSchema.NoContent
        })
      )
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("operations")
      .add(
        HttpApiEndpoint.get("listEvents", "/event-log", {
          query: { after: Schema.optionalKey(Schema.String), limit: PageQuery.limit },
          success: page(EventView)
        })
      )
      .add(
        HttpApiEndpoint.get("deadLetters", "/dead-letters", {
          query: { ...PageQuery, topic: Schema.optionalKey(Schema.String) },
          success: page(DeadLetter)
        })
      )
      .add(
        HttpApiEndpoint.post("replayDeadLetter", "/dead-letters/:id/replay", {
          params: IdParam,
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.delete("discardDeadLetter", "/dead-letters/:id", {
          params: IdParam,
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.get("plugins", "/plugins", {
          success: Schema.Struct({
            items: Schema.Array(
              Schema.Struct({
                id: Schema.String,
                instance: Schema.String,
                provides: Schema.Array(Schema.String),
                status: Schema.String,
                detail: Schema.optionalKey(Schema.String)
              })
            )
          })
        })
      )
      .add(
        HttpApiEndpoint.get("outbox", "/outbox", {
          query: { to: Schema.optionalKey(Schema.String), limit: PageQuery.limit },
          success: Schema.Struct({ items: Schema.Array(Json) })
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

/** The doors to cases. One canonical address for a case: `/v1/cases/{type}/{id}`; OpenAPI lists them per case type. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { limitedRoute } from "../../kernel/limits/headers.ts"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { CaseView, Json, page, PageQuery, PlaceSchema } from "../../kernel/http/schemas.ts"

const TypeParam = { type: Schema.String }
const CaseParams = { type: Schema.String, id: Id }

export const NewCase = Schema.Struct({
  data: Schema.optionalKey(Json),
  place: Schema.optionalKey(PlaceSchema),
  /** Addresses or ids of finished uploads. */
  attachments: Schema.optionalKey(
    Schema.Array(Schema.String.check(Schema.isMaxLength(200))).check(Schema.isMaxLength(50))
  )
}).annotate({ identifier: "NewCase" })

const ListQuery = {
  ...PageQuery,
  type: Schema.optionalKey(Schema.String),
  state: Schema.optionalKey(Schema.String),
  phase: Schema.optionalKey(Schema.Literals(["open", "closed", "fixed"])),
  territory: Schema.optionalKey(Id),
  /** `west,south,east,north` in degrees. */
  bbox: Schema.optionalKey(Schema.String),
  q: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
  owner: Schema.optionalKey(Schema.Literal("me")),
  assignee: Schema.optionalKey(Id),
  parent: Schema.optionalKey(Id),
  createdAfter: Schema.optionalKey(Schema.String),
  createdBefore: Schema.optionalKey(Schema.String)
}

const CaseTypeView = Schema.Struct({
  id: Schema.String,
  version: Schema.Int,
  title: Schema.Record(Schema.String, Schema.String),
  definition: Json
}).annotate({ identifier: "CaseType" })

export const CasesApi = cityApi("cases")
  .add(
    HttpApiGroup.make("caseTypes")
      .add(
        HttpApiEndpoint.get("listCaseTypes", "/case-types", {
          success: Schema.Struct({ items: Schema.Array(CaseTypeView) })
        })
      )
      .add(HttpApiEndpoint.get("getCaseType", "/case-types/:type", { params: TypeParam, success: CaseTypeView }))
      .middleware(Door)
  )
  .add(
    HttpApiGroup.make("cases")
      .add(
        HttpApiEndpoint.get("listCases", "/cases", { query: ListQuery, success: page(CaseView) }).annotate(
          OpenApi.Transform,
          limitedRoute
        )
      )
      .add(
        HttpApiEndpoint.get("exportCases", "/cases.csv", {
          query: ListQuery,
          success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" }))
        }).annotate(OpenApi.Transform, limitedRoute)
      )
      .add(
        HttpApiEndpoint.post("createCase", "/cases/:type", {
          params: TypeParam,
          payload: NewCase,
          success: CaseView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, limitedRoute)
      )
      .add(HttpApiEndpoint.get("getCase", "/cases/:type/:id", { params: CaseParams, success: CaseView }))
      .add(
        HttpApiEndpoint.post("transitionCase", "/cases/:type/:id/transitions/:transition", {
          params: { ...CaseParams, transition: Schema.String },
          payload: Json,
          success: CaseView
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

/** Doors of filings: what was handed to authorities, where it stands, and what staff does about it. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { IdPageQuery, IdParam, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"
import { filingStates } from "./model.ts"

const State = Schema.Literals(filingStates)
const Verdict = Schema.Literals(["fined", "dismissed"])

const FilingView = Schema.Struct({
  /** Our number; the authority knows it too. */
  id: Id,
  caseId: Id,
  kind: Schema.String,
  attempt: Schema.Int,
  /** Instance of the authority. */
  authority: Schema.String,
  state: State,
  verdict: Schema.NullOr(Verdict),
  /** Minor units, as it was imposed. */
  fine: Schema.NullOr(Schema.String),
  currency: Schema.NullOr(Schema.String),
  /** The authority's own number. */
  reference: Schema.NullOr(Schema.String),
  decidedAt: Schema.NullOr(Timestamp),
  byHand: Schema.Boolean,
  detail: Schema.NullOr(Schema.String),
  /** When something happens with it by itself. */
  nextAt: Schema.NullOr(Timestamp),
  createdAt: Timestamp,
  changedAt: Timestamp
}).annotate({ identifier: "Filing" })

const AuthorityView = Schema.Struct({
  /** Instance of the authority. */
  id: Schema.String,
  /** What it takes; empty where the city has its plugin no more. */
  kinds: Schema.Array(Schema.String),
  /** `open`: it does not answer and is left alone for a while, as the answering process sees it. */
  circuit: Schema.Literals(["closed", "half-open", "open"]),
  /** How many filings of the city stand there in each state that is not the last. */
  filings: Schema.Record(Schema.String, Schema.Int),
  /** Since when the oldest waits to be filed. */
  waitingSince: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Authority" })

export const FilingsApi = cityApi("filings")
  .add(
    HttpApiGroup.make("filings")
      .add(
        HttpApiEndpoint.get("listFilings", "/filings", {
          query: {
            ...IdPageQuery,
            state: Schema.optionalKey(State),
            authority: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
            case: Schema.optionalKey(Id)
          },
          success: page(FilingView)
        })
      )
      .add(HttpApiEndpoint.get("getFiling", "/filings/:id", { params: IdParam, success: FilingView }))
      .add(HttpApiEndpoint.post("inquireFiling", "/filings/:id/inquiry", { params: IdParam, success: FilingView }))
      .add(
        HttpApiEndpoint.post("retryFiling", "/filings/:id/retry", {
          params: IdParam,
          success: FilingView.pipe(HttpApiSchema.status(201))
        }).annotate(OpenApi.Transform, takesIdempotencyKey)
      )
      .add(
        HttpApiEndpoint.post("settleFiling", "/filings/:id/settlement", {
          params: IdParam,
          payload: Schema.Struct({
            verdict: Verdict,
            /** Minor units of the city's currency; for `fined`, where it is another one than the catalogue says. */
            fine: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[1-9]\d{0,14}$/))),
            /** The authority's own number, from its letter. */
            reference: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))),
            /** What it rests on, as "letter of 20 November". */
            reason: Schema.String.check(Schema.isMinLength(3), Schema.isMaxLength(500))
          }),
          success: FilingView
        })
      )
      .add(
        HttpApiEndpoint.delete("revokeEvidence", "/filings/:id/evidence", {
          params: IdParam,
          success: HttpApiSchema.NoContent
        })
      )
      .add(
        HttpApiEndpoint.get("filingEvidence", "/filings/:id/evidence/:attachment", {
          params: { id: Id, attachment: Id },
          query: {
            /** Epoch seconds. */
            expires: Schema.FiniteFromString.check(
              Schema.isInt(),
              Schema.isBetween({ minimum: 0, maximum: 9_999_999_999 })
            ),
            signature: Schema.String.check(Schema.isMaxLength(100))
          },
          success: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/octet-stream" }))
        })
      )
      .add(
        HttpApiEndpoint.get("listAuthorities", "/authorities", {
          success: Schema.Struct({ items: Schema.Array(AuthorityView) })
        })
      )
      .middleware(Door)
  )
  .prefix("/v1")

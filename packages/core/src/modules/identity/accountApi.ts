/** The doors of one's own account: a copy of all that is held, and the end of it. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"

const Moment = Schema.String.annotate({ format: "date-time", description: "RFC 3339, UTC" })
const State = Schema.Literals(["waiting", "done", "expired", "failed"])

const Export = Schema.Struct({
  id: Id,
  /** `done`: it can be fetched until `expiresAt`. */
  state: State,
  /** Bytes. */
  size: Schema.NullOr(Schema.Int),
  requestedAt: Moment,
  finishedAt: Schema.NullOr(Moment),
  expiresAt: Schema.NullOr(Moment)
}).annotate({ identifier: "PersonalExport" })

const Erasure = Schema.Struct({
  id: Id,
  state: State,
  /** What must end first, as `payouts`. */
  waitsFor: Schema.Array(Schema.String),
  requestedAt: Moment,
  finishedAt: Schema.NullOr(Moment)
}).annotate({ identifier: "Erasure" })

const Receipted = Schema.Struct({
  ...Erasure.fields,
  /** Compact JWS (EdDSA): that this was asked for, and when; its key stands in `/.well-known/jwks.json`. */
  receipt: Schema.String
}).annotate({ identifier: "ErasureReceipt" })

/** A header, because an address is written down in many places. */
const confirmationCode = {
  name: "Confirmation-Code",
  in: "header",
  required: false,
  schema: { type: "string", pattern: "^\\d{6}$" },
  description:
    "A one-time code sent to the account's own phone a moment ago: POST /v1/auth/code with `purpose` `delete-account` and without `device`."
}

export const AccountApi = cityApi("account")
  .add(
    HttpApiGroup.make("account")
      .add(HttpApiEndpoint.post("requestExport", "/me/export", { success: Export.pipe(HttpApiSchema.status(202)) }))
      .add(HttpApiEndpoint.get("exportState", "/me/export", { success: Export }))
      .add(
        HttpApiEndpoint.get("exportContent", "/me/export/content", {
          success: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/zip" }))
        })
      )
      .add(
        HttpApiEndpoint.delete("deleteMe", "/me", { success: Receipted.pipe(HttpApiSchema.status(202)) }).annotateMerge(
          OpenApi.annotations({
            transform: (operation) => ({ ...operation, parameters: [confirmationCode] })
          })
        )
      )
      // Whoever holds the receipt asks without an account; the id cannot be guessed.
      .add(HttpApiEndpoint.get("erasureState", "/erasures/:id", { params: { id: Id }, success: Erasure }))
      .middleware(Door)
  )
  .prefix("/v1")

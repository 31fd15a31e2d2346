/** Doors for second factors. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"

const RecoveryCodes = Schema.Struct({
  /** Shown once. Each is good once in the place of a code of the app. */
  recoveryCodes: Schema.Array(Schema.String)
}).annotate({ identifier: "RecoveryCodes" })

export const FactorsGroup = HttpApiGroup.make("factors")
  .add(
    HttpApiEndpoint.post("showFactor", "/auth/second-factor", {
      payload: Schema.Struct({
        /** Six digits of the authenticator app, or a recovery code. */
        code: Schema.String.check(Schema.isPattern(/^(\d{6}|[0-9A-Za-z]{5}-?[0-9A-Za-z]{5})$/))
      }),
      success: Schema.Struct({ secondFactor: Schema.Literal("passed") })
    })
  )
  .add(
    HttpApiEndpoint.get("factors", "/me/factors", {
      success: Schema.Struct({
        /** When the authenticator app was set up. */
        totp: Schema.NullOr(Schema.String.annotate({ format: "date-time" })),
        /** How many are left. */
        recoveryCodes: Schema.Int,
        passkeys: Schema.Int
      }).annotate({ identifier: "Factors" })
    })
  )
  .add(
    HttpApiEndpoint.post("beginTotp", "/me/factors/totp", {
      success: Schema.Struct({
        /** Base 32, for typing. */
        secret: Schema.String,
        /** `otpauth:` address for a QR code. */
        uri: Schema.String
      })
    })
  )
  .add(
    HttpApiEndpoint.post("confirmTotp", "/me/factors/totp/confirm", {
      payload: Schema.Struct({ code: Schema.String.check(Schema.isPattern(/^\d{6}$/)) }),
      success: RecoveryCodes
    })
  )
  .add(HttpApiEndpoint.delete("removeTotp", "/me/factors/totp", { success: HttpApiSchema.NoContent }))
  .add(HttpApiEndpoint.post("renewRecoveryCodes", "/me/factors/recovery-codes", { success: RecoveryCodes }))
  .add(
    HttpApiEndpoint.delete("resetFactors", "/principals/:id/factors", {
      params: { id: Id },
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)

/** Doors for passkeys. Options and responses are what `PublicKeyCredential` of browsers takes and gives as JSON (WebAuthn level 3). */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { Device, NewSession } from "./signInApi.ts"

const Json = Schema.Record(Schema.String, Schema.Unknown)
const Asked = Schema.Struct({ challengeId: Id, options: Json }).annotate({ identifier: "PasskeyOptions" })
const Answered = { challengeId: Id, response: Json }

const Passkey = Schema.Struct({
  id: Id,
  name: Schema.String,
  createdAt: Schema.String.annotate({ format: "date-time" }),
  lastUsedAt: Schema.NullOr(Schema.String.annotate({ format: "date-time" }))
}).annotate({ identifier: "Passkey" })

export const PasskeysGroup = HttpApiGroup.make("passkeys")
  .add(HttpApiEndpoint.post("passkeySignInOptions", "/auth/passkey/options", { success: Asked }))
  .add(
    HttpApiEndpoint.post("passkeySignIn", "/auth/passkey", {
      payload: Schema.Struct({ ...Answered, device: Schema.optionalKey(Device) }),
      success: NewSession
    })
  )
  .add(
    HttpApiEndpoint.get("listPasskeys", "/me/passkeys", { success: Schema.Struct({ items: Schema.Array(Passkey) }) })
  )
  .add(HttpApiEndpoint.post("passkeyOptions", "/me/passkeys/options", { success: Asked }))
  .add(
    HttpApiEndpoint.post("addPasskey", "/me/passkeys", {
      payload: Schema.Struct({
        ...Answered,
        name: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(60)))
      }),
      success: Passkey.pipe(HttpApiSchema.status(201))
    })
  )
  .add(
    HttpApiEndpoint.delete("removePasskey", "/me/passkeys/:id", {
      params: { id: Id },
      success: HttpApiSchema.NoContent
    })
  )
  .middleware(Door)

/** Doors to what devices are asked to do. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { IdPageQuery, IdParam, page, Timestamp } from "../../kernel/http/schemas.ts"
import { Id } from "../../kernel/ids.ts"

const CommandView = Schema.Struct({
  id: Id,
  deviceId: Id,
  method: Schema.String,
  params: Schema.Unknown,
  /** `sent`: left for the device; `delivered`: its transport has it; `answered`: it said something. */
  state: Schema.Literals(["queued", "sent", "delivered", "answered", "failed", "expired"]),
  answer: Schema.Unknown,
  message: Schema.NullOr(Schema.String),
  createdAt: Timestamp,
  changedAt: Timestamp,
  expiresAt: Timestamp
}).annotate({ identifier: "DeviceCommand" })

export const commandsGroup = HttpApiGroup.make("deviceCommands")
  .add(
    HttpApiEndpoint.get("listCommands", "/devices/:id/commands", {
      params: IdParam,
      query: IdPageQuery,
      success: page(CommandView)
    }),
    HttpApiEndpoint.post("sendCommand", "/devices/:id/commands", {
      params: IdParam,
      payload: Schema.Struct({
        method: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_.:-]{1,100}$/)),
        /** JSON, 4 KiB at most. */
        params: Schema.optionalKey(
          Schema.Unknown.check(
            Schema.makeFilter(
              (value: unknown) => (JSON.stringify(value) ?? "").length <= 4096 || "At most 4 KiB of JSON."
            )
          )
        ),
        /** Seconds in which the device must be reached; default 300. */
        expiresIn: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 * 86_400 })))
      }),
      success: CommandView.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey),
    HttpApiEndpoint.get("getCommand", "/devices/:id/commands/:command", {
      params: Schema.Struct({ id: Id, command: Id }),
      success: CommandView
    })
  )
  .middleware(Door)

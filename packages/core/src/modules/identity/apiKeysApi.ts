/** Doors for keys with which servers call. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Door } from "../../kernel/http/Door.ts"
import { takesIdempotencyKey } from "../../kernel/http/once.ts"
import { Id } from "../../kernel/ids.ts"

const Moment = Schema.String.annotate({ format: "date-time" })

/** `thing.verb` or `thing.*`, each also `:own`: what one made oneself. */
const Scope = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z0-9-]{0,59}\.(\*|[a-z][a-z0-9-]{0,59})(:own)?$/),
  Schema.isMaxLength(125)
)

const fields = {
  id: Id,
  /** The app that the key acts as. Roles are given to it, at `/v1/principals/{id}/grants`. */
  principalId: Id,
  name: Schema.String,
  /** The first characters of the key. */
  prefix: Schema.String,
  scopes: Schema.Array(Schema.String),
  createdAt: Moment,
  expiresAt: Moment,
  /** To the minute. */
  lastUsedAt: Schema.NullOr(Moment),
  revokedAt: Schema.NullOr(Moment)
}
const ApiKey = Schema.Struct(fields).annotate({ identifier: "ApiKey" })
const NewApiKey = Schema.Struct({
  ...fields,
  /** The key itself. It is shown here and never again; null in the answer to a repeated request. */
  key: Schema.NullOr(Schema.String)
}).annotate({ identifier: "NewApiKey" })

export const ApiKeysGroup = HttpApiGroup.make("apiKeys")
  .add(
    HttpApiEndpoint.post("createApiKey", "/api-keys", {
      payload: Schema.Struct({
        name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
        scopes: Schema.Array(Scope).check(Schema.isMinLength(1), Schema.isMaxLength(100), Schema.isUnique()),
        /** A new app of the key's name where absent. */
        principalId: Schema.optionalKey(Id),
        /** Days until it runs out. Default 365. */
        days: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 730 })))
      }),
      success: NewApiKey.pipe(HttpApiSchema.status(201))
    }).annotate(OpenApi.Transform, takesIdempotencyKey)
  )
  .add(
    HttpApiEndpoint.get("listApiKeys", "/api-keys", {
      query: {
        cursor: Schema.optionalKey(Id),
        limit: Schema.optionalKey(
          Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 200 }))
        ),
        principal: Schema.optionalKey(Id)
      },
      success: Schema.Struct({ items: Schema.Array(ApiKey), cursor: Schema.optionalKey(Id) })
    })
  )
  .add(
    HttpApiEndpoint.delete("revokeApiKey", "/api-keys/:id", { params: { id: Id }, success: HttpApiSchema.NoContent })
  )
  .middleware(Door)

/** Doors of a city's keys: how they stand, and a change of them. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { Door } from "../../kernel/http/Door.ts"
import { Timestamp } from "../../kernel/http/schemas.ts"

const KeyState = Schema.Struct({
  /** What is sealed now is sealed with this version; null before the first value. */
  version: Schema.NullOr(Schema.Int),
  destroyed: Schema.Boolean,
  /** Versions that values may still be sealed with, oldest first; more than one while a change is under way. */
  keys: Schema.Array(Schema.Struct({ version: Schema.Int, masterId: Schema.String, madeAt: Timestamp })),
  /** What a change goes through, and how far it is. */
  parts: Schema.Array(
    Schema.Struct({
      part: Schema.String,
      /** Rows looked at. */
      done: Schema.Int,
      startedAt: Timestamp,
      finishedAt: Schema.NullOr(Timestamp)
    })
  )
}).annotate({ identifier: "KeyState" })

export const KeysApi = cityApi("keys")
  .add(
    HttpApiGroup.make("keys")
      .add(HttpApiEndpoint.get("keyState", "/keys", { success: KeyState }))
      .add(HttpApiEndpoint.post("rotateKey", "/keys/rotations", { success: KeyState.pipe(HttpApiSchema.status(202)) }))
      .middleware(Door)
  )
  .prefix("/v1")

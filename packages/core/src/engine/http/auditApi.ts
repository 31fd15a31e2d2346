/** Doors of the audit log (RFC 9162): checkpoints, proofs, and everything that an outsider needs to check them alone. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { cityApi } from "../../kernel/http/cityApi.ts"
import { limitedRoute } from "../../kernel/limits/headers.ts"
import { Door } from "../../kernel/http/Door.ts"
import { Id } from "../../kernel/ids.ts"
import { page, PageQuery, Timestamp } from "../../kernel/http/schemas.ts"

/** A number of events, or a position among them. */
const Count = (minimum: number) =>
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum, maximum: Number.MAX_SAFE_INTEGER }))

const Hash = Schema.String.annotate({ description: "SHA-256, base64url" })

const CheckpointView = Schema.Struct({
  /** Events that it covers: positions 1 to `size`. */
  size: Schema.Int,
  root: Hash,
  /** Compact JWS (RFC 7515, EdDSA) of `iss`, `tenant`, `size`, `root`, `iat`; its key stands in `/.well-known/jwks.json`. */
  signed: Schema.String,
  madeAt: Timestamp
}).annotate({ identifier: "Checkpoint" })

const InclusionProof = Schema.Struct({
  event: Id,
  /** From 1; the leaf's index in the tree is one less. */
  position: Schema.Int,
  size: Schema.Int,
  /** Of the event. */
  leaf: Hash,
  root: Hash,
  /** From the leaf's sibling to the root's child (RFC 9162, 2.1.3). */
  path: Schema.Array(Hash)
}).annotate({ identifier: "InclusionProof" })

const ConsistencyProof = Schema.Struct({
  from: Schema.Int,
  fromRoot: Hash,
  to: Schema.Int,
  toRoot: Hash,
  /** RFC 9162, 2.1.4. */
  path: Schema.Array(Hash)
}).annotate({ identifier: "ConsistencyProof" })

export const AuditApi = cityApi("audit")
  .add(
    HttpApiGroup.make("audit")
      .add(HttpApiEndpoint.get("latestCheckpoint", "/audit/checkpoint", { success: CheckpointView }))
      .add(
        HttpApiEndpoint.get("listCheckpoints", "/audit/checkpoints", {
          query: { cursor: Schema.optionalKey(Count(0)), limit: PageQuery.limit },
          success: page(CheckpointView)
        })
      )
      .add(
        HttpApiEndpoint.get("inclusionProof", "/audit/inclusion", {
          query: {
            /** Id of the event; or its `position`. */
            event: Schema.optionalKey(Id),
            position: Schema.optionalKey(Count(1)),
            /** Default: that of the latest checkpoint. */
            size: Schema.optionalKey(Count(1))
          },
          success: InclusionProof
        })
      )
      .add(
        HttpApiEndpoint.get("consistencyProof", "/audit/consistency", {
          query: {
            from: Count(1),
            /** Default: that of the latest checkpoint. */
            to: Schema.optionalKey(Count(1))
          },
          success: ConsistencyProof
        })
      )
      .add(
        HttpApiEndpoint.get("exportLog", "/audit/export", {
          query: {
            /** First position. Default 1; to go on with an earlier export, one more than its last. */
            from: Schema.optionalKey(Count(1))
          },
          success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))
        }).annotate(OpenApi.Transform, limitedRoute)
      )
      .middleware(Door)
  )
  .prefix("/v1")

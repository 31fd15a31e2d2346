/**
 * Settings of the S3 plugin.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const MiB = 1024 * 1024

export const S3Config = Schema.Struct({
  bucket: Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)),
  accessKeyId: Schema.NonEmptyString,
  secretAccessKey: Schema.RedactedFromValue(Schema.NonEmptyString, { label: "secretAccessKey" }),
  /** Address of the server, as browsers reach it too. Default: Amazon's own for the region. */
  endpoint: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^https?:\/\/[^\s/?#@]+\/?$/))),
  region: Schema.NonEmptyString.pipe(Schema.withDecodingDefault(Effect.succeed("us-east-1"))),
  /** Bucket in the path instead of the host name. Default: true where `endpoint` is given, as MinIO and Ceph want it. */
  forcePathStyle: Schema.optionalKey(Schema.Boolean),
  /** Put before every key, so that cities can share a bucket: `my-city/`. Default: nothing. */
  prefix: Schema.String.check(Schema.isPattern(/^([A-Za-z0-9._-]{1,255}\/)*$/), Schema.isMaxLength(256)).pipe(
    Schema.withDecodingDefault(Effect.succeed(""))
  ),
  /** `required` for servers that do not know the checksums which newer clients send, such as Ceph before 18. */
  checksums: Schema.Literals(["supported", "required"]).pipe(
    Schema.withDecodingDefault(Effect.succeed("supported" as const))
  ),
  /** Bytes of one part of a large upload; each upload holds up to five parts in memory. Default 8 MiB; an upload has at most 10,000 parts. */
  partSize: Schema.Int.check(Schema.isBetween({ minimum: 5 * MiB, maximum: 512 * MiB })).pipe(
    Schema.withDecodingDefault(Effect.succeed(8 * MiB))
  ),
  /** Make the bucket when it is absent. Default false. */
  createBucket: Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false)))
})

export type S3Config = typeof S3Config.Type

export const capabilities = { presign: true, shared: true }

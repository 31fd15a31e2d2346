/**
 * Blobs in a bucket of MinIO or any other S3 server.
 */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command
} from "@aws-sdk/client-s3"
import { BlobStore, Host, isBlobKey, type BlobStoreMethods } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { call, openBucket, type Bucket } from "./Bucket.ts"
import { makeCompose } from "./compose.ts"
import { conditionalUploads, requireConditionalPut } from "./conditions.ts"
import { capabilities, type S3Config } from "./config.ts"
import { fromServer, refusal } from "./errors.ts"
import { makePresign } from "./presign.ts"
import { makePut } from "./put.ts"

const get =
  (bucket: Bucket): BlobStoreMethods["get"] =>
  (key, range) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const bytes = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end ?? ""}` }
        const answer = yield* call("get", key, (options) =>
          bucket.client.send(new GetObjectCommand({ ...bucket.at(key), ...bytes }), options)
        )
        if (range !== undefined && answer.ContentRange === undefined)
          return yield* refusal("Unsupported", "get", key, "The server does not serve ranges; use one that does.")
        // On Node the body is a Readable, which closes its connection when the reader leaves early.
        return Stream.fromAsyncIterable(answer.Body as AsyncIterable<Uint8Array>, fromServer("get", key))
      })
    )

const head = (bucket: Bucket): BlobStoreMethods["head"] =>
  Effect.fnUntraced(function* (key) {
    const found = yield* call("head", key, (options) =>
      bucket.client.send(new HeadObjectCommand(bucket.at(key)), options)
    )
    return { key, size: found.ContentLength ?? 0, contentType: found.ContentType ?? "application/octet-stream" }
  })

/** The cursor is the last key seen, so a page goes on where it was even when that blob is gone. */
const list = (bucket: Bucket): BlobStoreMethods["list"] =>
  Effect.fnUntraced(function* (prefix, options) {
    const found = yield* call("list", prefix, (request) =>
      bucket.client.send(
        new ListObjectsV2Command({
          Bucket: bucket.name,
          Prefix: bucket.prefix + prefix,
          MaxKeys: options?.limit,
          ...(options?.cursor === undefined ? {} : { StartAfter: bucket.prefix + options.cursor })
        }),
        request
      )
    )
    const all = (found.Contents ?? []).map(({ Key = "", Size = 0 }) => ({
      key: Key.slice(bucket.prefix.length),
      size: Size
    }))
    const last = all.at(-1)
    // A bucket may hold objects of others, whose keys are none of ours.
    const items = all.filter(({ key }) => isBlobKey(key))
    return found.IsTruncated === true && last !== undefined ? { items, cursor: last.key } : { items }
  })

const requireBucket = Effect.fnUntraced(function* (bucket: Bucket, config: S3Config) {
  const where = config.endpoint ?? `Amazon S3 in ${config.region}`
  const missing = refusal(
    "NotFound",
    "start",
    bucket.name,
    `There is no bucket "${bucket.name}" at ${where}; create it, correct the name, or set createBucket to true.`
  )
  yield* call("start", bucket.name, (options) =>
    bucket.client.send(new HeadBucketCommand({ Bucket: bucket.name }), options)
  ).pipe(
    Effect.catch((error) => {
      if (error.reason !== "NotFound") return Effect.fail(error)
      if (!config.createBucket) return Effect.fail(missing)
      return call("start", bucket.name, (options) =>
        bucket.client.send(new CreateBucketCommand({ Bucket: bucket.name }), options)
      )
    })
  )
})

export const S3BlobStore = (config: S3Config) =>
  Layer.effect(
    BlobStore,
    Effect.gen(function* () {
      const host = yield* Host
      const bucket = yield* openBucket(config, host.scratch)
      yield* requireBucket(bucket, config)
      yield* requireConditionalPut(bucket)
      const conditional = conditionalUploads(bucket)
      const methods = {
        capabilities,
        put: makePut(bucket, conditional),
        get: get(bucket),
        head: head(bucket),
        delete: (key: string) =>
          Effect.asVoid(
            call("delete", key, (options) => bucket.client.send(new DeleteObjectCommand(bucket.at(key)), options))
          ),
        list: list(bucket)
      } satisfies BlobStoreMethods
      return BlobStore.make({
        ...methods,
        compose: makeCompose(bucket, methods, conditional),
        presign: makePresign(bucket)
      })
    })
  )

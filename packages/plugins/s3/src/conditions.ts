/**
 * Finds out whether the server keeps `If-None-Match: *`. Some know it for single puts only (Ceph 16), and some ignore it, which would
 * let two racers both win; so it is tried, on a key that no blob can have.
 */
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { call, type Bucket } from "./Bucket.ts"
import { sendParts, uploadInParts } from "./multipart.ts"
import { refusal } from "./errors.ts"
import { newMark } from "./settle.ts"

/** Blobs have no `~` in their keys, and lists leave this one out. */
const probeKey = Effect.sync(() => `~probe-${globalThis.crypto.randomUUID()}`)

const putProbe = (bucket: Bucket, key: string, condition: { readonly IfNoneMatch?: string }) =>
  call("start", bucket.name, (options) =>
    bucket.client.send(new PutObjectCommand({ ...bucket.at(key), Body: Buffer.from("probe"), ...condition }), options)
  )

const withProbe = <A>(bucket: Bucket, use: (key: string) => Effect.Effect<A, BlobStoreError>) =>
  Effect.acquireUseRelease(
    Effect.tap(probeKey, (key) => putProbe(bucket, key, {})),
    use,
    (key) =>
      Effect.ignore(
        call("start", key, (options) => bucket.client.send(new DeleteObjectCommand(bucket.at(key)), options))
      )
  )

const wasRefused = <A>(write: Effect.Effect<A, BlobStoreError>) =>
  write.pipe(
    Effect.as(false),
    Effect.catch((error) => (error.reason === "AlreadyExists" ? Effect.succeed(true) : Effect.fail(error)))
  )

/** Fails when a single put ignores the condition: put-if-absent would be a lie. */
export const requireConditionalPut = (bucket: Bucket) =>
  withProbe(bucket, (key) => wasRefused(putProbe(bucket, key, { IfNoneMatch: "*" }))).pipe(
    Effect.filterOrFail(
      (kept) => kept,
      () =>
        refusal(
          "Unsupported",
          "start",
          bucket.name,
          "The S3 server ignores If-None-Match, so put-if-absent would not be safe; use a server that keeps it, such as a recent MinIO, Ceph 16 or later, or Amazon S3."
        )
    ),
    Effect.asVoid
  )

/** Whether the end of an upload in parts keeps the condition too. Asked once, when it first matters. */
export const conditionalUploads = (bucket: Bucket): Effect.Effect<boolean, BlobStoreError> => {
  let known: boolean | undefined
  const probe = withProbe(bucket, (key) =>
    Effect.flatMap(newMark, (mark) =>
      wasRefused(
        uploadInParts(bucket, "start", { key, contentType: "text/plain", ifAbsent: true, mark }, (upload) =>
          sendParts(bucket, upload, Buffer.from("probe"), Effect.succeed(new Uint8Array(0)), () => {})
        )
      )
    )
  )
  return Effect.suspend(() =>
    known === undefined ? Effect.tap(probe, (kept) => Effect.sync(() => (known = kept))) : Effect.succeed(known)
  )
}

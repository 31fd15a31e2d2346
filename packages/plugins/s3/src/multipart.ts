/**
 * Uploads in parts, which become a blob all at once or are taken back.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type CompletedPart
} from "@aws-sdk/client-s3"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { call, type Bucket } from "./Bucket.ts"
import { serverName } from "./errors.ts"
import type { NextPart } from "./parts.ts"
import { settle, type Written } from "./settle.ts"

const partsAtOnce = 3

export interface Upload {
  readonly id: string
  readonly key: string
  readonly operation: string
}

/** The server may take a part in while it forgets the upload, so it is told again until it no longer knows it. */
const abort = (bucket: Bucket, { id, key, operation }: Upload) => {
  const once = call(operation, key, (options) =>
    bucket.client.send(new AbortMultipartUploadCommand({ ...bucket.at(key), UploadId: id }), options)
  )
  const told = (left: number): Effect.Effect<void, BlobStoreError> =>
    Effect.flatMap(once, () => (left > 0 ? told(left - 1) : Effect.void))
  return told(2).pipe(
    Effect.catch((error) =>
      error.reason === "NotFound" || serverName(error) === "NoSuchUpload"
        ? Effect.void
        : Effect.logWarning(
            `An unfinished upload of "${key}" could not be taken back (${error.message}) Let a lifecycle rule of the bucket end unfinished uploads.`
          )
    )
  )
}

/** Begins an upload, lets `send` upload its parts, and completes it; `ifAbsent` only where the server keeps it. */
export const uploadInParts = (
  bucket: Bucket,
  operation: string,
  written: Written,
  send: (upload: Upload) => Effect.Effect<ReadonlyArray<CompletedPart>, BlobStoreError>
): Effect.Effect<void, BlobStoreError> => {
  const { key, contentType, mark, ifAbsent } = written
  return Effect.acquireUseRelease(
    call(operation, key, (options) =>
      bucket.client.send(
        new CreateMultipartUploadCommand({
          ...bucket.at(key),
          ContentType: contentType,
          Metadata: mark,
          ...(bucket.checksums === "supported" ? { ChecksumAlgorithm: "CRC32" as const } : {})
        }),
        options
      )
    ).pipe(Effect.map(({ UploadId }): Upload => ({ id: UploadId ?? "", key, operation }))),
    (upload) =>
      Effect.flatMap(send(upload), (parts) =>
        call(operation, key, (options) =>
          bucket.client.send(
            new CompleteMultipartUploadCommand({
              ...bucket.at(key),
              UploadId: upload.id,
              MultipartUpload: { Parts: [...parts] },
              ...(ifAbsent ? { IfNoneMatch: "*" } : {})
            }),
            options
          )
        )
      ).pipe(Effect.asVoid),
    (upload, exit) => (exit._tag === "Success" ? Effect.void : abort(bucket, upload))
  ).pipe(settle(bucket, operation, written))
}

/** Uploads the body's parts, of which the first is already there; returns their receipts. Adds up the size as it goes. */
export const sendParts = (
  bucket: Bucket,
  upload: Upload,
  first: Uint8Array,
  next: NextPart,
  count: (bytes: number) => void
) =>
  Stream.unfold(1, (number) =>
    Effect.map(number === 1 ? Effect.succeed(first) : next, (bytes) => {
      count(bytes.length)
      return bytes.length === 0 ? undefined : ([{ number, bytes }, number + 1] as const)
    })
  ).pipe(
    Stream.mapEffect(
      ({ number, bytes }) =>
        call(upload.operation, upload.key, (options) =>
          bucket.client.send(
            new UploadPartCommand({
              ...bucket.at(upload.key),
              UploadId: upload.id,
              PartNumber: number,
              Body: bytes,
              ContentLength: bytes.length
            }),
            options
          )
        ).pipe(Effect.map(({ ETag, ChecksumCRC32 }): CompletedPart => receipt(number, ETag, ChecksumCRC32))),
      { concurrency: partsAtOnce }
    ),
    Stream.runCollect
  )

export const receipt = (number: number, tag: string | undefined, checksum: string | undefined): CompletedPart => ({
  PartNumber: number,
  ETag: tag,
  ...(checksum === undefined ? {} : { ChecksumCRC32: checksum })
})

/**
 * Composes on the server where its rules for parts allow; otherwise the bytes go through us.
 */
import { UploadPartCopyCommand } from "@aws-sdk/client-s3"
import type { BlobInfo, BlobStoreError, BlobStoreMethods, PutOptions } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { call, type Bucket } from "./Bucket.ts"
import { refusal } from "./errors.ts"
import { receipt, uploadInParts } from "./multipart.ts"
import { newMark } from "./settle.ts"

const MiB = 1024 * 1024
const atOnce = 8

/** Every part but the last has at least 5 MiB and none more than 5 GiB; there are at most 10,000. */
const canCopy = (parts: ReadonlyArray<BlobInfo>) =>
  parts.length > 0 &&
  parts.length <= 10_000 &&
  parts.every(({ size }, index) => size <= 5 * 1024 * MiB && (size >= 5 * MiB || index === parts.length - 1))

export const makeCompose = (
  bucket: Bucket,
  store: Pick<BlobStoreMethods, "put" | "get" | "head">,
  conditionalUploads: Effect.Effect<boolean, BlobStoreError>
) =>
  Effect.fn("S3BlobStore.compose")(function* (keys: ReadonlyArray<string>, key: string, options?: PutOptions) {
    const heads = yield* Effect.forEach(keys, (part) => store.head(part), { concurrency: atOnce })
    const parts = heads.filter((part) => part.size > 0)
    const size = parts.reduce((sum, part) => sum + part.size, 0)
    if (options?.size !== undefined && options.size !== size) {
      const message = `The parts have ${size} bytes together, not the ${options.size} declared; nothing was stored.`
      return yield* refusal("BodyFailed", "compose", key, message)
    }
    const ifAbsent = options?.ifAbsent === true
    if (!canCopy(parts) || (ifAbsent && !(yield* conditionalUploads))) {
      const body = Stream.flatMap(Stream.fromIterable(parts), (part) => store.get(part.key))
      return yield* store.put(key, body, options)
    }
    const contentType = options?.contentType ?? "application/octet-stream"
    yield* uploadInParts(bucket, "compose", { key, contentType, ifAbsent, mark: yield* newMark }, (upload) =>
      Effect.forEach(
        parts,
        (part, index) =>
          call("compose", part.key, (request) =>
            bucket.client.send(
              new UploadPartCopyCommand({
                ...bucket.at(key),
                UploadId: upload.id,
                PartNumber: index + 1,
                CopySource: `${bucket.name}/${bucket.prefix}${part.key}`
              }),
              request
            )
          ).pipe(Effect.map(({ CopyPartResult: result }) => receipt(index + 1, result?.ETag, result?.ChecksumCRC32))),
        { concurrency: atOnce }
      )
    )
    return { key, size, contentType } satisfies BlobInfo
  })

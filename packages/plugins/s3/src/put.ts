/**
 * Puts a body: small ones at once, large ones in parts. A large body that must find its key free goes to a server that checks this
 * only for single puts by way of a file: its length is then known, and one conditional put sends it.
 */
import { createReadStream } from "node:fs"
import { mkdir, open, unlink } from "node:fs/promises"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { PutObjectCommand, type PutObjectCommandInput } from "@aws-sdk/client-s3"
import type { BlobInfo, BlobStoreError, PutOptions } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { call, type Bucket } from "./Bucket.ts"
import { refusal } from "./errors.ts"
import { sendParts, uploadInParts } from "./multipart.ts"
import { cutIntoParts, type NextPart } from "./parts.ts"
import { newMark, refuseTaken, settle, type Written } from "./settle.ts"

/** S3's limit for a single put. */
const largestPut = 5 * 1024 ** 3

const putOnce = (
  bucket: Bucket,
  operation: string,
  { key, contentType, mark, ifAbsent }: Written,
  body: Pick<PutObjectCommandInput, "Body" | "ContentLength" | "ChecksumCRC32">
) =>
  call(operation, key, (options) =>
    bucket.client.send(
      new PutObjectCommand({
        ...bucket.at(key),
        ...body,
        ContentType: contentType,
        Metadata: mark,
        ...(ifAbsent ? { IfNoneMatch: "*" } : {})
      }),
      options
    )
  )

const scratchFailed = (key: string) => (cause: unknown) => {
  const full = cause instanceof Error && "code" in cause && ["ENOSPC", "EDQUOT"].includes(String(cause.code))
  return full
    ? refusal("Full", "put", key, "The scratch folder's disk is full; free some space, then try again.", false, cause)
    : refusal("Unavailable", "put", key, "The scratch folder cannot be written; correct its rights.", false, cause)
}

/** The body in a file that goes away with the scope. */
const stage = Effect.fnUntraced(function* (bucket: Bucket, key: string, first: Uint8Array, next: NextPart) {
  const io = <A>(run: () => Promise<A>) => Effect.tryPromise({ try: run, catch: scratchFailed(key) })
  const path = join(bucket.scratch, `${globalThis.crypto.randomUUID()}.upload`)
  yield* io(() => mkdir(bucket.scratch, { recursive: true }))
  yield* Effect.addFinalizer(() => Effect.ignore(io(() => unlink(path))))
  const file = yield* Effect.acquireRelease(
    io(() => open(path, "wx", 0o600)),
    (handle) => Effect.ignore(io(() => handle.close()))
  )
  let size = 0
  let sum = 0
  for (let part = first; part.length > 0; part = yield* next) {
    yield* io(() => file.appendFile(part))
    size += part.length
    sum = crc32(part, sum)
    if (size > largestPut)
      return yield* refusal(
        "Unsupported",
        "put",
        key,
        "This server checks If-None-Match only for bodies of up to 5 GiB; use a server that checks it for uploads in parts too."
      )
  }
  return { path, size, sum }
})

/** As S3 wants it: big-endian, in base64. */
const encodeSum = (sum: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(sum)
  return bytes.toString("base64")
}

const putFile = (bucket: Bucket, written: Written, { path, size, sum }: Effect.Success<ReturnType<typeof stage>>) => {
  // With its checksum given, the client does not append one to the stream, which older servers would not take.
  const checksum = bucket.checksums === "supported" ? { ChecksumCRC32: encodeSum(sum) } : {}
  return Effect.acquireUseRelease(
    Effect.sync(() => createReadStream(path)),
    (file) => {
      const failed = new Promise<never>((_, reject) => file.once("error", reject))
      return Effect.raceFirst(
        putOnce(bucket, "put", written, { Body: file, ContentLength: size, ...checksum }),
        Effect.tryPromise({ try: () => failed, catch: scratchFailed(written.key) })
      )
    },
    (file) => Effect.sync(() => file.destroy())
  ).pipe(Effect.retry({ times: 2, while: (error) => error.retryable }), settle(bucket, "put", written))
}

export const makePut = (bucket: Bucket, conditionalUploads: Effect.Effect<boolean, BlobStoreError>) =>
  Effect.fn("S3BlobStore.put")(function* (
    key: string,
    body: Stream.Stream<Uint8Array, BlobStoreError>,
    options?: PutOptions
  ) {
    const contentType = options?.contentType ?? "application/octet-stream"
    const ifAbsent = options?.ifAbsent === true
    const written: Written = { key, contentType, ifAbsent, mark: yield* newMark }
    const next = yield* cutIntoParts(body, bucket.partSize)
    const first = yield* next
    let size = 0
    if (ifAbsent && first.length === bucket.partSize) yield* refuseTaken(bucket, "put", key)
    if (first.length < bucket.partSize) {
      size = first.length
      yield* putOnce(bucket, "put", written, { Body: first, ContentLength: size }).pipe(settle(bucket, "put", written))
    } else if (!ifAbsent || (yield* conditionalUploads)) {
      yield* uploadInParts(bucket, "put", written, (upload) =>
        sendParts(bucket, upload, first, next, (bytes) => (size += bytes))
      )
    } else {
      const staged = yield* stage(bucket, key, first, next)
      size = staged.size
      yield* putFile(bucket, written, staged)
    }
    return { key, size, contentType } satisfies BlobInfo
  }, Effect.scoped)

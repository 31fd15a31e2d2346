/**
 * Who won. A write whose answer was lost is sent again and then meets its own blob, so a refusal is believed only after a look at what
 * is there.
 */
import { HeadObjectCommand } from "@aws-sdk/client-s3"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { call, type Bucket } from "./Bucket.ts"
import { refusal, serverName } from "./errors.ts"

const markName = "mahalla-write"

export interface Written {
  readonly key: string
  readonly contentType: string
  readonly ifAbsent: boolean
  /** Stored with the blob, so that a writer knows its own again. */
  readonly mark: Record<string, string>
}

export const newMark = Effect.sync(() => ({ [markName]: globalThis.crypto.randomUUID() }))

const taken = (operation: string, key: string, cause?: unknown) =>
  refusal("AlreadyExists", operation, key, "There is a blob under this key already; take another key.", false, cause)

/** What is there now, or undefined. */
const look = (bucket: Bucket, operation: string, key: string) =>
  call(operation, key, (options) => bucket.client.send(new HeadObjectCommand(bucket.at(key)), options)).pipe(
    Effect.catch((error) => (error.reason === "NotFound" ? Effect.succeed(undefined) : Effect.fail(error)))
  )

/** Spares a large body the way to a refusal; the last word has the write itself. */
export const refuseTaken = (bucket: Bucket, operation: string, key: string) =>
  Effect.flatMap(look(bucket, operation, key), (found) =>
    found === undefined ? Effect.void : Effect.fail(taken(operation, key))
  )

const isDoubtful = (error: BlobStoreError) =>
  error.reason === "AlreadyExists" || ["ConditionalRequestConflict", "NoSuchUpload"].includes(serverName(error))

/** Turns a refusal into a success when the blob there is the one we wrote, and into `AlreadyExists` when it is another's. */
export const settle =
  (bucket: Bucket, operation: string, { key, mark, ifAbsent }: Written) =>
  <A>(write: Effect.Effect<A, BlobStoreError>): Effect.Effect<void, BlobStoreError> =>
    write.pipe(
      Effect.asVoid,
      Effect.catch((error) =>
        isDoubtful(error)
          ? Effect.flatMap(look(bucket, operation, key), (found) => {
              if (found?.Metadata?.[markName] === mark[markName]) return Effect.void
              if (!ifAbsent) return Effect.fail(error)
              const gone = "The blob came and went meanwhile; try again."
              return Effect.fail(
                found === undefined
                  ? refusal("Unavailable", operation, key, gone, true, error)
                  : taken(operation, key, error)
              )
            })
          : Effect.fail(error)
      )
    )

/**
 * Blobs in memory, for tests of whatever stores through the port. Chunks are kept as they come, not copied.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import {
  BlobStore,
  BlobStoreError,
  type BlobInfo,
  type BlobStoreMethods,
  type BlobStoreReason
} from "../ports/BlobStore.ts"

interface Blob {
  readonly info: BlobInfo
  readonly chunks: ReadonlyArray<Uint8Array>
}

const fail = (reason: BlobStoreReason, operation: string, key: string, message: string) =>
  Effect.fail(new BlobStoreError({ reason, operation, subject: key, message, retryable: false }))

/** The chunks from byte `start` up to and without byte `end`. */
const slice = (chunks: ReadonlyArray<Uint8Array>, start: number, end: number): ReadonlyArray<Uint8Array> => {
  const found: Array<Uint8Array> = []
  let at = 0
  for (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at))
    if (part.length > 0) found.push(part)
    at += chunk.length
  }
  return found
}

/** The methods over a map that the caller may look into. */
export const memoryBlobMethods = (blobs: Map<string, Blob>): BlobStoreMethods => {
  const find = (operation: string, key: string) =>
    Effect.suspend(() => {
      const blob = blobs.get(key)
      return blob === undefined
        ? fail("NotFound", operation, key, "There is no such blob; check the key.")
        : Effect.succeed(blob)
    })
  return {
    capabilities: { presign: false, shared: false },
    put: Effect.fnUntraced(function* (key, body, options) {
      const chunks = yield* Stream.runCollect(body)
      if (options?.ifAbsent === true && blobs.has(key))
        return yield* fail("AlreadyExists", "put", key, "There is a blob under this key; take another key.")
      const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      const info = { key, size, contentType: options?.contentType ?? "application/octet-stream" }
      blobs.set(key, { info, chunks })
      return info
    }),
    get: (key, range) =>
      Stream.unwrap(
        Effect.flatMap(find("get", key), ({ info, chunks }) =>
          range === undefined
            ? Effect.succeed(Stream.fromIterable(chunks))
            : range.start >= info.size
              ? fail("InvalidRange", "get", key, `The blob has ${info.size} bytes; start below that.`)
              : Effect.succeed(Stream.fromIterable(slice(chunks, range.start, (range.end ?? info.size) + 1)))
        )
      ),
    head: (key) => Effect.map(find("head", key), ({ info }) => info),
    delete: (key) => Effect.sync(() => void blobs.delete(key)),
    list: (prefix, options) =>
      Effect.sync(() => {
        // Keys are ASCII, so the default order is the order of bytes.
        const keys = [...blobs.keys()].filter((key) => key.startsWith(prefix) && key > (options?.cursor ?? "")).sort()
        const page = keys.slice(0, options?.limit)
        const items = page.map((key) => ({ key, size: blobs.get(key)?.info.size ?? 0 }))
        const cursor = page.at(-1)
        return cursor === undefined || page.length === keys.length ? { items } : { items, cursor }
      })
  }
}

/** Forgets everything with the layer. */
export const memoryBlobStore: Layer.Layer<BlobStore> = Layer.sync(BlobStore, () =>
  BlobStore.make(memoryBlobMethods(new Map()))
)

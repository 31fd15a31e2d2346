/**
 * A blob store as somebody outside would write it, with Effect: bytes in one folder, the index in memory.
 */
import {
  apiVersion,
  BlobStore,
  BlobStoreError,
  definePlugin,
  type BlobInfo,
  type BlobStoreReason
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { createReadStream } from "node:fs"
import { mkdir, open, rm } from "node:fs/promises"
import { join } from "node:path"

const refusal = (reason: BlobStoreReason, operation: string, subject: string, message: string, cause?: unknown) =>
  new BlobStoreError({ reason, operation, subject, message, retryable: reason === "Unavailable", cause })

const makeShelf = (folder: string) => {
  const index = new Map<string, { readonly info: BlobInfo; readonly file: string }>()
  const disk = <A>(operation: string, key: string, use: () => Promise<A>) =>
    Effect.tryPromise({
      try: use,
      catch: (cause) =>
        refusal("Unavailable", operation, key, `The shelf in ${folder} does not answer; see its disk.`, cause)
    })
  const find = (operation: string, key: string) =>
    Effect.suspend(() => {
      const blob = index.get(key)
      return blob === undefined
        ? Effect.fail(refusal("NotFound", operation, key, "Nothing stands there on the shelf; check the key."))
        : Effect.succeed(blob)
    })
  const writeFile = (key: string, file: string, body: Stream.Stream<Uint8Array, BlobStoreError>) =>
    Effect.acquireUseRelease(
      disk("put", key, () => open(file, "wx")),
      (handle) =>
        Stream.runFoldEffect(
          body,
          () => 0,
          (size, chunk) =>
            Effect.as(
              disk("put", key, () => handle.writeFile(chunk)),
              size + chunk.byteLength
            )
        ),
      (handle) => Effect.promise(() => handle.close())
    )
  return BlobStore.make({
    capabilities: { presign: false, shared: false },
    put: Effect.fn("Shelf.put")(function* (key, body, options) {
      const file = join(folder, randomUUID())
      const drop = (path: string) => Effect.promise(() => rm(path, { force: true }))
      const size = yield* writeFile(key, file, body).pipe(Effect.onError(() => drop(file)))
      const before = index.get(key)
      if (options?.ifAbsent === true && before !== undefined) {
        yield* drop(file)
        return yield* refusal("AlreadyExists", "put", key, "The place on the shelf is taken; take another key.")
      }
      const info = { key, size, contentType: options?.contentType ?? "application/octet-stream" }
      index.set(key, { info, file })
      if (before !== undefined) yield* drop(before.file)
      return info
    }),
    get: (key, range) =>
      Stream.unwrap(
        Effect.flatMap(find("get", key), ({ info, file }) =>
          range !== undefined && range.start >= info.size
            ? Effect.fail(refusal("InvalidRange", "get", key, `The blob has ${info.size} bytes; start below that.`))
            : Effect.succeed(
                Stream.fromAsyncIterable<Uint8Array, BlobStoreError>(createReadStream(file, range), (cause) =>
                  refusal("Unavailable", "get", key, `The shelf in ${folder} does not answer; see its disk.`, cause)
                )
              )
        )
      ),
    head: (key) => Effect.map(find("head", key), ({ info }) => info),
    delete: (key) =>
      Effect.suspend(() => {
        const blob = index.get(key)
        index.delete(key)
        return blob === undefined ? Effect.void : disk("delete", key, () => rm(blob.file, { force: true }))
      }),
    list: (prefix, options) =>
      Effect.sync(() => {
        const keys = [...index.keys()].filter((key) => key.startsWith(prefix) && key > (options?.cursor ?? "")).sort()
        const page = keys.slice(0, options?.limit)
        const items = page.flatMap((key) => index.get(key)?.info ?? [])
        const cursor = page.at(-1)
        return cursor === undefined || page.length === keys.length ? { items } : { items, cursor }
      })
  })
}

export const ShelfConfig = Schema.Struct({ folder: Schema.NonEmptyString })

export const shelf = definePlugin({
  id: "@acme/shelf",
  apiVersion,
  config: ShelfConfig,
  provides: [BlobStore],
  layer: ({ folder }) =>
    Layer.effect(
      BlobStore,
      Effect.promise(() => mkdir(folder, { recursive: true })).pipe(Effect.map(() => makeShelf(folder)))
    )
})

/**
 * Blobs in a folder of this machine: `incoming` holds what is being written, `stored` what is whole.
 */
import { unlink } from "node:fs/promises"
import { join, resolve } from "node:path"
import { BlobStore, Host, type BlobStoreMethods } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { headBlob, makeTrailer, readBlob, writeBlob } from "./blobFile.ts"
import { publish, remove } from "./durable.ts"
import { attempt, refusal } from "./errors.ts"
import { incomingName, prepare } from "./incoming.ts"
import { pathOf } from "./paths.ts"
import { listBlobs } from "./walk.ts"

export const capabilities = { presign: false, shared: false }

const methods = (incoming: string, stored: string): BlobStoreMethods => {
  const fileOf = (key: string) => join(stored, pathOf(key))
  return {
    capabilities,
    put: Effect.fn("FilesystemBlobStore.put")(function* (key, body, options) {
      const contentType = options?.contentType ?? "application/octet-stream"
      const trailer = makeTrailer(contentType)
      if (trailer === undefined)
        return yield* refusal("Unsupported", "put", key, "The content type is too long; give at most 498 bytes.")
      const from = join(incoming, incomingName())
      const ifAbsent = options?.ifAbsent === true
      return yield* writeBlob(from, key, body, trailer).pipe(
        Effect.tap(publish({ root: stored, from, to: fileOf(key), ifAbsent }, key)),
        Effect.map((size) => ({ key, size, contentType })),
        Effect.ensuring(Effect.ignore(attempt("put", key)(() => unlink(from))))
      )
    }),
    get: (key, range) => readBlob(fileOf(key), key, range),
    head: (key) => headBlob(fileOf(key), key),
    delete: (key) => remove(stored, fileOf(key), key),
    list: (prefix, options) => listBlobs(stored, prefix, options?.cursor ?? "", options?.limit ?? 1000)
  }
}

/** `folder` as in the configuration; by default `blobs` in the plugin's own folder. */
export const FilesystemBlobStore = (config: { readonly folder?: string }) =>
  Layer.effect(
    BlobStore,
    Effect.gen(function* () {
      const host = yield* Host
      const folder = config.folder === undefined ? join(host.home, "blobs") : resolve(config.folder)
      const [incoming, stored] = [join(folder, "incoming"), join(folder, "stored")] as const
      yield* prepare(incoming, stored)
      return BlobStore.make(methods(incoming, stored))
    })
  )

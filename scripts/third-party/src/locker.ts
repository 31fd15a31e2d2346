/**
 * A blob store as somebody outside would write it without Effect: promises and async iterables over one folder.
 */
import { apiVersion, BlobStore, BlobStoreError, definePluginAsync, type BlobStoreReason } from "@mahalla/core/plugin"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { createReadStream, createWriteStream } from "node:fs"
import { mkdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"

const refusal = (reason: BlobStoreReason, operation: string, subject: string, message: string) =>
  new BlobStoreError({ reason, operation, subject, message, retryable: false })

export const locker = definePluginAsync({
  id: "@acme/locker",
  apiVersion,
  config: Schema.Struct({ folder: Schema.NonEmptyString }),
  provides: BlobStore,
  create: async ({ folder }) => {
    await mkdir(folder, { recursive: true })
    const index = new Map<string, { file: string; size: number; contentType: string }>()
    const find = (operation: string, key: string) => {
      const blob = index.get(key)
      if (blob === undefined) throw refusal("NotFound", operation, key, "No locker has this key; check it.")
      return blob
    }
    return {
      capabilities: { presign: false, shared: false },
      put: async (key, body, options) => {
        const file = join(folder, randomUUID())
        try {
          await pipeline(body, createWriteStream(file))
        } catch (error) {
          await rm(file, { force: true })
          throw error
        }
        const { size } = await stat(file)
        // From here to `set` nothing is awaited, so of any number of racers one wins.
        const before = index.get(key)
        if (options?.ifAbsent === true && before !== undefined) {
          await rm(file, { force: true })
          throw refusal("AlreadyExists", "put", key, "The locker is in use; take another key.")
        }
        const contentType = options?.contentType ?? "application/octet-stream"
        index.set(key, { file, size, contentType })
        if (before !== undefined) await rm(before.file, { force: true })
        return { key, size, contentType }
      },
      get: async function* (key, range) {
        const { file, size } = find("get", key)
        if (range !== undefined && range.start >= size)
          throw refusal("InvalidRange", "get", key, `The blob has ${size} bytes; start below that.`)
        yield* createReadStream(file, range) as AsyncIterable<Uint8Array>
      },
      head: async (key) => {
        const { size, contentType } = find("head", key)
        return { key, size, contentType }
      },
      delete: async (key) => {
        const blob = index.get(key)
        index.delete(key)
        if (blob !== undefined) await rm(blob.file, { force: true })
      },
      list: async (prefix, options) => {
        const keys = [...index.keys()].filter((key) => key.startsWith(prefix) && key > (options?.cursor ?? "")).sort()
        const page = keys.slice(0, options?.limit)
        const items = page.map((key) => ({ key, size: index.get(key)?.size ?? 0 }))
        const cursor = page.at(-1)
        return cursor === undefined || page.length === keys.length ? { items } : { items, cursor }
      }
    }
  }
})

/**
 * Lists keys in the order of their bytes, by walking only the folders that can hold them.
 */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import type { BlobEntry, BlobPage, BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { trailerSize } from "./blobFile.ts"
import { attempt } from "./errors.ts"
import { decode, type Kind } from "./paths.ts"

interface Entry {
  readonly path: string
  readonly kind: Kind
  /** The key of a blob; the beginning of every key inside a folder. */
  readonly text: string
}

/** Blobs come and go while we look. */
const unlessGone = <A>(effect: Effect.Effect<A, BlobStoreError>) =>
  Effect.catch(effect, (error) => (error.reason === "NotFound" ? Effect.succeed(undefined) : Effect.fail(error)))

const entriesOf = (folder: string, text: string, names: ReadonlyArray<string>): ReadonlyArray<Entry> =>
  names
    .flatMap((name): ReadonlyArray<Entry> => {
      const found = decode(name)
      if (found === undefined) return []
      const slash = found.kind === "dir" ? "/" : ""
      return [{ path: join(folder, name), kind: found.kind, text: text + found.text + slash }]
    })
    .sort((one, other) => (one.text < other.text ? -1 : 1))

/** One page of the keys that begin with `prefix` and come after `after`. */
export const listBlobs = Effect.fnUntraced(function* (root: string, prefix: string, after: string, limit: number) {
  const io = attempt("list", prefix)
  const items: Array<BlobEntry> = []
  const mayHold = ({ kind, text }: Entry) =>
    kind === "blob"
      ? text.startsWith(prefix) && text > after
      : (text.startsWith(prefix) || prefix.startsWith(text)) && (text > after || after.startsWith(text))

  const walk = (folder: string, text: string): Effect.Effect<void, BlobStoreError> =>
    Effect.gen(function* () {
      const names = (yield* unlessGone(io(() => readdir(folder)))) ?? []
      for (const entry of entriesOf(folder, text, names)) {
        if (items.length > limit) return
        if (!mayHold(entry)) continue
        if (entry.kind === "blob") {
          const found = yield* unlessGone(io(() => stat(entry.path)))
          if (found !== undefined) items.push({ key: entry.text, size: Math.max(0, found.size - trailerSize) })
        } else yield* walk(entry.path, entry.text)
      }
    })
  yield* walk(root, "")

  const page: BlobPage = { items: items.slice(0, limit) }
  const last = page.items.at(-1)
  return items.length > limit && last !== undefined ? { ...page, cursor: last.key } : page
})

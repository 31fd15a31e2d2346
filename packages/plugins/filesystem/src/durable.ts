/**
 * Changes to folders that outlive a loss of power.
 */
import { link, mkdir, open, rename, rmdir, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { attempt, codeOf, isCode } from "./errors.ts"

const syncFolder = async (folder: string) => {
  // Windows keeps its folders by itself and refuses this.
  if (process.platform === "win32") return
  const handle = await open(folder, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** From the folder up to and including `root`: any of them may have been made just now, by us or by another. */
const syncUpTo = async (root: string, folder: string): Promise<void> => {
  await syncFolder(folder)
  if (folder !== root) await syncUpTo(root, dirname(folder))
}

/**
 * Gives a finished file its name. `ifAbsent` links, which the system refuses when the name is taken; otherwise the file replaces the old
 * one at once. A folder that a delete has removed in between is made again.
 */
export const publish = (
  options: { readonly root: string; readonly from: string; readonly to: string; readonly ifAbsent: boolean },
  key: string,
  tries = 20
): Effect.Effect<void, BlobStoreError> => {
  const { root, from, to, ifAbsent } = options
  const io = attempt("put", key)
  const folder = dirname(to)
  return io(() => mkdir(folder, { recursive: true, mode: 0o700 })).pipe(
    Effect.andThen(io(() => (ifAbsent ? link(from, to) : rename(from, to)))),
    Effect.andThen(io(() => syncUpTo(root, folder))),
    Effect.catch((error) =>
      isCode(error, "ENOENT") && tries > 0 ? publish(options, key, tries - 1) : Effect.fail(error)
    ),
    Effect.uninterruptible
  )
}

const removeEmpty = async (root: string, folder: string): Promise<void> => {
  if (folder === root) return
  const empty = await rmdir(folder).then(
    () => true,
    () => false
  )
  if (empty) await removeEmpty(root, dirname(folder))
}

/** Removes a file for good, and the folders that it leaves empty. */
export const remove = (root: string, path: string, key: string): Effect.Effect<void, BlobStoreError> =>
  attempt(
    "delete",
    key
  )(async () => {
    const there = await unlink(path).then(
      () => true,
      (cause: unknown) => {
        if (codeOf(cause) !== "ENOENT") throw cause
        return false
      }
    )
    if (!there) return
    const folder = dirname(path)
    await syncFolder(folder).catch((cause: unknown) => {
      if (codeOf(cause) !== "ENOENT") throw cause
    })
    await removeEmpty(root, folder)
  })

/**
 * What a backup folder says about itself, and the frame of making one: written beside its place and renamed, so that a folder with
 * a manifest is a whole backup.
 */
import { randomBytes } from "node:crypto"
import { mkdir, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { StorageError } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { orAbsent } from "../launcher/failure.ts"

export interface Manifest {
  readonly format: 1
  /** `folder`: a copy of the embedded server's data. `dump`: made by pg_dump. */
  readonly kind: "folder" | "dump"
  /** As in `server_version`. */
  readonly version: string
  /** Epoch milliseconds. */
  readonly madeAt: number
  /** Extensions that a dump needs before its tables. */
  readonly extensions: ReadonlyArray<string>
}

const file = "manifest.json"

export const refuse = (operation: string, subject: string, message: string, cause?: unknown): StorageError =>
  new StorageError({
    reason: "Unsupported",
    operation,
    subject,
    message,
    retryable: false,
    ...(cause === undefined ? {} : { cause })
  })

/** Work on a backup's files. */
export const files = <A>(operation: string, directory: string, run: () => Promise<A>): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => {
      if (cause instanceof StorageError) return cause
      const full = (cause as NodeJS.ErrnoException).code === "ENOSPC"
      return new StorageError({
        reason: full ? "Full" : "DataFolder",
        operation,
        subject: directory,
        message: `${directory}: ${cause instanceof Error ? cause.message : String(cause)}. ${full ? "Free some space on that disk" : "Check that the folder can be read and written"}, then try again.`,
        retryable: false,
        cause
      })
    }
  })

/** Fills a new folder; it gets its name when it is whole. */
export const makeBackup = (
  directory: string,
  fill: (half: string) => Effect.Effect<Omit<Manifest, "format" | "madeAt">, StorageError>
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const target = resolve(directory)
    const half = `${target}.half-${randomBytes(6).toString("hex")}`
    yield* files("backup", target, async () => {
      const there = await orAbsent(readdir(target))
      if (there !== undefined && there.length > 0)
        throw refuse("backup", target, `${target} is not empty. Name a new folder for the backup.`)
      await mkdir(dirname(target), { recursive: true })
      await mkdir(half, { mode: 0o700 })
    })
    yield* Effect.gen(function* () {
      const about = yield* fill(half)
      const manifest: Manifest = { format: 1, madeAt: yield* Clock.currentTimeMillis, ...about }
      yield* files("backup", target, async () => {
        await writeFile(join(half, file), JSON.stringify(manifest, undefined, 2))
        await orAbsent(rmdir(target))
        await rename(half, target)
      })
    }).pipe(
      Effect.onError(() => Effect.ignore(files("backup", half, () => rm(half, { recursive: true, force: true }))))
    )
  })

export const readManifest = (directory: string, kind: Manifest["kind"]): Effect.Effect<Manifest, StorageError> =>
  files("restore", directory, async () => {
    const text = await orAbsent(readFile(join(directory, file), "utf8"))
    if (text === undefined)
      throw refuse(
        "restore",
        directory,
        `${directory} holds no whole backup: ${file} is missing. Name a folder that backup made.`
      )
    const manifest = JSON.parse(text) as Manifest
    if (manifest.kind !== kind)
      throw refuse(
        "restore",
        directory,
        kind === "folder"
          ? `${directory} was made by pg_dump from an outside PostgreSQL. Restore it with DATABASE_URL set.`
          : `${directory} is a copy of an embedded PostgreSQL. Restore it without DATABASE_URL.`
      )
    return manifest
  })

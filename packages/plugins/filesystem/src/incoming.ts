/**
 * The folder of files that are still being written, on the same file system as the finished ones. What crashed writes left there is
 * removed at start.
 */
import { randomUUID } from "node:crypto"
import { link, mkdir, readdir, stat, unlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { attempt, codeOf, isCode, refusal } from "./errors.ts"

const day = 24 * 60 * 60 * 1000

/** A name that tells which process writes it. */
export const incomingName = () => `${process.pid}.${randomUUID()}.part`

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return codeOf(cause) === "EPERM"
  }
}

/**
 * A writer that is gone writes no more. In a container every start has the same process id, so our own id counts from this process's
 * start; and an id may have gone to another program, so nothing that was untouched for a day is spared.
 */
const isLeftover = (pid: number, touched: number, now: number) =>
  pid === process.pid ? touched < now - process.uptime() * 1000 : !isAlive(pid) || touched < now - day

export const sweep = Effect.fnUntraced(function* (folder: string) {
  const io = attempt("start", folder)
  const now = yield* Clock.currentTimeMillis
  for (const name of yield* io(() => readdir(folder))) {
    const pid = Number(/^(\d+)\..*\.part$/.exec(name)?.[1] ?? Number.NaN)
    if (Number.isNaN(pid)) continue
    const path = join(folder, name)
    const touched = yield* io(() => stat(path)).pipe(
      Effect.map(({ mtimeMs }) => mtimeMs),
      Effect.catch((error) => (isCode(error, "ENOENT") ? Effect.succeed(now) : Effect.fail(error)))
    )
    if (isLeftover(pid, touched, now)) yield* Effect.ignore(io(() => unlink(path)))
  }
})

/** Makes the folders, and makes sure that the file system can give a file its name only when the name is free. */
export const prepare = (incoming: string, stored: string) =>
  Effect.gen(function* () {
    const io = attempt("start", stored)
    yield* io(() => mkdir(incoming, { recursive: true, mode: 0o700 }))
    yield* io(() => mkdir(stored, { recursive: true, mode: 0o700 }))
    yield* sweep(incoming)
    const from = join(incoming, incomingName())
    const to = join(stored, incomingName())
    yield* io(() => writeFile(from, "")).pipe(
      Effect.andThen(io(() => link(from, to))),
      Effect.ensuring(Effect.all([from, to].map((path) => Effect.ignore(io(() => unlink(path))))))
    )
  }).pipe(Effect.mapError((error) => notUsable(stored, error)))

const notUsable = (folder: string, error: BlobStoreError) => {
  const code = codeOf(error.cause)
  const [reason, message] = ["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV"].includes(code)
    ? ([
        "Unsupported",
        `The file system of ${folder} has no hard links (${code}), so put-if-absent would not be safe; choose a folder on ext4, XFS, Btrfs, APFS or NTFS.`
      ] as const)
    : ([
        error.reason,
        `The folder ${folder} cannot be used for blobs (${code}); make sure that it is a folder with free space that this user may write, on a file system with hard links.`
      ] as const)
  return refusal(reason, "start", folder, message, false, error.cause)
}

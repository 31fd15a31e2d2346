/**
 * Backup of an outside PostgreSQL by its own tools, pg_dump and pg_restore, which must not be older than the server. Only the schema
 * `mahalla` is touched: the database may hold other things of its owner.
 */
import { spawn } from "node:child_process"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { StorageError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Address, connect, type Session } from "../connection.ts"
import { orAbsent } from "../launcher/failure.ts"
import { files, makeBackup, readManifest, refuse } from "./manifest.ts"

interface Outcome {
  readonly status: number | undefined
  readonly said: string
}

/** The password travels in the environment, where other users of the machine cannot see it. */
const run = (program: string, args: ReadonlyArray<string>, password: string): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const child = spawn(program, [...args], {
      env: { ...process.env, PGPASSWORD: password, PGCONNECT_TIMEOUT: "10", LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true
    })
    let said = ""
    const hear = (chunk: Buffer) => void (said = (said + chunk.toString()).slice(-2_000))
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("error", (cause) => resume(Effect.succeed({ status: undefined, said: cause.message })))
    child.on("close", (status) => resume(Effect.succeed({ status: status ?? 1, said: said.trim() })))
    return Effect.sync(() => child.kill("SIGTERM"))
  })

/** On PATH, else where Debian keeps the tools of each major version. */
const places = async (name: string): Promise<ReadonlyArray<string>> => {
  const majors = (await orAbsent(readdir("/usr/lib/postgresql"))) ?? []
  return [name, ...majors.map((major) => join("/usr/lib/postgresql", major, "bin", name))]
}

const tool = (operation: string, name: string, server: number): Effect.Effect<string, StorageError> =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (const program of yield* files(operation, name, () => places(name))) {
      const { said, status } = yield* run(program, ["--version"], "")
      const major = Number(/ (\d+)/.exec(said)?.[1] ?? Number.NaN)
      if (status !== 0 || Number.isNaN(major)) continue
      if (major >= server) return program
      found.push(`${program} is of version ${major}`)
    }
    return yield* refuse(
      operation,
      name,
      `${name} of version ${server} or newer is needed for a PostgreSQL ${server}${found.length === 0 ? ", and none was found" : `; ${found.join(", ")}`}. Install it (on Debian: apt install postgresql-client-${server}), or use your server's own backup, such as pg_basebackup or a snapshot.`
    )
  })

const major = (session: Session) =>
  Effect.map(session.query("select current_setting('server_version_num')::int / 10000 as major"), ([row]) =>
    Number(row?.["major"])
  )

const split = (to: Address) => {
  const url = new URL(Redacted.value(to.url))
  const password = decodeURIComponent(url.password)
  url.password = ""
  return { password, connection: `--dbname=${url.toString()}` }
}

const failed = (operation: string, to: Address, program: string, outcome: Outcome) =>
  new StorageError({
    reason: outcome.said.includes("No space left") ? "Full" : "Unavailable",
    operation,
    subject: to.subject,
    message: `${program} ended with ${outcome.status}: ${outcome.said}. Correct what it says and try again.`,
    retryable: false
  })

/** Tables of ours whose rows a role under row-level security would not all see. */
const hidden = `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'mahalla' and c.relkind in ('r', 'p') and c.relrowsecurity
    and (c.relforcerowsecurity or not pg_has_role(c.relowner, 'usage'))
    and not exists (select from pg_policy p where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')
      and pg_get_expr(p.polqual, c.oid) = 'true'
      and exists (select from unnest(p.polroles) as role where role = 0 or pg_has_role(role, 'usage')))
    and not (select rolsuper or rolbypassrls from pg_roles where rolname = current_user)`

/** Dumps the schema `mahalla`. */
export const backupDump =
  (from: Address) =>
  (directory: string): Effect.Effect<void, StorageError> =>
    makeBackup(directory, (half) =>
      Effect.gen(function* () {
        const session = yield* connect(from, "backup")
        const program = yield* tool("backup", "pg_dump", yield* major(session))
        const unseen = yield* session.query(hidden)
        if (unseen.length > 0)
          return yield* refuse(
            "backup",
            from.subject,
            `This role does not see all rows of ${unseen.map((row) => String(row["name"])).join(", ")}, so the backup would lack some. Let a role with BYPASSRLS make it.`
          )
        const [about] = yield* session.query(
          `select split_part(current_setting('server_version'), ' ', 1) as version,
                  array(select extname::text from pg_extension where extname <> 'plpgsql') as extensions`
        )
        const { connection, password } = split(from)
        const target = `--file=${join(half, "dump")}`
        const outcome = yield* run(
          program,
          ["--format=directory", "--schema=mahalla", "--no-owner", "--enable-row-security", target, connection],
          password
        )
        if (outcome.status !== 0) return yield* failed("backup", from, program, outcome)
        return {
          kind: "dump" as const,
          version: String(about?.["version"]),
          extensions: about?.["extensions"] as ReadonlyArray<string>
        }
      }).pipe(Effect.scoped)
    )

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`

/** Replaces the schema `mahalla`; the old one comes back when the restore fails. */
export const restoreDump =
  (to: Address) =>
  (directory: string): Effect.Effect<void, StorageError> =>
    Effect.gen(function* () {
      const manifest = yield* readManifest(directory, "dump")
      const session = yield* connect(to, "restore")
      const program = yield* tool("restore", "pg_restore", yield* major(session))
      const busy = yield* session.query(
        "select distinct application_name as name from pg_stat_activity where datname = current_database() and application_name in ('mahalla-app', 'mahalla-platform')"
      )
      if (busy.length > 0)
        return yield* refuse(
          "restore",
          to.subject,
          "A city is working on this database. Stop every server of it, then restore."
        )
      for (const role of ["mahalla_app", "mahalla_platform"])
        yield* session.query(
          `do $$ begin if not exists (select from pg_roles where rolname = '${role}') then create role ${role} nologin; end if; end $$`
        )
      for (const extension of manifest.extensions)
        yield* session.query(`create extension if not exists ${quote(extension)}`)
      yield* session.query("drop schema if exists mahalla_before_restore cascade")
      const [had] = yield* session.query("select to_regnamespace('mahalla') is not null as had")
      if (had?.["had"] === true) yield* session.query("alter schema mahalla rename to mahalla_before_restore")
      const { connection, password } = split(to)
      const outcome = yield* run(
        program,
        ["--single-transaction", "--exit-on-error", "--no-owner", connection, join(directory, "dump")],
        password
      )
      if (outcome.status !== 0) {
        if (had?.["had"] === true) yield* session.query("alter schema mahalla_before_restore rename to mahalla")
        return yield* failed("restore", to, program, outcome)
      }
      yield* session.query("drop schema if exists mahalla_before_restore cascade")
    }).pipe(Effect.scoped)

/** A PostgreSQL of the distribution, as a city in production has one: started in a temporary folder, with an owner who is no superuser. */
import { execFileSync, spawn } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

const folder = "/usr/lib/postgresql"
const bin = (existsSync(folder) ? readdirSync(folder) : [])
  .map((major) => join(folder, major, "bin"))
  .find((path) => ["initdb", "postgres", "pg_dump", "pg_restore"].every((name) => existsSync(join(path, name))))

export const lacksOutside =
  bin === undefined ? "no server of a distribution is installed (on Debian: apt install postgresql)" : undefined

const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { readonly port: number }
      probe.close(() => resolve(port))
    })
  })

export interface Outside {
  readonly admin: Redacted.Redacted<string>
  readonly owner: Redacted.Redacted<string>
}

export const outside = Effect.gen(function* () {
  if (bin === undefined) return yield* Effect.die(new Error(lacksOutside))
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const place = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await mkdtemp(join(tmpdir(), "mahalla-outside-"))
      await chmod(path, 0o755)
      if (account.uid !== undefined) await chown(path, account.uid, account.gid)
      await writeFile(join(path, "words"), "secret")
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const data = join(place, "data")
  const port = yield* Effect.promise(freePort)
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "off",
    max_connections: 50
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const words = `--pwfile=${join(place, "words")}`
      execFileSync(join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "scram-sha-256", words, "--no-sync"], {
        ...account,
        stdio: "ignore",
        cwd: "/"
      })
      const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      return spawn(join(bin, "postgres"), ["-D", data, ...flags], { ...account, stdio: "ignore", cwd: "/" })
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.once("exit", () => resume(Effect.void))
        server.kill("SIGINT")
      })
  )
  const at = (user: string, base: string) =>
    Redacted.make(`postgres://${user}:secret@127.0.0.1:${port}/${base}?sslmode=disable`)
  const admin = yield* PgConnection.make({ url: at("postgres", "postgres") }).pipe(
    Effect.tapError(() => Effect.sleep("50 millis")),
    Effect.retry({ times: 200 })
  )
  yield* admin.query("create role city login createrole password 'secret'")
  yield* admin.query("create database city owner city")
  return { admin: at("postgres", "city"), owner: at("city", "city") } satisfies Outside
})

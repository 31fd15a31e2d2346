/** A PgBouncer in transaction mode before a test's database. */
import { spawn } from "node:child_process"
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ensureProgram } from "../../../../../scripts/services/debian.ts"

const program = await ensureProgram("pgbouncer")

const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { readonly port: number }
      probe.close(() => resolve(port))
    })
  })

/** The address with the pooler between. */
export const pooled = (direct: Redacted.Redacted<string>) =>
  Effect.gen(function* () {
    const server = new URL(Redacted.value(direct))
    const port = yield* Effect.promise(freePort)
    const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const folder = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const path = await mkdtemp(join(tmpdir(), "mahalla-pooler-"))
        await chmod(path, 0o755)
        if (account.uid !== undefined) await chown(path, account.uid, account.gid)
        const user = `"${decodeURIComponent(server.username)}" "${decodeURIComponent(server.password)}"\n`
        await writeFile(join(path, "users"), user)
        const settings = {
          listen_addr: "127.0.0.1",
          listen_port: port,
          unix_socket_dir: "",
          auth_type: "trust",
          auth_file: join(path, "users"),
          pool_mode: "transaction",
          default_pool_size: 5
        }
        const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
        const base = `* = host=${server.hostname} port=${server.port}`
        await writeFile(join(path, "ini"), ["[databases]", base, "[pgbouncer]", ...lines, ""].join("\n"))
        return path
      }),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => spawn(program, [join(folder, "ini")], { ...account, stdio: "ignore", cwd: "/" })),
      (pooler) =>
        Effect.callback<void>((resume) => {
          pooler.once("exit", () => resume(Effect.void))
          pooler.kill("SIGKILL")
        })
    )
    const through = new URL(server)
    through.port = String(port)
    const url = Redacted.make(through.toString())
    yield* Effect.scoped(PgConnection.make({ url })).pipe(
      Effect.tapError(() => Effect.sleep("50 millis")),
      Effect.retry({ times: 200 })
    )
    return url
  })

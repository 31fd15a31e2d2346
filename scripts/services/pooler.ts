/** A PgBouncer in transaction mode before a test's database, for tests of what a pooler forbids. */
import { spawn } from "node:child_process"
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ensureProgram } from "./debian.ts"
import { freePort } from "./port.ts"

const program = await ensureProgram("pgbouncer")

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false))
    socket.once("connect", () => socket.destroy())
  })

/** The addresses, all of one server, with one pooler between. */
export const pooled = (direct: ReadonlyArray<Redacted.Redacted<string>>) =>
  Effect.gen(function* () {
    const urls = direct.map((url) => new URL(Redacted.value(url)))
    const server = urls[0]!
    const port = yield* Effect.promise(freePort)
    const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const folder = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const path = await mkdtemp(join(tmpdir(), "mahalla-pooler-"))
        await chmod(path, 0o755)
        if (account.uid !== undefined) await chown(path, account.uid, account.gid)
        const users = urls.map((url) => `"${decodeURIComponent(url.username)}" "${decodeURIComponent(url.password)}"\n`)
        await writeFile(join(path, "users"), [...new Set(users)].join(""))
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
    yield* Effect.promise(async () => {
      for (let waited = 0; waited < 10_000 && !(await answers(port)); waited += 50)
        await new Promise((resolve) => setTimeout(resolve, 50))
    })
    return urls.map((url) => {
      const through = new URL(url)
      through.port = String(port)
      return Redacted.make(through.toString())
    })
  })

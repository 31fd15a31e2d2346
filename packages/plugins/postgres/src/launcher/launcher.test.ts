import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { describe } from "vitest"
import { type Account, chooseAccount } from "./account.ts"
import { copyBinaries, findBinaries } from "./binaries.ts"
import { launchPostgres, type LaunchedPostgres } from "./index.ts"

const root = process.getuid?.() === 0
const linux = process.platform === "linux"

/** A new folder that everybody may enter, removed afterwards. */
const folder = Effect.acquireRelease(
  Effect.promise(async () => {
    const path = await mkdtemp(join(tmpdir(), "mahalla-launcher-"))
    await chmod(path, 0o755)
    return path
  }),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)
const launch = (dataFolder: string) => launchPostgres({ dataFolder, durable: false })
const query = (url: LaunchedPostgres["admin"], text: string) =>
  Effect.scoped(
    Effect.map(
      Effect.flatMap(PgConnection.make({ url }), (connection) => connection.query(text)),
      ({ rows }) => rows
    )
  )
const value = (url: LaunchedPostgres["admin"], text: string) =>
  Effect.map(query(url, `select (${text})::text as value`), ([row]) => row?.["value"])
const lives = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
const eventually = (what: string, condition: () => boolean) =>
  Effect.gen(function* () {
    for (let waited = 0; !condition(); waited += 20) {
      if (waited > 20_000) return yield* Effect.die(new Error(`Not in twenty seconds: ${what}`))
      yield* Effect.sleep("20 millis")
    }
  })

/** What a process says first; fails when it ends without a word. */
const firstWords = (child: ChildProcess) =>
  new Promise<string>((resolve, reject) => {
    child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString()))
    child.once("exit", (status) => reject(new Error(`It ended with ${status}`)))
  })

interface Other {
  readonly process: ChildProcess
  readonly told: { readonly pid: number; readonly port: number; readonly started: boolean }
  /** Lets it end in order. */
  readonly leave: Effect.Effect<void>
}

/** The same in another process. */
const other = (dataFolder: string, identity: { readonly uid?: number; readonly gid?: number } = {}) =>
  Effect.promise(async (): Promise<Other> => {
    const script = fileURLToPath(new URL("../test/launch.ts", import.meta.url))
    const flags = ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning"]
    const child = spawn(process.execPath, [...flags, script, dataFolder], {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: tmpdir(),
      ...identity
    })
    return {
      process: child,
      told: JSON.parse(await firstWords(child)) as Other["told"],
      leave: Effect.promise(async () => {
        child.stdin.end()
        await once(child, "exit")
      })
    }
  })
const kill = (child: ChildProcess) =>
  Effect.promise(async () => {
    child.kill("SIGKILL")
    await once(child, "exit")
  })

describe("the embedded PostgreSQL", () => {
  it.live("starts_from_nothing_and_again_with_what_was_written", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "new", "postgres")
      const times: Array<number> = []
      const timed = Effect.gen(function* () {
        const from = performance.now()
        const launched = yield* launch(data)
        times.push(performance.now() - from)
        return launched
      })
      const first = yield* Effect.scoped(
        Effect.gen(function* () {
          const launched = yield* timed
          assert.isTrue(launched.started)
          yield* query(launched.owner, "create table kept (n integer)")
          yield* query(launched.owner, "insert into kept values (7)")
          assert.strictEqual(yield* value(launched.owner, "current_setting('listen_addresses')"), "127.0.0.1")
          assert.deepStrictEqual(
            yield* query(
              launched.owner,
              "select rolname::text as name, rolsuper as super, rolcreaterole as roles, current_database()::text as base from pg_roles where rolname = current_user"
            ),
            [{ name: "mahalla_owner", super: false, roles: true, base: "mahalla" }]
          )
          yield* query(launched.owner, "create extension btree_gin")
          yield* query(launched.owner, "create extension pg_trgm")
          return { port: launched.port, pid: yield* launched.pid }
        })
      )
      assert.isFalse(lives(first.pid))
      const again = yield* timed
      assert.strictEqual(again.port, first.port)
      assert.strictEqual(yield* value(again.owner, "select n from kept"), "7")
      console.info(`first start ${times[0]?.toFixed(0)} ms, warm start ${times[1]?.toFixed(0)} ms`)
    })
  )

  it.live("keeps_its_passwords_to_itself_and_asks_for_them", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const launched = yield* launch(join(parent, "postgres"))
      const secrets = join(parent, "postgres.json")
      if (process.platform !== "win32")
        assert.strictEqual((yield* Effect.promise(() => stat(secrets))).mode & 0o777, 0o600)
      const url = new URL(Redacted.value(launched.admin))
      url.password = "guess"
      const error = yield* Effect.flip(query(Redacted.make(url.toString()), "select 1"))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    })
  )

  it.live("takes_another_port_when_its_own_is_busy", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "postgres")
      const { port } = yield* Effect.scoped(launch(data))
      yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const server = createServer()
          server.listen(port, "127.0.0.1")
          await once(server, "listening")
          return server
        }),
        (server) => Effect.sync(() => server.close())
      )
      const moved = yield* launch(data)
      assert.notStrictEqual(moved.port, port)
      assert.strictEqual(yield* value(moved.owner, "select 1"), "1")
    })
  )

  it.live("recovers_what_was_committed_when_everything_was_killed", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "postgres")
      const run = yield* other(data)
      const launched = yield* Effect.scoped(
        Effect.gen(function* () {
          const here = yield* launch(data)
          yield* query(here.owner, "create table kept as select n from generate_series(1, 5000) as n")
          return here
        })
      )
      yield* kill(run.process)
      process.kill(run.told.pid, "SIGKILL")
      yield* eventually("the server is gone", () => !lives(run.told.pid))
      const again = yield* launch(data)
      assert.isTrue(again.started)
      assert.strictEqual(again.port, launched.port)
      assert.strictEqual(yield* value(again.owner, "select count(*) from kept"), "5000")
    })
  )

  it.live("takes_over_the_living_server_of_a_killed_run_and_stops_it", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "postgres")
      const run = yield* other(data)
      yield* kill(run.process)
      assert.isTrue(lives(run.told.pid))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const launched = yield* launch(data)
          assert.deepStrictEqual(
            [launched.started, yield* launched.pid, launched.port],
            [false, run.told.pid, run.told.port]
          )
          assert.strictEqual(yield* value(launched.owner, "select 1"), "1")
        })
      )
      assert.isFalse(lives(run.told.pid))
    })
  )

  it.live("starts_although_the_number_in_postmaster_pid_belongs_to_another_process_now", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "postgres")
      yield* Effect.scoped(launch(data))
      const stranger = spawn("sleep", ["60"], { stdio: "ignore" })
      yield* Effect.addFinalizer(() => Effect.sync(() => stranger.kill()))
      const lines = [stranger.pid, data, 1, 15_432, "", "127.0.0.1", "1 1", "ready   ", ""]
      yield* Effect.promise(() => writeFile(join(data, "postmaster.pid"), lines.join("\n")))
      const launched = yield* launch(data)
      assert.isTrue(launched.started)
      assert.strictEqual(yield* value(launched.owner, "select 1"), "1")
      assert.isTrue(lives(stranger.pid ?? 0))
    })
  )

  it.live("makes_the_data_folder_whole_or_not_at_all", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const data = join(parent, "postgres")
      const script = fileURLToPath(new URL("../test/launch.ts", import.meta.url))
      const child = spawn(process.execPath, ["--conditions=@mahalla/source", script, data], { stdio: "ignore" })
      yield* eventually("it has begun", () => existsSync(join(parent, "postgres.json")))
      yield* Effect.sleep("100 millis")
      yield* kill(child)
      assert.isFalse(existsSync(data))
      // The killed one's initdb may still be at work in its own folder.
      const launched = yield* launch(data)
      assert.strictEqual(yield* value(launched.owner, "select 1"), "1")
      assert.deepStrictEqual(
        (yield* Effect.promise(() => readdir(parent))).filter((name) => name.includes(".init-")),
        []
      )
    })
  )

  it.live("lets_one_of_many_start_it_and_the_last_one_stop_it", () =>
    Effect.gen(function* () {
      const data = join(yield* folder, "postgres")
      const all = yield* Effect.all([other(data), other(data), other(data)], { concurrency: "unbounded" })
      assert.strictEqual(new Set(all.map(({ told }) => `${told.pid} ${told.port}`)).size, 1)
      assert.strictEqual(all.filter(({ told }) => told.started).length, 1)
      const pid = all[0]?.told.pid ?? 0
      const [starter, ...others] = all.toSorted((a, b) => Number(b.told.started) - Number(a.told.started))
      yield* starter?.leave ?? Effect.void
      assert.isTrue(lives(pid))
      yield* Effect.all(
        others.map(({ leave }) => leave),
        { concurrency: "unbounded" }
      )
      assert.isFalse(lives(pid))
    })
  )

  it.live("is_started_again_on_the_same_port_when_it_is_killed", () =>
    Effect.gen(function* () {
      const launched = yield* launch(join(yield* folder, "postgres"))
      yield* query(launched.owner, "create table kept as select 1 as n")
      const before = yield* launched.pid
      process.kill(before, "SIGKILL")
      const count = yield* value(launched.owner, "select count(*) from kept").pipe(
        Effect.tapError(() => Effect.sleep("100 millis")),
        Effect.retry({ times: 100 })
      )
      assert.strictEqual(count, "1")
      yield* Effect.sleep("300 millis")
      assert.notStrictEqual(yield* launched.pid, before)
    })
  )

  it.live("lives_in_a_session_of_its_own", () =>
    Effect.gen(function* () {
      if (!linux) return
      const launched = yield* launch(join(yield* folder, "postgres"))
      const pid = yield* launched.pid
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
      assert.deepStrictEqual([fields[2], fields[3]], [String(pid), String(pid)])
    })
  )

  it.live("refuses_data_of_another_major_version_and_what_is_no_data_at_all", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const old = join(parent, "old")
      yield* Effect.scoped(launch(old))
      yield* Effect.promise(() => writeFile(join(old, "PG_VERSION"), "17\n"))
      const version = yield* Effect.flip(Effect.scoped(launch(old)))
      assert.strictEqual(version.reason, "DataFolder")
      assert.match(version.message, /written by PostgreSQL 17.*restore/)
      const strange = join(parent, "strange")
      yield* Effect.promise(() => mkdir(strange))
      yield* Effect.promise(() => writeFile(join(strange, "letter.txt"), "dear"))
      const error = yield* Effect.flip(Effect.scoped(launch(strange)))
      assert.strictEqual(error.reason, "DataFolder")
      assert.deepStrictEqual(yield* Effect.promise(() => readdir(strange)), ["letter.txt"])
    })
  )

  it.live("copies_its_programs_when_their_package_cannot_be_written", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const { folder: native } = yield* findBinaries(parent)
      const sealed = join(parent, "sealed")
      yield* Effect.promise(async () => {
        await cp(dirname(native), sealed, {
          recursive: true,
          filter: (path) => !/\.so(\.\d+)?$|\.dylib$/.test(path) || !path.includes("libicu")
        })
        await chmod(join(sealed, "native", "lib"), 0o555)
      })
      if (root) {
        // Root may write everywhere: see it as an ordinary user does.
        yield* Effect.promise(() => chown(parent, 65_534, 65_534))
        const script = join(parent, "find.mjs")
        const find = fileURLToPath(new URL("./binaries.ts", import.meta.url))
        yield* Effect.promise(() =>
          writeFile(
            script,
            `import { findBinaries } from ${JSON.stringify(find)}
             import * as Effect from ${JSON.stringify(import.meta.resolve("effect/Effect"))}
             const found = await Effect.runPromise(findBinaries(${JSON.stringify(parent)}, Effect.succeed(${JSON.stringify(join(sealed, "native"))})))
             console.log(found.postgres)`
          )
        )
        const child = spawn(process.execPath, ["--conditions=@mahalla/source", script], {
          uid: 65_534,
          gid: 65_534,
          stdio: ["ignore", "pipe", "inherit"],
          cwd: parent
        })
        const found = yield* Effect.promise(() => firstWords(child))
        assert.isTrue(found.startsWith(join(parent, "postgres-18")), found)
      } else {
        const found = yield* findBinaries(parent, Effect.succeed(join(sealed, "native")))
        assert.isTrue(found.postgres.startsWith(join(parent, "postgres-18")))
        // Its owner could not remove it otherwise.
        yield* Effect.promise(() => chmod(join(sealed, "native", "lib"), 0o755))
      }
    })
  )

  for (const [name, uid] of [
    ["an_ordinary_user", 65_534],
    ["a_user_without_a_name", 61_234]
  ] as const)
    it.live.skipIf(!root || !linux)(`runs_for_${name}`, () =>
      Effect.gen(function* () {
        const parent = yield* folder
        yield* Effect.promise(() => chown(parent, uid, uid))
        const run = yield* other(join(parent, "postgres"), { uid, gid: uid })
        assert.isTrue(run.told.started)
        assert.strictEqual((yield* Effect.promise(() => stat(join(parent, "postgres")))).uid, uid)
        yield* run.leave
        assert.isFalse(lives(run.told.pid))
      })
    )

  it.live.skipIf(!root || !linux)("finds_an_account_for_programs_that_only_root_can_reach", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const closed = join(parent, "closed")
      yield* Effect.promise(() => mkdir(closed, { mode: 0o700 }))
      const binaries = yield* copyBinaries(yield* findBinaries(parent), closed)
      const data = join(parent, "postgres")
      const program = (account: Account) => account.command(account.binaries.postgres, [])[0]
      assert.strictEqual(program(yield* chooseAccount(binaries, data)), "unshare")
      // As where user namespaces are forbidden: a copy that nobody can reach.
      const shelf = join(tmpdir(), "mahalla-root")
      if (!existsSync(shelf))
        yield* Effect.addFinalizer(() => Effect.promise(() => rm(shelf, { recursive: true, force: true })))
      const path = process.env["PATH"]
      process.env["PATH"] = parent
      yield* Effect.addFinalizer(() => Effect.sync(() => (process.env["PATH"] = path)))
      const shared = yield* chooseAccount(binaries, data)
      assert.isTrue(program(shared).startsWith(join(shelf, "postgres-18")), program(shared))
      assert.strictEqual(shared.owner?.uid, shared.spawn.uid)
      const error = yield* Effect.flip(chooseAccount(binaries, join(closed, "postgres")))
      assert.match(error.message, /MAHALLA_HOME/)
    })
  )

  it.live.skipIf(!root || !linux)("runs_under_root_in_open_and_in_closed_folders_and_when_that_changes", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const data = join(parent, "postgres")
      const owner = Effect.promise(async () => (await stat(join(data, "base"))).uid)
      yield* Effect.scoped(launch(data))
      assert.notStrictEqual(yield* owner, 0)
      // Nobody else may enter: a user namespace is used, or the refusal says what to do.
      yield* Effect.promise(() => chmod(parent, 0o700))
      const closed = yield* Effect.result(
        Effect.scoped(Effect.flatMap(launch(data), ({ owner: url }) => value(url, "select 1")))
      )
      if (closed._tag === "Success") assert.deepStrictEqual([closed.success, yield* owner], ["1", 0])
      else assert.match(String(closed.failure), /MAHALLA_HOME/)
      yield* Effect.promise(() => chmod(parent, 0o755))
      const open = yield* launch(data)
      assert.strictEqual(yield* value(open.owner, "select 1"), "1")
      assert.strictEqual((yield* Effect.promise(() => readFile(join(data, "PG_VERSION"), "utf8"))).trim(), "18")
    })
  )
})

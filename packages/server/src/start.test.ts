/** Starting, upgrading and stopping, with the command line as a real process. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { afterEach, expect, inject, it, vi } from "vitest"
import { databaseOf, ended, pause } from "./test/kill/processes.ts"
import { type Command, dev } from "./test/start/command.ts"

const cleanUp: Array<() => unknown> = []
// Each of them starts whole processes, some of them two after one another.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step()
})

const newHome = () => {
  const home = mkdtempSync(join(tmpdir(), "mahalla-start-"))
  cleanUp.push(() => rmSync(home, { recursive: true, force: true }))
  return home
}

const start = (home: string, env: Readonly<Record<string, string>> = {}): Command => {
  const command = dev(home, env)
  cleanUp.push(async () => {
    command.child.kill("SIGTERM")
    const late = setTimeout(() => command.child.kill("SIGKILL"), 25_000)
    await ended(command.child)
    clearTimeout(late)
  })
  return command
}

/** An empty database, as an environment; `rows` asks it as a superuser. */
const empty = async () => {
  const scope = Scope.makeUnsafe()
  const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  cleanUp.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const rows = async <Row extends pg.QueryResultRow>(text: string): Promise<ReadonlyArray<Row>> => {
    const client = new pg.Client({ connectionString: Redacted.value(admin) })
    await client.connect()
    const found = await client.query<Row>(text)
    await client.end()
    return found.rows
  }
  const env = { DATABASE_URL: Redacted.value(owner), MAHALLA_SECRET: randomBytes(32).toString("base64url") }
  return { env, rows }
}

const answers = async (url: string, path: string) =>
  fetch(`${url}${path}`).then(
    ({ status }) => status,
    () => 0
  )

/** An upload whose last bytes have not been sent yet. */
const slowUpload = async (url: string) => {
  const file = Buffer.concat([Buffer.from("%PDF-1.7\n"), randomBytes(30_000)])
  const tus = { "tus-resumable": "1.0.0" }
  const begun = await fetch(`${url}/v1/uploads`, {
    method: "POST",
    headers: { ...tus, "upload-length": String(file.length) }
  })
  expect(begun.status).toBe(201)
  const place = new URL(begun.headers.get("location") ?? "", url)
  const patch = httpRequest(place, {
    method: "PATCH",
    headers: {
      ...tus,
      "upload-offset": "0",
      "content-type": "application/offset+octet-stream",
      "content-length": String(file.length)
    }
  })
  const answer = new Promise<{ readonly status: number | undefined; readonly offset: string | undefined }>(
    (resolve, reject) => {
      patch.once("error", reject)
      patch.once("response", (response) => {
        response.resume()
        resolve({ status: response.statusCode, offset: response.headers["upload-offset"] as string | undefined })
      })
    }
  )
  answer.catch(() => undefined)
  patch.write(file.subarray(0, 20_000))
  await pause(300)
  return { size: file.length, answer, finish: () => patch.end(file.subarray(20_000)) }
}

it("two_servers_that_start_at_once_on_an_empty_database_migrate_it_once", async () => {
  const { env, rows } = await empty()
  const both = [start(newHome(), env), start(newHome(), env)]
  const urls = await Promise.all(both.map(({ ready }) => ready))
  const applied = await rows<{ module: string; id: number; times: number }>(
    "select module, id, count(*)::int as times from mahalla.migration group by module, id order by module, id"
  )
  expect(applied.length).toBeGreaterThan(5)
  expect(applied.every(({ times }) => times === 1)).toBe(true)
  // Only one of them had anything to apply.
  expect(both.filter((one) => one.said().includes("Preparing database"))).toHaveLength(1)
  for (const url of urls) expect(await answers(url, "/health/ready")).toBe(200)
})

it("an_older_server_refuses_a_database_that_a_newer_one_has_changed_for_good", async () => {
  const { env } = await empty()
  const newer = start(newHome(), { ...env, START_SCHEMA: "breaking" })
  await newer.ready
  newer.child.kill("SIGTERM")
  expect(await newer.ended).toEqual({ code: 0, signal: null })
  const older = start(newHome(), env)
  expect(await older.ended).toEqual({ code: 70, signal: null })
  expect(older.said()).toContain("was changed by a newer Mahalla (tomorrow/0001)")
  expect(older.said()).toContain("Start the newer version")
})

it("an_older_server_works_on_a_compatible_newer_database_and_says_so", async () => {
  const { env } = await empty()
  const newer = start(newHome(), { ...env, START_SCHEMA: "compatible" })
  await newer.ready
  newer.child.kill("SIGTERM")
  await newer.ended
  const older = start(newHome(), env)
  expect(await answers(await older.ready, "/health/ready")).toBe(200)
  await older.says("tomorrow/0001")
})

it("a_newer_server_upgrades_the_database_that_an_older_one_has_made", async () => {
  const { env, rows } = await empty()
  const older = start(newHome(), env)
  await older.ready
  older.child.kill("SIGTERM")
  await older.ended
  const newer = start(newHome(), { ...env, START_SCHEMA: "compatible" })
  expect(await answers(await newer.ready, "/health/ready")).toBe(200)
  expect(await rows("select name from mahalla.migration where module = 'tomorrow'")).toEqual([{ name: "tomorrow" }])
  // What it looked with before the upgrade is closed.
  expect(
    await rows(
      `select application_name from pg_stat_activity where datname = current_database() and application_name like 'mahalla-%'
       and backend_start < (select max(applied_at) from mahalla.migration)`
    )
  ).toEqual([])
})

it("SIGTERM_lets_a_running_request_end_refuses_new_ones_and_ends_with_0", async () => {
  const { env, rows } = await empty()
  const server = start(newHome(), { ...env, START_SEED: "1" })
  const url = await server.ready
  const upload = await slowUpload(url)
  server.child.kill("SIGTERM")
  await server.says("Closing")
  expect(await answers(url, "/health/live")).toBe(0)
  await pause(500)
  upload.finish()
  expect(await upload.answer).toEqual({ status: 204, offset: String(upload.size) })
  expect(await server.ended).toEqual({ code: 0, signal: null })
  expect(await rows("select state from mahalla.attachment")).toEqual([{ state: "stored" }])
})

it("a_second_SIGTERM_ends_at_once", async () => {
  const { env, rows } = await empty()
  const server = start(newHome(), { ...env, START_SEED: "1" })
  const upload = await slowUpload(await server.ready)
  server.child.kill("SIGTERM")
  await server.says("Closing")
  const began = performance.now()
  server.child.kill("SIGTERM")
  expect(await server.ended).toEqual({ code: 143, signal: null })
  expect(performance.now() - began).toBeLessThan(2_000)
  await expect(upload.answer).rejects.toThrow(/hang up|ECONNRESET/)
  expect(await rows("select state from mahalla.attachment")).toEqual([{ state: "uploading" }])
})

it("a_taken_port_is_said_in_words_with_the_next_step", async () => {
  const { env } = await empty()
  const other = createServer().listen(0)
  cleanUp.push(() => other.close())
  await new Promise((resolve) => other.once("listening", resolve))
  const { port } = other.address() as AddressInfo
  const server = start(newHome(), { ...env, PORT: String(port) })
  expect((await server.ended).code).toBe(1)
  expect(server.said()).toContain(`Port ${port} is taken. Choose another one with PORT=… and start again.`)
})

it("requests_recover_when_the_embedded_database_was_killed_while_the_server_lives", async () => {
  const home = newHome()
  const server = start(home, { START_SEED: "1" })
  const url = await server.ready
  const database = databaseOf(home)
  cleanUp.push(() => database.close())
  const old = database.pid()
  expect(await answers(url, "/v1/me")).toBe(200)
  database.kill()
  const during = await answers(url, "/v1/me")
  // Refused with a reason, or answered because it was back so soon; never a fault of ours.
  expect([200, 503]).toContain(during)
  for (let waited = 0; (await answers(url, "/v1/me")) !== 200 && waited < 200; waited++) await pause(100)
  expect(await answers(url, "/health/ready")).toBe(200)
  expect(database.pid()).not.toBe(old)
  const { size, answer, finish } = await slowUpload(url)
  finish()
  expect(await answer).toEqual({ status: 204, offset: String(size) })
  server.child.kill("SIGTERM")
  expect(await server.ended).toEqual({ code: 0, signal: null })
  expect(database.pid()).toBeUndefined()
})

it("a_new_secret_takes_over_with_the_old_one_beside_it_and_a_wrong_one_changes_nothing", async () => {
  const { env, rows } = await empty()
  const newer = randomBytes(32).toString("base64url")
  const masters = () => rows<{ master_id: string }>("select distinct master_id from mahalla.tenant_key")
  const run = async (given: Readonly<Record<string, string>>, until: () => Promise<boolean>) => {
    const server = start(newHome(), { ...env, START_SEED: "1", ...given })
    await server.ready
    for (let waited = 0; !(await until()) && waited < 200; waited++) await pause(100)
    expect(await until()).toBe(true)
    // The administrator's name opens.
    expect(server.said()).toContain("adminLink")
    server.child.kill("SIGTERM")
    expect(await server.ended).toEqual({ code: 0, signal: null })
  }
  await run({}, async () => (await masters()).length === 1)
  const [before] = await masters()
  const logins =
    "select rolname, rolpassword from pg_authid where rolname ~ ('^' || current_database() || '_(app|platform)_login$') order by 1"
  const passwords = await rows(logins)
  expect(passwords).toHaveLength(2)

  const wrong = start(newHome(), { ...env, MAHALLA_SECRET: newer })
  expect(await wrong.ended).toEqual({ code: 73, signal: null })
  expect(wrong.said()).toContain(`is sealed with the master key ${before!.master_id}`)
  expect(await rows(logins)).toEqual(passwords)

  const both = { MAHALLA_SECRET: newer, MAHALLA_SECRET_PREVIOUS: env.MAHALLA_SECRET }
  await run(both, async () => {
    const now = await masters()
    return now.length === 1 && now[0]!.master_id !== before!.master_id
  })
  await run({ MAHALLA_SECRET: newer }, async () => true)
  // The old one is not good any more.
  const old = start(newHome(), env)
  expect(await old.ended).toEqual({ code: 73, signal: null })
})

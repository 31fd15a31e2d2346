/** The commands as real processes. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { main, runCommand } from "./test/command.ts"

const example = join(import.meta.dirname, "../../../examples/e-jarima")
const scope = Scope.makeUnsafe()
let home: string
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  const { owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-commands-"))
  env = {
    DATABASE_URL: Redacted.value(owner),
    MAHALLA_SECRET: randomBytes(32).toString("base64url"),
    MAHALLA_HOME: home
  }
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

const mahalla = (...args: ReadonlyArray<string>) => runCommand([...args, "--dir", example], env)

describe("mahalla", () => {
  it("only_looks_at_a_database_that_is_behind_and_says_what_to_do", async () => {
    for (const args of [["doctor"], ["admin-link"]]) {
      const { code, said } = await mahalla(...args)
      expect([args, code === 0, said.includes("mahalla migrate")]).toEqual([args, false, true])
    }
    const migrated = await mahalla("migrate")
    expect([migrated.code, /Applied \d+ migrations/.test(migrated.said)]).toEqual([0, true])
    expect((await mahalla("migrate")).said).toContain("The database is up to date.")
    const { code, said } = await mahalla("doctor")
    expect([code, said.includes("schema up to date")]).toEqual([0, true])
  })

  it("makes_the_first_super_admin_and_prints_a_token_for_one_sign_in", async () => {
    const none = await mahalla("platform-link")
    expect([none.code === 0, none.said.includes("--create")]).toEqual([false, true])
    const made = await mahalla("platform-link", "--create", "Rustam", "--json")
    const told = JSON.parse(made.said.split("\n").find((line) => line.startsWith("{"))!)
    expect([made.code, told.name, /^[A-Za-z0-9_-]{43}$/.test(told.token)]).toEqual([0, "Rustam", true])
    expect(told.address).toMatch(/\/v1\/platform\/session$/)
    await mahalla("platform-link", "--create", "Nodira")
    expect((await mahalla("platform-link")).said).toContain("--name: Rustam, Nodira")
    expect((await mahalla("platform-link", "--name", "Rustam")).code).toBe(0)
  })

  it("shuts_a_super_admin_out_and_lets_them_in_again", async () => {
    const out = await mahalla("platform-block", "--who", "Nodira", "--reason", "Her laptop was stolen on Monday")
    expect([out.code, out.said]).toEqual([0, expect.stringContaining("Nodira is out")])
    expect((await mahalla("platform-link", "--name", "Nodira")).code).not.toBe(0)
    const back = await mahalla("platform-block", "--who", "Nodira", "--undo")
    expect([back.code, back.said]).toEqual([0, expect.stringContaining("may sign in again")])
  })

  it("takes_no_stranger_for_the_server_whose_number_it_has", async () => {
    // As after a kill, when the number belongs to another process by now.
    writeFileSync(join(home, "running.json"), JSON.stringify({ url: "http://127.0.0.1:9", pid: process.pid }))
    const { code, said } = await mahalla("demo", "--photo", main)
    expect([code, said.includes("No server is running")]).toEqual([69, true])
    expect((await mahalla("doctor")).said).toMatch(/Server +not running/)
  })
})

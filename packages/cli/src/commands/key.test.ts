/** The secret's way to paper and back, with the commands as real processes on a real database. */
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { afterAll, beforeAll, expect, inject, it } from "vitest"
import { recoveryText } from "../recovery.ts"
import { runCommand } from "../test/command.ts"

const example = join(import.meta.dirname, "../../../../examples/e-jarima")
const scope = Scope.makeUnsafe()
let home: string
let admin: string
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  const database = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-key-"))
  admin = Redacted.value(database.admin)
  env = { DATABASE_URL: Redacted.value(database.owner), MAHALLA_HOME: home }
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

const mahalla = (...args: ReadonlyArray<string>) => runCommand([...args, "--dir", example], env)

const sql = async (text: string) => {
  const client = new pg.Client({ connectionString: admin })
  await client.connect()
  const { rows } = await client.query(text)
  await client.end()
  return rows
}

it("a_database_without_its_secret_is_refused_untouched_and_the_recovery_text_brings_it_back", async () => {
  const file = join(home, "secret")
  expect((await mahalla("migrate")).code).toBe(0)
  await sql(
    "insert into mahalla.tenant (tenant_id, slug, name, settings) values ('11111111-1111-4111-8111-111111111111', 'one', 'One', '{}')"
  )
  expect(await mahalla("key", "rotate")).toMatchObject({
    code: 0,
    said: expect.stringContaining("one has key version 2")
  })

  // Nobody knows yet whether the secret is anywhere else.
  expect((await mahalla("doctor")).said).toContain("nobody has confirmed that the secret is kept elsewhere")
  const paper = (await mahalla("key", "export")).said
  const secret = readFileSync(file, "utf8").trim()
  expect(paper).not.toContain(secret)
  expect((await mahalla("key", "confirm", "0000-0000")).code).toBe(1)
  expect((await mahalla("key", "confirm", /^confirmation (\S+)$/m.exec(paper)![1]!)).code).toBe(0)
  expect((await mahalla("doctor")).said).toMatch(/Master key +[0-9a-f]{16} opens this database; kept elsewhere since/)

  // The file is lost: the next start would make another secret.
  rmSync(file)
  const refused = await mahalla("key", "status")
  expect(refused.code).toBe(73)
  expect(refused.said).toContain("Nothing was changed")
  expect(refused.said).toContain("mahalla key restore")
  const ill = await mahalla("doctor")
  expect([ill.code, ill.said.includes("is sealed with the master key")]).toEqual([1, true])
  expect(existsSync(file)).toBe(true)

  const copy = join(home, "paper.txt")
  const lines = paper.split("\n")
  writeFileSync(copy, lines.with(1, lines[1]!.replace(/..$/, "00")).join("\n"))
  expect(await mahalla("key", "restore", copy)).toMatchObject({ code: 64, said: expect.stringContaining("Line 1 ") })
  writeFileSync(copy, recoveryText(randomBytes(48).toString("base64url")))
  expect((await mahalla("key", "restore", copy)).code).toBe(73)
  writeFileSync(copy, paper)
  expect((await mahalla("key", "restore", copy)).code).toBe(0)
  expect(readFileSync(file, "utf8").trim()).toBe(secret)
  // The other secret is not thrown away, in case it was somebody's.
  expect(readdirSync(home).filter((name) => name.startsWith("secret.replaced-"))).toHaveLength(1)
  expect((await mahalla("key", "status")).said).toMatch(/one: version 2/)

  expect((await mahalla("key", "destroy", "--tenant", "one", "--sure", "two")).code).toBe(64)
  expect((await mahalla("key", "destroy", "--tenant", "one", "--sure", "one")).code).toBe(0)
  expect((await mahalla("key", "status")).said).toContain("one: destroyed")
  expect(await sql("select distinct wrapped from mahalla.tenant_key")).toEqual([{ wrapped: "" }])
}, 300_000)

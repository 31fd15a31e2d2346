/** `mahalla network import` as a real process. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { runCommand } from "../test/command.ts"

const city = join(import.meta.dirname, "../test/water")
const town = join(import.meta.dirname, "../../../../examples/water-watch/network.inp")
const scope = Scope.makeUnsafe()
let home: string
let env: Readonly<Record<string, string>>
let client: pg.Client

const mahalla = (...args: ReadonlyArray<string>) => runCommand([...args, "--dir", city], env)

beforeAll(async () => {
  const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  home = mkdtempSync(join(tmpdir(), "mahalla-network-"))
  env = {
    DATABASE_URL: Redacted.value(owner),
    MAHALLA_SECRET: randomBytes(32).toString("base64url"),
    MAHALLA_HOME: home
  }
  expect((await mahalla("migrate")).code).toBe(0)
  client = new pg.Client({ connectionString: Redacted.value(admin) })
  await client.connect()
  await client.query(
    `insert into mahalla.tenant (tenant_id, slug, name, hosts, settings) values (gen_random_uuid(), 'town', 'Town', '{}',
     '{"timeZone":"Asia/Tashkent","languages":["en"],"country":"UZ","currency":"UZS","calendar":{"days":[1],"from":"09:00","to":"18:00","holidays":[]},"corsOrigins":[]}')`
  )
})
afterAll(async () => {
  await client.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(home, { recursive: true, force: true })
})

const assets = async () =>
  Number((await client.query("select count(*) from mahalla.asset where retired_at is null")).rows[0].count)

// Each command is a process that starts a city.
describe("mahalla network import", { timeout: 180_000 }, () => {
  it("says_what_it_would_do_does_it_and_does_it_once", async () => {
    const args = ["network", "import", town, "--name", "water", "--anchor", "69.28,41.31"]
    const planned = await mahalla(...args, "--dry-run")
    expect([planned.code, planned.said]).toEqual([0, expect.stringContaining("103 assets would be added")])
    expect(await assets()).toBe(0)
    const done = await mahalla(...args)
    expect([done.code, done.said]).toEqual([
      0,
      expect.stringContaining("water: 103 assets were added, 0 changed, 0 retired")
    ])
    expect(await assets()).toBe(103)
    const again = await mahalla("network", "import", town, "--name", "water", "--json")
    const told = JSON.parse(again.said.trim().split("\n").at(-1)!)
    expect([again.code, told.added, told.unchanged]).toEqual([0, 0, 103])
  })

  it("names_the_lines_of_mistakes_and_changes_nothing", async () => {
    const before = await assets()
    const broken = join(home, "broken.inp")
    writeFileSync(broken, readFileSync(town, "utf8").replace("\tJ21\t198", "\tJ99\t198").replace("LPS", "CUPS"))
    const { code, said } = await mahalla("network", "import", broken, "--anchor", "69.28,41.31")
    expect(code).toBe(65)
    expect(said).toContain("[PIPES], line 61: The pipe P01 ends at J99, which the file does not have.")
    expect(said).toContain("EPANET has no unit of flow CUPS.")
    for (const [args, exit] of [
      [["--anchor", "here"], 64],
      [["--tolerance", "0"], 64],
      [["--projection", "EPSG:1"], 65]
    ] as const)
      expect((await mahalla("network", "import", town, ...args)).code).toBe(exit)
    // A folder is no file either.
    const folder = await mahalla("network", "import", home)
    expect([folder.code, folder.said]).toEqual([66, expect.stringContaining(`There is no file ${home}.`)])
    expect(await assets()).toBe(before)
  })
})

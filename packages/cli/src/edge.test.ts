/** `mahalla edge` as a process: it takes, tells what waits, and ends when it is asked to. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, expect, test } from "vitest"
import { flags, main, runCommand } from "./test/command.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-edge-command-"))
let running: ChildProcess | undefined
afterAll(() => {
  running?.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [...flags, main, "edge", "--dir", folder, "--json", ...args])
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  const lines = createInterface({ input: child.stdout })
  const first = new Promise<Record<string, never>>((resolve) =>
    lines.on("line", (line) => {
      if (line.startsWith("{")) resolve(JSON.parse(line) as Record<string, never>)
    })
  )
  return { child, ended, first }
}

test("takes_messages_without_a_city_says_what_waits_and_ends_when_it_is_asked", async () => {
  // Nobody is at home there.
  const edge = start(
    "--listen",
    "http://127.0.0.1:0",
    "--to",
    "http://127.0.0.1:9/t/samarkand",
    "--token",
    "t",
    "--open"
  )
  running = edge.child
  const { addresses } = (await edge.first) as unknown as { readonly addresses: ReadonlyArray<string> }
  for (let n = 0; n < 3; n++)
    expect(
      (await fetch(`${addresses[0]!}/api/v1/meter/telemetry`, { method: "POST", body: `{"n": ${n}}` })).status
    ).toBe(200)
  expect(await start("--status").first).toMatchObject({ backlog: 3, segments: 1, damaged: 0 })
  edge.child.kill("SIGTERM")
  expect(await edge.ended).toBe(0)
  expect(await start("--status").first).toMatchObject({ backlog: 3 })
})

test("without_a_city_and_a_token_it_says_what_is_missing", async () => {
  expect(await start().ended).toBe(64)
})

const said = (...args: ReadonlyArray<string>) =>
  runCommand(["edge", "--dir", join(folder, "never"), "--token", "t", "--open", ...args])
const city = ["--to", "https://city.example/t/samarkand"]

test("a_limit_in_which_nothing_fits_is_refused", async () => {
  const { code, said: text } = await said(...city, "--limit", "0")
  expect([code, text]).toEqual([64, expect.stringContaining("--limit 0")])
})

test("an_address_of_the_city_that_is_none_of_the_web_is_refused_with_an_example", async () => {
  for (const to of ["city.example:8443/t/samarkand", "localhost:8080", "mqtt://city.example", "city.example"]) {
    const { code, said: text } = await said("--to", to)
    expect([code, text]).toEqual([64, expect.stringContaining(`--to ${to}: `)])
    expect(text).toContain("https://city.example/t/slug")
  }
})

test("an_address_to_listen_at_that_cannot_be_read_is_named", async () => {
  for (const address of ["0.0.0.0:1883", "localhost:1883", "mqtt://127.0.0.1:99999"]) {
    const { code, said: text } = await said(...city, "--listen", address)
    expect([code, text]).toEqual([1, expect.stringContaining(address)])
  }
})

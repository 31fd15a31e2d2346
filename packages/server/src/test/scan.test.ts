/**
 * sqlmap and wapiti over the city's own API document, as whoever may ask each operation. Both must find the faults planted among the operations, and
 * nothing else. `MAHALLA_SOAK=1` (`npm run scan`) asks every operation with every module, which takes long; otherwise a few with the quickest tests.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import {
  controlRoom,
  filings,
  identity,
  network,
  notifications,
  oauth,
  payouts,
  reports,
  security,
  securityAlert,
  telemetry,
  trafficReport,
  trafficViolation,
  webhooks
} from "@mahalla/core"
import { Limiter } from "@mahalla/core/plugin"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import pg from "pg"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { type CityKit, openCityKit, wrapped } from "./cityKit.ts"
import { authority, detector } from "./isolation/things.ts"
import { accepted, ignored } from "./scan/known.ts"
import { planted, plantedTables, plants } from "./scan/planted.ts"
import { holdsAgainstSql } from "./scan/property.ts"
import { reportOf } from "./scan/report.ts"
import { scan, type Scanned } from "./scan/scan.ts"
import { openScene, type Scene } from "./scan/scene.ts"
import { runWapiti } from "./scan/wapiti.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
/** Of the operations, those whose label this expression finds, as `MAHALLA_SCAN="^GET /v1/me"`; all of them where it is empty. */
const only = process.env["MAHALLA_SCAN"]

/** The short scan: where text reaches the database by every way there is. */
const few: ReadonlySet<string> = new Set([
  "GET /v1/planted/streets",
  "GET /v1/planted/greeting",
  "GET /v1/principals",
  "POST /v1/cases/{type}/{id}/comments"
])
const asks = (label: string) =>
  only === undefined ? soak || few.has(label) : new RegExp(only).test(label) || label.includes("/planted/")
const modules = soak
  ? ["sql", "blindsql", "xss", "permanentxss", "ssrf", "crlf", "exec", "file", "redirect", "xxe"]
  : ["sql", "xss"]

const folder = join(fileURLToPath(new URL("../../../..", import.meta.url)), ".cache/scan", String(process.pid))
const scope = Effect.runSync(Scope.make())
let kit: CityKit
let scene: Scene
let scanned: Scanned

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  // A database of its own: nothing planted touches the city's.
  const apart = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  const address = Redacted.value(apart.admin)
  const client = new pg.Client({ connectionString: address })
  await client.connect()
  await client.query(plantedTables)
  await client.end()
  kit = await openCityKit({
    postgresUrl: inject("postgresUrl"),
    detector,
    plugins: [authority],
    // Counted as ever, but so generous that nothing hides behind a 429.
    limiter: (plugin) =>
      wrapped(plugin, Limiter, ({ take }) => ({ take: (one) => take({ ...one, amount: one.window * 1_000_000 }) })),
    config: {
      modules: [
        security(),
        identity(),
        oauth(),
        payouts(),
        filings(),
        reports(),
        notifications({ caseTypes: [trafficReport, trafficViolation, securityAlert] }),
        controlRoom(),
        telemetry(),
        network(),
        webhooks(),
        planted(address)
      ]
    }
  })
  const most = 10_000_000
  const codes = {
    perAddress: most,
    perNetwork: most,
    perDevice: most,
    perPhone: most,
    perPhoneDay: most,
    perPrefix: most
  }
  const wide = { ...codes, perCountry: most, perTenant: most, moneyPerDay: Number.MAX_SAFE_INTEGER, watchFrom: most }
  await kit.sql("update mahalla.tenant set settings = settings || $1", [{ codes: wide }])
  scene = await openScene(kit)
}, 300_000)
afterAll(async () => {
  await kit?.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

test(
  "no_operation_has_a_fault_that_sqlmap_or_wapiti_finds_beside_the_planted_ones",
  async () => {
    const began = performance.now()
    scanned = await scan({
      scene,
      folder,
      asks,
      sqlmap: soak ? { level: 2, risk: 1 } : { level: 1, risk: 1 },
      modules,
      citizens: soak,
      ...(soak || only !== undefined ? { tell: (line: string) => console.log(line) } : {})
    })
    const text = reportOf(scanned, (performance.now() - began) / 60_000)
    writeFileSync(join(folder, "report.md"), text)
    if (soak || only !== undefined) console.log(text)
    expect(scanned.faults).toEqual([])
    expect(scanned.found.filter(({ label }) => !label.includes("/planted/"))).toEqual([])
  },
  soak || only !== undefined ? 6 * 3_600_000 : 300_000
)

test("both_find_what_was_planted", () => {
  const places = (tool: "sqlmap" | "wapiti") => [
    ...new Set(scanned.found.filter((one) => one.tool === tool).map(({ field, label }) => `${label} ${field}`))
  ]
  const asked = (place: string) => asks(place.slice(0, place.lastIndexOf(" ")))
  expect(places("sqlmap").toSorted()).toEqual(plants.sqlmap.filter(asked).toSorted())
  const techniques = scanned.found.filter(({ tool }) => tool === "sqlmap").map(({ kind }) => kind)
  expect([...new Set(techniques)].toSorted()).toEqual(plants.techniques)
  const sought = plants.wapiti.filter(({ module, place }) => modules.includes(module) && asked(place))
  const found = scanned.found.filter(({ tool }) => tool === "wapiti")
  expect(
    sought.filter(({ kind, place }) => !found.some((one) => one.kind === kind && `${one.label} ${one.field}` === place))
  ).toEqual([])
})

test("pages_have_the_headers_and_cookies_that_wapiti_asks_for", async () => {
  const faults: Array<string> = []
  for (const [number, page] of ["docs", "sign-in"].entries()) {
    const verdict = await runWapiti(join(folder, `page-${number}`), {
      start: `${kit.url}/t/samarkand/${page}`,
      endpoint: "http://127.0.0.1:9/",
      modules: ["http_headers", "cookieflags", "csp", "csrf"],
      // As a proxy that ends TLS passes it on.
      headers: { "x-forwarded-proto": "https" }
    })
    faults.push(...verdict.faults)
    for (const { kind, text } of verdict.found)
      if (!ignored.some((one) => one.kind === kind && one.text.test(text))) faults.push(`${page}: ${kind}: ${text}`)
  }
  expect(faults).toEqual([])
})

test(
  "case_26_hostile_sql_in_any_field_is_a_problem_or_a_page_and_takes_no_longer",
  async () => {
    const seed = Number(process.env["MAHALLA_SEED"] ?? 20_261_121)
    const { asked, faults, statuses } = await holdsAgainstSql(scene, soak ? 100 : 2, seed)
    const count = (from: number, to: number) =>
      [...statuses].reduce((sum, [status, times]) => sum + (status >= from && status < to ? times : 0), 0)
    if (soak) console.log(`${asked} hostile texts, seed ${seed}:`, Object.fromEntries(statuses))
    expect(faults).toEqual([])
    expect(asked).toBeGreaterThan(800)
    // They were not all stopped at the door.
    expect(count(200, 400)).toBeGreaterThan(asked / 10)
    expect(count(401, 402) + count(403, 404) + count(429, 430)).toBeLessThan(asked / 10)
  },
  soak ? 3_600_000 : 300_000
)

test("every_exception_says_why", () => {
  for (const { reason } of [...ignored, ...Object.values(accepted)]) expect(reason.length).toBeGreaterThan(5)
})

import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "vitest"
import type { RuleDefinition } from "./definition.ts"
import { dryRun } from "./dryRun.ts"
import type { DeviceFacts, ReadingFact } from "./facts.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const tenant = { timeZone: "UTC", holidays: [] }
const rule: RuleDefinition = {
  ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each", profiles: ["p"] }, perHour: 60 },
  levels: [
    {
      severity: "major",
      condition: { kind: "compare", datastream: "p", is: "above", than: { kind: "constant", value: 5 } }
    },
    {
      severity: "critical",
      condition: { kind: "compare", datastream: "p", is: "above", than: { kind: "constant", value: 8 } }
    },
    { severity: "minor", condition: { kind: "offline", intervals: 3 } }
  ]
}
const device = (id: string): DeviceFacts => ({ id, profile: "p", groups: [], attributes: {}, expectedInterval: 60 })
const read = (at: number, value: number, name = "d1"): ReadingFact => ({
  kind: "reading",
  device: name,
  key: "p",
  at: at * 1000,
  value
})
async function* pagesOf<A>(pages: Iterable<ReadonlyArray<A>>) {
  for (const page of pages) yield await Promise.resolve(page)
}
const run = (pages: Iterable<ReadonlyArray<ReadingFact>>, until: number, ids: ReadonlyArray<string> = ["d1", "d2"]) =>
  dryRun({ rule, tenant, devices: ids.map(device), from: 0, until: until * 1000, pages: pagesOf(pages) })

describe("dryRun", () => {
  it("says_what_would_have_been_raised_where_and_for_how_long", async () => {
    const beat = Array.from(
      { length: 10 },
      (_, place) => [60 * place, place === 3 ? 9 : place === 2 || place === 6 ? 6 : 1] as const
    )
    const pages = beat.map(([at, value]) => [read(at, value), read(at, 1, "d2")])
    const result = await run(pages, 600)
    assert.deepInclude(result, { readings: 20, raised: 2, standing: 0, byDevice: [["d1", 2]] })
    assert.deepEqual(result.bySeverity, { critical: 1, major: 1, minor: 0, warning: 0, indeterminate: 0 })
    assert.deepEqual(
      result.episodes.map(({ from, originator, severity, until }) => [originator, severity, from, until]),
      [
        ["d1", "critical", 120_000, 240_000],
        ["d1", "major", 360_000, 420_000]
      ]
    )
    assert.deepEqual(result.quietest, { from: 420_000, until: 600_000 })
  })
  it("hears_devices_fall_silent_while_others_go_on", async () => {
    const pages = Array.from({ length: 10 }, (_, place) => [
      read(60 * place, 1),
      ...(place < 3 ? [read(60 * place, 1, "d2")] : [])
    ])
    const result = await run(pages, 600)
    assert.deepEqual(
      result.episodes.map(({ from, originator, until }) => [originator, from, until]),
      [["d2", 300_000, null]]
    )
    assert.deepInclude(result, { standing: 1, quietest: { from: 0, until: 300_000 } })
  })
  it("lists_fifty_and_counts_all", async () => {
    const pages = Array.from({ length: 200 }, (_, place) => [
      read(10 * place, place % 2 === 0 ? 6 : 1),
      read(10 * place, 1, "d2")
    ])
    const result = await run(pages, 2_000)
    assert.strictEqual(result.episodes.length, 50)
    assert.isAbove(result.raised, 50)
    assert.strictEqual(
      Object.values(result.bySeverity).reduce((sum, some) => sum + some, 0),
      result.raised
    )
  })
  it("lets_others_have_their_turn_while_a_long_silence_passes_and_ends_when_nobody_waits", async () => {
    const nights: RuleDefinition = {
      ...rule,
      levels: [
        {
          severity: "minor",
          condition: { kind: "schedule", days: [1, 2, 3, 4, 5, 6, 7], from: "22:00", to: "06:00" }
        }
      ]
    }
    const year = 366 * 86_400_000
    const one = { ...{ rule: nights, tenant, from: 0, until: year }, devices: [device("d1")] }
    let turns = 0
    const others = setInterval(() => turns++, 0)
    const whole = await dryRun({ ...one, pages: pagesOf([[read(0, 1)], [read(year / 1000 - 1, 1)]]) })
    clearInterval(others)
    assert.deepInclude(whole, { raised: 367, readings: 2 })
    assert.isAbove(turns, 10)
    const stopped = await dryRun({ ...one, pages: pagesOf([]), signal: AbortSignal.abort() })
    assert.isBelow(stopped.raised, 367)
  })
  it("holds_one_page_at_a_time_however_long_the_week", async () => {
    const ids = Array.from({ length: 50 }, (_, place) => `d${place}`)
    const pages: Array<WeakRef<ReadonlyArray<ReadingFact>>> = []
    async function* week() {
      for (let at = 0; at < 604_800; at += 600) {
        const page = ids.map((id, place) => read(at, (at / 600 + place) % 97 === 0 ? 6 : 1, id))
        pages.push(new WeakRef(page))
        yield page
      }
      await setImmediate()
      collect()
      alive = pages.filter((page) => page.deref() !== undefined).length
    }
    let alive = pages.length
    const result = await dryRun({
      ...{
        tenant,
        from: 0,
        until: 604_800_000,
        pages: week(),
        devices: ids.map((id) => ({ ...device(id), expectedInterval: 600 }))
      },
      rule
    })
    assert.strictEqual(result.readings, 50_400)
    assert.isAbove(result.raised, 400)
    assert.isAtMost(result.episodes.length, 50)
    assert.strictEqual(pages.length, 1_008)
    assert.isAtMost(alive, 2)
  })
})

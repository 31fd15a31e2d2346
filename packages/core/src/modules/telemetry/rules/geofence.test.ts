import { assert, describe, it } from "vitest"
import { compileRules } from "./compile.ts"
import type { Condition, RuleDefinition } from "./definition.ts"
import { dryRun } from "./dryRun.ts"
import { evaluate } from "./evaluate.ts"
import type { DeviceFacts, Fact, ReadingFact, RuleEffect } from "./facts.ts"
import { placeOf } from "./geofence.ts"
import { makeState } from "./state.ts"

const tenant = { timeZone: "UTC", holidays: [] }
const s = (seconds: number) => seconds * 1000
/** In the middle of Samarkand; a thousandth of a degree to the north is 111 m. */
const middle = { longitude: 66.975, latitude: 39.655 }
const circle = { type: "Circle" as const, coordinates: [middle.longitude, middle.latitude], radius: 500 }
const fence = (is: "inside" | "outside", area: object = circle): Condition =>
  ({ kind: "geofence", is, area }) as Condition
const truck: DeviceFacts = { id: "t", profile: "tracker", groups: [], attributes: {} }
const rule = (condition: Condition): RuleDefinition => ({
  ...{ id: "r", version: 1, title: { en: "R" }, scope: { kind: "each", profiles: ["tracker"] } },
  levels: [{ severity: "major", condition }]
})
const read = (at: number, key: string, value: number): ReadingFact => ({
  ...{ kind: "reading", device: "t", at: s(at) },
  ...{ key, value }
})
/** So many metres north of the middle. */
const at = (
  seconds: number,
  metres: number,
  [latitude, longitude]: readonly [string, string] = ["latitude", "longitude"]
) => [read(seconds, latitude, middle.latitude + metres / 111_195), read(seconds, longitude, middle.longitude)]
const tick = (seconds: number): Fact => ({ kind: "tick", at: s(seconds) })
const brief = ({ at, do: what }: RuleEffect) => `${at / 1000} ${what}`
const start = (condition: Condition, device: DeviceFacts = truck) => {
  const compiled = compileRules([rule(condition)], tenant)
  const state = makeState(compiled)
  const hear = (...facts: ReadonlyArray<Fact>) => evaluate(compiled, state, facts).map(brief)
  hear({ kind: "device", at: 0, device })
  return { hear, state }
}

describe("a_geofence", () => {
  it("tells_when_a_device_enters_a_circle_and_when_it_leaves_it", () => {
    const way = [...at(10, 900), ...at(20, 499), ...at(30, 0), ...at(40, 501)]
    assert.deepEqual(start(fence("inside")).hear(...way), ["20 raise", "40 clear"])
    assert.deepEqual(start(fence("outside")).hear(...way), ["10 raise", "20 clear", "40 raise"])
  })

  it("asks_with_held_how_long_it_has_been_there", () => {
    const stay: Condition = { kind: "held", seconds: 60, condition: fence("inside") }
    const { hear } = start(stay)
    assert.deepEqual(hear(...at(10, 900), ...at(20, 0), ...at(50, 900), ...at(60, 0), ...at(90, 100)), [])
    assert.deepEqual(hear(tick(119)), [])
    assert.deepEqual(hear(tick(121)), ["120 raise"])
    assert.deepEqual(hear(...at(130, 900)), ["130 clear"])
  })

  it("goes_by_the_last_place_by_event_time_whatever_comes_late", () => {
    const { hear } = start(fence("inside"))
    assert.deepEqual(hear(...at(30, 0)), ["30 raise"])
    assert.deepEqual(hear(...at(20, 900), ...at(10, 900)), [])
    assert.deepEqual(hear(...at(40, 900)), ["40 clear"])
  })

  it("takes_the_keys_of_trackers_too", () => {
    for (const keys of [
      ["lat", "lon"],
      ["lat", "lng"]
    ] as const)
      assert.deepEqual(start(fence("inside")).hear(...at(10, 900, keys), ...at(20, 0, keys)), ["20 raise"])
  })

  it("knows_the_registered_place_until_the_device_tells_its_own", () => {
    const { hear, state } = start(fence("inside"), { ...truck, place: middle })
    assert.deepEqual(hear(tick(5)), [])
    assert.strictEqual([...state.originators.values()][0]!.instances[0]!.slots[0], 0, "an alert is up")
    assert.deepEqual(hear(...at(10, 900)), ["10 clear"])
    const moved = { ...truck, place: { ...middle, latitude: 39.656 } }
    assert.deepEqual(hear({ kind: "device", at: s(20), device: moved }), [])
    const member = state.originators.get("t")!.members.get("t")!
    assert.closeTo(placeOf(member)!.latitude, middle.latitude + 900 / 111_195, 1e-9)
  })

  it("follows_a_registered_place_that_is_moved", () => {
    const far = { ...truck, place: { ...middle, latitude: 40 } }
    const { hear } = start(fence("inside"), far)
    const device = { ...truck, place: middle }
    assert.deepEqual(hear({ kind: "device", at: s(20), device }), ["20 raise"])
    assert.deepEqual(hear({ kind: "device", at: s(30), device: far }), ["30 clear"])
  })

  it("waits_with_one_coordinate_for_the_other_of_its_time", () => {
    // Half a degree east and back: with only one of both it would be somewhere else.
    const { hear } = start(fence("outside"))
    const [east, home] = [read(20, "longitude", 67.5), read(30, "longitude", middle.longitude)]
    assert.deepEqual(hear(...at(10, 0)), [])
    assert.deepEqual(hear(east), [])
    assert.deepEqual(hear(read(20, "latitude", middle.latitude)), ["20 raise"])
    assert.deepEqual(hear(read(30, "latitude", middle.latitude)), [])
    assert.deepEqual(hear(home), ["30 clear"])
  })

  it("takes_one_coordinate_alone_with_the_others_last_once_time_has_moved_on", () => {
    const { hear } = start(fence("outside"))
    assert.deepEqual(hear(...at(10, 0), read(20, "longitude", 67.5)), [])
    assert.deepEqual(hear(tick(19)), [])
    assert.deepEqual(hear(tick(21)), ["20 raise"])
    assert.deepEqual(hear(read(30, "longitude", middle.longitude), read(31, "battery", 3)), ["30 clear"])
  })

  it("hears_nothing_in_numbers_that_are_no_place", () => {
    const { hear } = start(fence("inside"))
    assert.deepEqual(hear(...at(10, 0)), ["10 raise"])
    assert.deepEqual(hear(read(20, "latitude", 99), read(20, "longitude", 66)), [])
    assert.deepEqual(hear(...at(30, 900)), ["30 clear"])
  })

  it("means_the_same_in_a_dry_run", async () => {
    const way = [...at(10, 900), ...at(20, 0), ...at(40, 900), ...at(50, 0)]
    async function* pages() {
      for (const reading of way) yield await Promise.resolve([reading])
    }
    const tried = await dryRun({
      ...{ rule: rule(fence("inside")), tenant, devices: [truck], from: 0, until: s(60), pages: pages() }
    })
    assert.deepEqual(
      tried.episodes.map(({ from, until }) => [from, until]),
      [
        [s(20), s(40)],
        [s(50), null]
      ]
    )
  })
})

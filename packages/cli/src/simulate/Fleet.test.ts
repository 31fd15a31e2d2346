import fc from "fast-check"
import { expect, test } from "vitest"
import { disturbanceOf, faultOf, leakOf } from "./faults.ts"
import { makeFleet, type SimulatedMessage } from "./Fleet.ts"
import { demand, measured } from "./shape.ts"

const monday = Date.UTC(2026, 10, 16)

const minutes = (seed: number, devices: number, turns: number) => {
  const fleet = makeFleet(seed, devices, monday)
  const sent: Array<SimulatedMessage> = []
  for (let turn = 0; turn < turns; turn++) sent.push(...fleet.next(monday + turn * 50))
  return [...sent, ...fleet.rest()]
}

test("one_seed_is_one_fleet_and_another_seed_another", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
      expect(minutes(seed, 40, 400)).toEqual(minutes(seed, 40, 400))
      expect(minutes(seed, 40, 400)).not.toEqual(minutes(seed + 1, 40, 400))
    }),
    { numRuns: 20 }
  )
})

test("everything_goes_wrong_somewhere_and_most_devices_are_well", () => {
  const counts = new Map<string, number>()
  for (let device = 0; device < 5_000; device++)
    counts.set(faultOf(1, device), (counts.get(faultOf(1, device)) ?? 0) + 1)
  expect([...counts.keys()].toSorted()).toEqual(["clock", "drift", "dropout", "duplicate", "late", "none", "stuck"])
  expect(counts.get("none")!).toBeGreaterThan(4_000)
  const leaks = new Set(Array.from({ length: 5_000 }, (_, device) => leakOf(1, device)?.kind))
  expect(leaks).toEqual(new Set(["burst", "slow", undefined]))
})

test("late_devices_lose_nothing_and_duplicates_are_the_same_twice", () => {
  const sent = minutes(3, 500, 30_000)
  const different = new Set(sent)
  expect(sent.length).toBeGreaterThan(different.size)
  // A device has no two messages of one time, or a city would take them for one.
  const right = [...different].filter(({ device }) => faultOf(3, device) !== "clock")
  expect(new Set(right.map(({ at, device }) => `${device}:${at}`)).size).toBe(right.length)
  const late = right.filter(({ device }) => faultOf(3, device) === "late")
  expect(late.length).toBe(
    60 * Array.from({ length: 500 }, (_, device) => faultOf(3, device)).filter((one) => one === "late").length
  )
  expect(late.some(({ at }, place) => place > 0 && at < late[place - 1]!.at)).toBe(true)
})

test("what_a_city_cannot_believe_is_known_beforehand", () => {
  // All of it is sent within 1,500 s.
  const sent = minutes(1, 500, 30_000)
  for (const { at, believable } of sent) expect(believable).toBe(at <= monday + 1_500_000 + 3_600_000)
  expect(sent.filter(({ believable }) => !believable).length).toBeGreaterThan(10)
  expect(sent.filter(({ at }) => at < monday).length).toBeGreaterThan(10)
})

test("people_use_water_in_the_morning_and_hardly_at_night_and_get_up_later_on_saturday", () => {
  const at = (day: number, hour: number) => demand(monday + (day * 24 + hour) * 3_600_000)
  expect(at(0, 7.5)).toBeGreaterThan(2 * at(0, 3))
  expect(at(0, 7)).toBeGreaterThan(at(5, 7))
  for (let hour = 0; hour < 168; hour++) expect(at(0, hour)).toBeLessThanOrEqual(1)
})

test("a_burst_takes_pressure_and_adds_flow_for_all_of_its_zone", () => {
  const device = Array.from({ length: 5_000 }, (_, n) => n).find((n) => leakOf(1, n)?.kind === "burst" && n % 10 === 0)!
  const { after } = leakOf(1, device)!
  const still = (elapsed: number, n: number) => measured(1, n, monday, disturbanceOf(1, n, elapsed))
  for (const n of [device, device + 1, device + 10]) {
    expect(still(after + 1_000, n)["flow"]!).toBeGreaterThan(still(after - 1_000, n)["flow"]! + 4)
    expect(still(after + 1_000, n)["pressure"]!).toBeLessThan(still(after - 1_000, n)["pressure"]! - 0.3)
  }
})

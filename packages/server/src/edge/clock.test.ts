import fc from "fast-check"
import { expect, test } from "vitest"
import { correctionOf, rightWall, tolerance } from "./clock.ts"
import { makeStamp } from "./host.ts"

const now = { wall: 1_790_000_000_000, uptime: 7_200_000, boot: "b" }

test("times_of_a_clock_that_was_in_1970_are_set_right_when_the_network_is_back", () => {
  const stamped = { wall: 60_000, uptime: 60_000, boot: "b" }
  expect(60_000 + correctionOf(stamped, [], now)).toBe(now.wall - (now.uptime - 60_000))
})

test("a_clock_that_is_right_is_left_alone", () => {
  const stamped = { wall: now.wall - 3_600_000, uptime: now.uptime - 3_600_000 + 800, boot: "b" }
  expect(correctionOf(stamped, [], now)).toBe(0)
})

test("of_a_start_that_is_over_a_clock_that_was_set_later_is_the_witness", () => {
  const stamped = { wall: 0, uptime: 10_000, boot: "a" }
  const later = [
    { wall: 1_780_000_000_000, uptime: 20_000, boot: "a" },
    { wall: 5_000, uptime: 3_000, boot: "b" }
  ]
  expect(correctionOf(stamped, later, now)).toBe(1_780_000_000_000 - 10_000)
  expect(correctionOf(stamped, [], now)).toBe(0)
})

test("the_citys_clock_counts_where_ours_is_another", () => {
  expect([rightWall(1_000, 20_000), rightWall(1_000, -90_000_000)]).toEqual([1_000, -89_999_000])
})

test("whatever_the_clock_did_a_time_is_within_the_tolerance_of_the_truth", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 7_200_000 }), fc.integer({ min: -2e12, max: 2e9 }), (uptime, error) => {
      const truth = now.wall - now.uptime + uptime
      const corrected = truth + error + correctionOf({ wall: truth + error, uptime, boot: "b" }, [], now)
      expect(Math.abs(corrected - truth)).toBeLessThan(tolerance)
    })
  )
})

test("no_two_messages_of_a_device_have_one_time_and_a_clock_that_is_set_back_is_followed", () => {
  const stamp = makeStamp()
  expect([
    stamp("a", 100),
    stamp("a", 100),
    stamp("b", 100),
    stamp("a", 101),
    stamp("a", 50_000),
    stamp("a", 200)
  ]).toEqual([100, 101, 100, 102, 50_000, 200])
})

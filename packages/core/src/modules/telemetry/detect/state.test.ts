import { expect, it } from "vitest"
import { waterMeter } from "../../../test/water.ts"
import { decodeState, detect, encodeState, freshState } from "./index.ts"

const learned = () => {
  const state = freshState()
  for (const reading of waterMeter({ days: 20, interval: 900 }))
    detect({ key: "flow", title: "Flow", unit: "m3/h" }, {}, state, reading)
  return state
}

it("brings_back_every_number_that_was_written", () => {
  const state = learned()
  expect(decodeState(encodeState(state))).toEqual(state)
  expect(decodeState(encodeState(freshState()))).toEqual(freshState())
})

it("takes_less_than_four_kilobytes_however_much_was_seen", () => {
  expect(encodeState(learned())).toHaveLength(2184)
  expect(encodeState(freshState())).toHaveLength(2184)
})

it("reads_a_state_from_the_middle_of_a_larger_buffer", () => {
  const state = learned()
  const bytes = encodeState(state)
  const larger = new Uint8Array(bytes.length + 10)
  larger.set(bytes, 3)
  expect(decodeState(larger.subarray(3, 3 + bytes.length))).toEqual(state)
})

it("begins_anew_with_a_state_of_another_version_or_cut_short", () => {
  const bytes = encodeState(learned())
  const later = Uint8Array.from(bytes)
  new Float64Array(later.buffer)[0] = 2
  for (const unreadable of [later, bytes.subarray(0, -1), new Uint8Array(0), new Uint8Array(bytes.length)])
    expect(decodeState(unreadable)).toEqual(freshState())
})

it("shares_nothing_between_two_states", () => {
  const one = learned()
  const bytes = encodeState(one)
  detect({ key: "flow", title: "Flow", unit: "m3/h" }, {}, one, { at: 4e12, value: 1, receivedAt: 4e12 })
  expect(encodeState(one)).not.toEqual(bytes)
  expect(freshState().season.days.every((days) => days === 0)).toBe(true)
})

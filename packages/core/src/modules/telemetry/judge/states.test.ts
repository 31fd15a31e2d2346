import { expect, it } from "vitest"
import { detect, freshState } from "../detect/index.ts"
import { makeFrozen, packStates, unpackStates } from "./states.ts"

const learn = (state: ReturnType<typeof freshState>, at: number) =>
  detect({ key: "flow", title: "Flow", unit: "m3/h" }, {}, state, { at, value: at % 7, receivedAt: at })

it("gives_back_every_datastream_of_a_device", () => {
  const states = [3, 2 ** 40].map((number) => [number, freshState()] as const)
  for (const [number, state] of states) learn(state, number)
  expect(unpackStates(packStates(states))).toEqual(states)
  expect(unpackStates(new Uint8Array(0))).toEqual([])
})

it("gives_states_as_they_were_when_they_were_frozen_each_once_in_pieces", () => {
  const devices = new Map(["a", "b", "c", "d"].map((id, number) => [id, [[number, freshState()] as const]]))
  const packed = () => [...devices].map(([id, states]) => [id, packStates(states)] as const)
  const then = packed()
  const frozen = makeFrozen()
  frozen.freeze(new Map(devices))
  const given = [...frozen.next(1)]
  for (const [id, [state]] of devices) {
    frozen.keep(id)
    learn(state![1], 1000)
    // Once more changes nothing of what was kept.
    frozen.keep(id)
  }
  for (let part = frozen.next(2); part.length > 0; part = frozen.next(2)) {
    expect(part.length).toBeLessThanOrEqual(2)
    given.push(...part)
  }
  expect(given).toEqual(then)
  expect(packed()).not.toEqual(then)
})

/** Devices that send one after the other: which message comes next, with all that is wrong with it. */
import { clockError, disturbanceOf, faultOf, frozenAt, gathered, silent, unbelievable } from "./faults.ts"
import { chance } from "./noise.ts"
import { measured, type Values } from "./shape.ts"

export interface SimulatedMessage {
  readonly device: number
  /** Epoch milliseconds by the device's own clock. */
  readonly at: number
  readonly values: Values
  /** Whether a city that keeps its word stores it. */
  readonly believable: boolean
}

export interface Fleet {
  /** What the next device sends at this moment: nothing, one message, or several late ones. The same message may be there twice. */
  readonly next: (now: number) => ReadonlyArray<SimulatedMessage>
  /** What late devices still hold. */
  readonly rest: () => ReadonlyArray<SimulatedMessage>
}

/** In the order of a hand of cards that was shuffled. */
const shuffled = <A>(given: ReadonlyArray<A>, seed: number): ReadonlyArray<A> => {
  const all = [...given]
  for (let last = all.length - 1; last > 0; last--) {
    const other = Math.floor(chance(seed, last, 21) * (last + 1))
    ;[all[last], all[other]] = [all[other]!, all[last]!]
  }
  return all
}

export const makeFleet = (seed: number, devices: number, start: number): Fleet => {
  let turn = 0
  const held = new Map<number, Array<SimulatedMessage>>()
  return {
    next: (now) => {
      const device = turn++ % devices
      const elapsed = now - start
      if (silent(seed, device, elapsed)) return []
      const error = clockError(seed, device, elapsed)
      const seen = frozenAt(seed, device, elapsed)
      const message: SimulatedMessage = {
        device,
        at: now + error,
        values: measured(seed, device, start + seen, disturbanceOf(seed, device, seen)),
        believable: !unbelievable(error)
      }
      if (faultOf(seed, device) === "duplicate" && chance(seed, device, turn, 22) < 0.3) return [message, message]
      const most = gathered(seed, device)
      if (most === 1) return [message]
      const own = held.get(device) ?? []
      own.push(message)
      held.set(device, own)
      if (own.length < most) return []
      held.delete(device)
      return shuffled(own, turn)
    },
    rest: () => {
      const all = [...held.values()].flat()
      held.clear()
      return all
    }
  }
}

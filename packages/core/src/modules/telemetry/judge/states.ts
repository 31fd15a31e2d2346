/** What detection remembers of a device, in one piece of bytes: number and state of each of its datastreams. */
import { type DatastreamState, decodeState, encodeState } from "../detect/index.ts"

type States = ReadonlyArray<readonly [number: number, state: DatastreamState]>

export const packStates = (states: States): Buffer => {
  const parts: Array<Uint8Array> = []
  for (const [number, state] of states) {
    const bytes = encodeState(state)
    const head = Buffer.allocUnsafe(12)
    head.writeDoubleLE(number, 0)
    head.writeUInt32LE(bytes.length, 8)
    parts.push(head, bytes)
  }
  return Buffer.concat(parts)
}

export const unpackStates = (packed: Uint8Array): States => {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  const states: Array<readonly [number, DatastreamState]> = []
  for (let place = 0; place + 12 <= bytes.length;) {
    const number = bytes.readDoubleLE(place)
    const length = bytes.readUInt32LE(place + 8)
    states.push([number, decodeState(bytes.subarray(place + 12, place + 12 + length))])
    place += 12 + length
  }
  return states
}

/** States of devices as they were when they were frozen: packed piece by piece, and at the latest when one is about to change. */
export const makeFrozen = () => {
  let waiting = new Map<string, States>()
  let packed: Array<readonly [id: string, packed: Buffer]> = []
  const keep = (id: string): void => {
    const states = waiting.get(id)
    if (states === undefined) return
    waiting.delete(id)
    packed.push([id, packStates(states)])
  }
  return {
    freeze: (states: Map<string, States>): void => {
      waiting = states
      packed = []
    },
    /** Before a device's states change. */
    keep,
    /** The next so many; none: all have been given. */
    next: (most: number): ReadonlyArray<readonly [id: string, packed: Buffer]> => {
      for (const id of waiting.keys()) {
        if (packed.length >= most) break
        keep(id)
      }
      return packed.splice(0, most)
    }
  }
}

/** What leaks do to sensors, as bytes: 32-bit floats in the machine's order (little-endian on every platform that Node is for), place after place. */
import type { LeakPlace } from "../leaks/group.ts"

export const packEffects = (places: ReadonlyArray<LeakPlace>): Buffer =>
  Buffer.from(Float32Array.from(places.flatMap(({ effects }) => Array.from(effects))).buffer)

/** Views on one array: a matrix of numbers apart would be twice as large. */
export const unpackEffects = (names: ReadonlyArray<string>, bytes: Uint8Array): ReadonlyArray<LeakPlace> => {
  const values = new Float32Array(bytes.slice().buffer)
  const width = values.length / names.length
  return names.map((name, place) => ({ name, effects: values.subarray(place * width, (place + 1) * width) }))
}

/** The numbers as they were given, as far as a float keeps them. */
export const givenEffects = ({ effects, name }: LeakPlace) => ({
  name,
  effects: Array.from(effects, (value) => Number(value.toPrecision(7)))
})

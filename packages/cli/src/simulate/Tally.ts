/** What was acknowledged, in a few numbers for each datastream however long it goes on: how many readings, and a sum that depends on each of them. */
import { chance } from "./noise.ts"

export interface Sum {
  readings: number
  check: number
}

/** The order does not matter: sums are of 32 bits. */
export const addReading = (sum: Sum, at: number, value: number): void => {
  sum.readings++
  sum.check = (sum.check + Math.floor(chance(at, Math.round(value * 1000), 31) * 4_294_967_296)) >>> 0
}

export interface Tally {
  /** Messages with different contents. */
  readonly acknowledged: () => number
  readonly add: (device: number, at: number, values: Readonly<Record<string, number>>) => void
  readonly of: (device: number, key: string) => Sum
}

export const makeTally = (): Tally => {
  const sums = new Map<string, Sum>()
  const none: Sum = { readings: 0, check: 0 }
  let messages = 0
  return {
    acknowledged: () => messages,
    add: (device, at, values) => {
      messages++
      for (const [key, value] of Object.entries(values)) {
        const name = `${device}:${key}`
        let sum = sums.get(name)
        if (sum === undefined) sums.set(name, (sum = { readings: 0, check: 0 }))
        addReading(sum, at, value)
      }
    },
    of: (device, key) => sums.get(`${device}:${key}`) ?? none
  }
}

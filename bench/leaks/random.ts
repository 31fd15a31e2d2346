/** Numbers that are the same in every run: mulberry32, and Gaussian numbers by Box and Muller. */

/** A generator of uniform numbers in [0, 1) for a seed and what they are for. */
export const uniform = (...seeds: ReadonlyArray<number>): (() => number) => {
  let state = seeds.reduce((sum, seed) => Math.imul(sum ^ seed, 0x9e3779b1) + 0x7f4a7c15, 0x1234567)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Mean 0, deviation 1. */
export const gaussian = (...seeds: ReadonlyArray<number>): (() => number) => {
  const next = uniform(...seeds)
  let spare: number | undefined
  return () => {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    const angle = 2 * Math.PI * next()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}

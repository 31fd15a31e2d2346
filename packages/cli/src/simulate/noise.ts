/** Chance that is the same for the same seed: a number from what it is asked for, with nothing to remember. */

/** Murmur3's finalizer. */
const mix = (value: number): number => {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** 0 ≤ … < 1. */
export const chance = (...parts: ReadonlyArray<number>): number => {
  let hash = 0x9e3779b9
  for (const part of parts) hash = mix(hash ^ mix((part | 0) + Math.imul(hash, 31) + Math.trunc(part / 4_294_967_296)))
  return hash / 4_294_967_296
}

/** About normal, mean 0, deviation 1. */
export const wobble = (...parts: ReadonlyArray<number>): number =>
  (chance(1, ...parts) + chance(2, ...parts) + chance(3, ...parts) + chance(4, ...parts) - 2) * Math.sqrt(3)

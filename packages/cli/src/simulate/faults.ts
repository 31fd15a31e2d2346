/** What goes wrong, and where: leaks in a zone, sensors, clocks and lines of single devices. Pure. */
import { chance } from "./noise.ts"
import type { Disturbance } from "./shape.ts"

/** Devices of one zone stand beside each other: a leak is seen by all of them. */
const zoneSize = 50

export type Fault = "none" | "drift" | "stuck" | "dropout" | "clock" | "duplicate" | "late"

/** In percent of all devices; the rest is well. */
const shares: ReadonlyArray<readonly [Fault, number]> = [
  ["drift", 3],
  ["stuck", 2],
  ["dropout", 3],
  ["clock", 2],
  ["duplicate", 3],
  ["late", 4]
]

export const faultOf = (seed: number, device: number): Fault => {
  let left = chance(seed, device, 11) * 100
  for (const [fault, share] of shares) {
    if (left < share) return fault
    left -= share
  }
  return "none"
}

/** Every tenth zone bursts within ten minutes of the start, every tenth loses more and more. */
export const leakOf = (
  seed: number,
  device: number
): { readonly kind: "burst" | "slow"; readonly after: number } | undefined => {
  const zone = Math.floor(device / zoneSize)
  const luck = chance(seed, zone, 12)
  const after = chance(seed, zone, 13) * 600_000
  return luck < 0.1 ? { kind: "burst", after } : luck < 0.2 ? { kind: "slow", after } : undefined
}

/** `elapsed`: milliseconds since the start. */
export const disturbanceOf = (seed: number, device: number, elapsed: number): Disturbance => {
  const leak = leakOf(seed, device)
  const since = leak === undefined ? 0 : Math.max(0, elapsed - leak.after)
  const near = 0.4 + 0.6 * chance(seed, device, 14)
  const loss = since === 0 ? 0 : leak?.kind === "burst" ? 12 * near : Math.min(10, (since / 3_600_000) * 0.8) * near
  const offset = faultOf(seed, device) === "drift" ? (elapsed / 3_600_000) * (chance(seed, device, 15) - 0.3) * 0.5 : 0
  return { loss, offset }
}

/** Slices of a device's life, in which its fault is there or not. */
const sliceOf = (seed: number, device: number, elapsed: number) => {
  const slice = Math.floor(elapsed / 30_000)
  return { slice, bad: chance(seed, device, slice, 16) < 0.4 }
}

/** A stuck sensor shows what it measured when its slice began. */
export const frozenAt = (seed: number, device: number, elapsed: number): number => {
  if (faultOf(seed, device) !== "stuck") return elapsed
  const { bad, slice } = sliceOf(seed, device, elapsed)
  return bad ? slice * 30_000 : elapsed
}

export const silent = (seed: number, device: number, elapsed: number): boolean =>
  faultOf(seed, device) === "dropout" && sliceOf(seed, device, elapsed).bad

/** Milliseconds by which the device's clock is wrong: hours behind, minutes ahead, or so far ahead that no city believes it. */
export const clockError = (seed: number, device: number, elapsed: number): number => {
  if (faultOf(seed, device) !== "clock") return 0
  const { bad, slice } = sliceOf(seed, device, elapsed)
  if (!bad) return 0
  return [-18_000_000, 600_000, 10_800_000][Math.floor(chance(seed, device, slice, 17) * 3)]!
}

/** A city takes nothing that is more than an hour ahead. */
export const unbelievable = (error: number): boolean => error > 3_600_000

/** How many messages a device gathers before it sends them, in any order. */
export const gathered = (seed: number, device: number): number =>
  faultOf(seed, device) === "late" ? 3 + Math.floor(chance(seed, device, 18) * 8) : 1

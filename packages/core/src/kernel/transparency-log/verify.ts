/** Whether a proof holds, for whoever has been given one. Needs nothing but the proof and the roots of two checkpoints, or of one. */
import { hashNode } from "./tree.ts"

const isOdd = (value: number) => value % 2 === 1
const half = (value: number) => Math.floor(value / 2)
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

/**
 * Whether an entry stands at a place of the tree (RFC 9162, 2.1.3.2). `place` counts from 0: an event's position less one. `leaf` is
 * the entry's hash.
 */
export const verifyInclusion = (proof: {
  readonly place: number
  readonly size: number
  readonly leaf: Uint8Array
  readonly root: Uint8Array
  readonly path: ReadonlyArray<Uint8Array>
}): boolean => {
  if (proof.place < 0 || proof.place >= proof.size) return false
  let [at, last, hash] = [proof.place, proof.size - 1, proof.leaf]
  for (const step of proof.path) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      hash = hashNode(step, hash)
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)]
    } else hash = hashNode(hash, step)
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && same(hash, proof.root)
}

/** Whether a tree only grew from one checkpoint to the other (RFC 9162, 2.1.4.2). */
export const verifyConsistency = (proof: {
  readonly from: { readonly size: number; readonly root: Uint8Array }
  readonly to: { readonly size: number; readonly root: Uint8Array }
  readonly path: ReadonlyArray<Uint8Array>
}): boolean => {
  const { from, to } = proof
  if (from.size < 1 || from.size > to.size) return false
  if (from.size === to.size) return proof.path.length === 0 && same(from.root, to.root)
  const whole = Number.isInteger(Math.log2(from.size))
  const [first, ...rest] = whole ? [from.root, ...proof.path] : proof.path
  // A step must be there even where the first root is one.
  if (first === undefined || proof.path.length === 0) return false
  let [at, last] = [from.size - 1, to.size - 1]
  while (isOdd(at)) [at, last] = [half(at), half(last)]
  let [older, newer] = [first, first]
  for (const step of rest) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      ;[older, newer] = [hashNode(step, older), hashNode(step, newer)]
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)]
    } else newer = hashNode(newer, step)
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && same(older, from.root) && same(newer, to.root)
}

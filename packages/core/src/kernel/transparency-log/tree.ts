/**
 * The Merkle tree of RFC 9162, section 2.1, over SHA-256: pure arithmetic on places and hashes. Only complete subtrees are ever stored,
 * and a complete subtree never changes; every root and every proof, at any size, is folded from at most about 2·log2(n) of them.
 */
import { hash as digest } from "node:crypto"

const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)

/** SHA-256 over 0x00 and the entry (RFC 9162, 2.1.1). */
export const hashLeaf = (entry: string | Uint8Array): Buffer =>
  digest("sha256", Buffer.concat([leafPrefix, typeof entry === "string" ? Buffer.from(entry) : entry]), "buffer")

/** SHA-256 over 0x01 and both children: another prefix, so that no node passes for a leaf. */
export const hashNode = (left: Uint8Array, right: Uint8Array): Buffer =>
  digest("sha256", Buffer.concat([nodePrefix, left, right]), "buffer")

/** A complete subtree: `2^level` entries from `number · 2^level` on. Level 0 is an entry's own hash. */
export interface NodePlace {
  readonly level: number
  readonly number: number
}

export interface Node extends NodePlace {
  readonly hash: Buffer
}

/** Entries `start` to before `end`; in this tree `start` is always where a subtree begins. */
interface Range {
  readonly start: number
  readonly end: number
}

/** The complete subtrees of a range, largest first. Beyond 2^31 entries bit operators would not do. */
const nodesOf = ({ end, start }: Range): ReadonlyArray<NodePlace> => {
  const found: Array<NodePlace> = []
  for (let at = start; at < end;) {
    const level = Math.floor(Math.log2(end - at))
    found.push({ level, number: at / 2 ** level })
    at += 2 ** level
  }
  return found
}

/** The largest power of two below `size`, which is at least 2. */
const split = (size: number): number => {
  const power = 2 ** Math.floor(Math.log2(size))
  return power === size ? size / 2 : power
}

const inclusionRanges = (place: number, { end, start }: Range): ReadonlyArray<Range> => {
  if (end - start === 1) return []
  const middle = start + split(end - start)
  return place < middle
    ? [...inclusionRanges(place, { start, end: middle }), { start: middle, end }]
    : [...inclusionRanges(place, { start: middle, end }), { start, end: middle }]
}

const consistencyRanges = (size: number, { end, start }: Range, known: boolean): ReadonlyArray<Range> => {
  if (size === end) return known ? [] : [{ start, end }]
  const middle = start + split(end - start)
  return size <= middle
    ? [...consistencyRanges(size, { start, end: middle }, known), { start: middle, end }]
    : [...consistencyRanges(size, { start: middle, end }, false), { start, end: middle }]
}

/** What a proof needs to be read, and how it is made of it. */
export interface Recipe {
  readonly needs: ReadonlyArray<NodePlace>
  /** Fails with a defect when a node is missing. */
  readonly fold: (nodes: ReadonlyArray<Node>) => ReadonlyArray<Buffer>
}

const recipe = (ranges: ReadonlyArray<Range>): Recipe => ({
  needs: ranges.flatMap(nodesOf),
  fold: (nodes) => {
    const hashes = new Map(nodes.map(({ hash, level, number }) => [`${level}/${number}`, hash]))
    return ranges.map((range) =>
      nodesOf(range)
        .map(({ level, number }) => {
          const hash = hashes.get(`${level}/${number}`)
          if (hash === undefined) throw new Error(`The log has lost the node ${level}/${number}`)
          return hash
        })
        .reduceRight((right, left) => hashNode(left, right))
    )
  }
})

/** The root at a size of at least 1. */
export const rootAt = (size: number): Recipe => recipe([{ start: 0, end: size }])

/** PATH(place, D[size]) of RFC 9162, 2.1.3.1. `place` counts from 0 and is below `size`. */
export const inclusionAt = (place: number, size: number): Recipe =>
  recipe(inclusionRanges(place, { start: 0, end: size }))

/** PROOF(from, D[to]) of RFC 9162, 2.1.4.1; 0 < from ≤ to. */
export const consistencyBetween = (from: number, to: number): Recipe =>
  recipe(consistencyRanges(from, { start: 0, end: to }, true))

/** What a tree that grows at its end must remember: one complete subtree for every bit of its size, largest first. */
export const edgeAt = (size: number): ReadonlyArray<NodePlace> => nodesOf({ start: 0, end: size })

/** Adds entries to a tree of `size` whose edge is given; returns every subtree that they complete, and the new edge. */
export const grow = (size: number, edge: ReadonlyArray<Node>, entries: ReadonlyArray<Buffer>) => {
  const open = [...edge]
  const made: Array<Node> = []
  for (const [index, hash] of entries.entries()) {
    let node: Node = { level: 0, number: size + index, hash }
    made.push(node)
    while (open.at(-1)?.level === node.level) {
      const left = open.pop()!
      node = { level: node.level + 1, number: (node.number - 1) / 2, hash: hashNode(left.hash, node.hash) }
      made.push(node)
    }
    open.push(node)
  }
  return { made, edge: open as ReadonlyArray<Node> }
}

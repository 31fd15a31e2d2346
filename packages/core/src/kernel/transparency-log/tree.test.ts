import { createHash } from "node:crypto"
import fc from "fast-check"
import { expect, it } from "vitest"
import { encodeLeaf, jcs } from "./leaf.ts"
import { consistencyBetween, edgeAt, grow, hashLeaf, inclusionAt, type Node, type Recipe, rootAt } from "./tree.ts"
import { verifyConsistency, verifyInclusion } from "./verify.ts"

/* RFC 9162, 2.1, word by word: slow, and with nothing in common with the tree. */
const sha256 = (...parts: ReadonlyArray<Uint8Array>) => createHash("sha256").update(Buffer.concat(parts)).digest()
const k = (n: number) => {
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}
const MTH = (D: ReadonlyArray<Buffer>): Buffer =>
  D.length === 0
    ? sha256()
    : D.length === 1
      ? sha256(Buffer.of(0), D[0]!)
      : sha256(Buffer.of(1), MTH(D.slice(0, k(D.length))), MTH(D.slice(k(D.length))))
const PATH = (m: number, D: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  if (D.length === 1) return []
  const [left, right] = [D.slice(0, k(D.length)), D.slice(k(D.length))]
  return m < left.length ? [...PATH(m, left), MTH(right)] : [...PATH(m - left.length, right), MTH(left)]
}
const SUBPROOF = (m: number, D: ReadonlyArray<Buffer>, b: boolean): ReadonlyArray<Buffer> => {
  if (m === D.length) return b ? [] : [MTH(D)]
  const [left, right] = [D.slice(0, k(D.length)), D.slice(k(D.length))]
  return m <= left.length
    ? [...SUBPROOF(m, left, b), MTH(right)]
    : [...SUBPROOF(m - left.length, right, false), MTH(left)]
}

const entriesOf = (amount: number) => Array.from({ length: amount }, (_, index) => Buffer.from(`entry ${index}`))

/** A tree that was grown in batches of these sizes. */
const grown = (entries: ReadonlyArray<Buffer>, batches: ReadonlyArray<number>) => {
  const nodes: Array<Node> = []
  let edge: ReadonlyArray<Node> = []
  for (let at = 0, turn = 0; at < entries.length; turn++) {
    const batch = entries.slice(at, at + (batches[turn % batches.length] ?? 1))
    // What is remembered is what can be read back.
    expect(edge.map(({ level, number }) => ({ level, number }))).toEqual(edgeAt(at))
    const step = grow(at, edge, batch.map(hashLeaf))
    nodes.push(...step.made)
    edge = step.edge
    at += batch.length
  }
  return nodes
}

const from = (nodes: ReadonlyArray<Node>) => (recipe: Recipe) => {
  const needed = new Set(recipe.needs.map(({ level, number }) => `${level}/${number}`))
  return recipe.fold(nodes.filter(({ level, number }) => needed.has(`${level}/${number}`)))
}

// The roots that implementations of Certificate Transparency test themselves with, after one to eight of these entries.
const entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
const roots = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
]

it("has_the_roots_that_others_have", () => {
  const nodes = grown(
    entries.map((entry) => Buffer.from(entry, "hex")),
    [3]
  )
  expect(roots.map((_, index) => from(nodes)(rootAt(index + 1))[0]!.toString("hex"))).toEqual(roots)
})

it("gives_the_roots_and_proofs_of_the_rfc_at_every_size", () => {
  const all = entriesOf(33)
  const read = from(grown(all, [1, 4, 2, 7]))
  for (let size = 1; size <= all.length; size++) {
    const D = all.slice(0, size)
    expect(read(rootAt(size))).toEqual([MTH(D)])
    for (let m = 0; m < size; m++) {
      expect(read(inclusionAt(m, size))).toEqual(PATH(m, D))
      expect(read(consistencyBetween(m + 1, size))).toEqual(SUBPROOF(m + 1, D, true))
    }
  }
})

const sizes = fc
  .integer({ min: 1, max: 300 })
  .chain((size) =>
    fc.tuple(
      fc.constant(size),
      fc.integer({ min: 0, max: size - 1 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })
    )
  )

const flipped = (hash: Uint8Array, bit: number) =>
  hash.map((byte, index) => (index === Math.floor((bit % 256) / 8) ? byte ^ (1 << (bit % 8)) : byte))

it("proves_every_entry_and_nothing_else", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.nat(), ([size, place, batches], which, bit) => {
      const all = entriesOf(size)
      const read = from(grown(all, batches))
      const proof = {
        place,
        size,
        leaf: hashLeaf(all[place]!),
        root: read(rootAt(size))[0]!,
        path: read(inclusionAt(place, size))
      }
      expect(verifyInclusion(proof)).toBe(true)
      expect(proof.path.length).toBeLessThanOrEqual(Math.ceil(Math.log2(size)) + 1)
      expect(verifyInclusion({ ...proof, leaf: flipped(proof.leaf, bit) })).toBe(false)
      expect(verifyInclusion({ ...proof, root: flipped(proof.root, bit) })).toBe(false)
      expect(verifyInclusion({ ...proof, path: [...proof.path, proof.root] })).toBe(false)
      // The entry at another place, or a tree that has as many levels.
      if (size > 1) {
        const step = which % proof.path.length
        const spoiled = proof.path.map((hash, index) => (index === step ? flipped(hash, bit) : hash))
        expect(verifyInclusion({ ...proof, path: spoiled })).toBe(false)
        expect(verifyInclusion({ ...proof, path: proof.path.slice(1) })).toBe(false)
        expect(verifyInclusion({ ...proof, place: (place + 1) % size })).toBe(false)
      }
    }),
    { numRuns: 150 }
  )
})

it("proves_that_a_tree_only_grew_and_nothing_else", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.nat(), ([size, place, batches], which, bit) => {
      const read = from(grown(entriesOf(size), batches))
      const older = place + 1
      const proof = {
        from: { size: older, root: read(rootAt(older))[0]! },
        to: { size, root: read(rootAt(size))[0]! },
        path: read(consistencyBetween(older, size))
      }
      expect(verifyConsistency(proof)).toBe(true)
      const { from: first, to: second } = proof
      expect(verifyConsistency({ ...proof, from: { ...first, root: flipped(first.root, bit) } })).toBe(false)
      expect(verifyConsistency({ ...proof, to: { ...second, root: flipped(second.root, bit) } })).toBe(false)
      expect(verifyConsistency({ ...proof, path: [...proof.path, first.root] })).toBe(false)
      if (proof.path.length > 0) {
        const step = which % proof.path.length
        const spoiled = proof.path.map((hash, index) => (index === step ? flipped(hash, bit) : hash))
        expect(verifyConsistency({ ...proof, path: spoiled })).toBe(false)
        expect(verifyConsistency({ ...proof, path: proof.path.slice(0, -1) })).toBe(false)
      }
    }),
    { numRuns: 150 }
  )
})

it("takes_no_node_for_an_entry", () => {
  const all = entriesOf(4)
  const nodes = grown(all, [4])
  const [a, b] = nodes.filter(({ level }) => level === 0)
  // Two children as one entry would give a tree of two entries the root of a tree of four.
  const forged = hashLeaf(Buffer.concat([a!.hash, b!.hash]))
  expect(nodes.some(({ hash }) => hash.equals(forged))).toBe(false)
})

it("says_so_when_a_node_is_lost", () => {
  const nodes = grown(entriesOf(7), [7]).filter(({ level, number }) => !(level === 1 && number === 2))
  expect(() => from(nodes)(rootAt(7))).toThrow("lost the node 1/2")
})

it("writes_one_text_for_one_event_as_rfc_8785_has_it", () => {
  // The RFC's own example of an order, and its numbers.
  expect(jcs({ "€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\u0080": 6, ö: 7 })).toBe(
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}'
  )
  const numbers = '{"10":[333333333.33333329,1e30,4.5,0.002,1e-27,-0],"9":null}'
  expect(jcs(JSON.parse(numbers))).toBe('{"10":[333333333.3333333,1e+30,4.5,0.002,1e-27,0],"9":null}')
  const leaf = {
    position: 1,
    id: "0198a1c0-0000-7000-8000-000000000001",
    type: "test.happened",
    caseId: null,
    actorId: null,
    occurredAt: "2026-11-20T08:00:00.123000Z",
    payload: { b: 1, a: { d: [], c: true } },
    commitments: {},
    traceId: null
  }
  // In every proof ever given: a change here is a change of the past.
  expect(encodeLeaf({ ...leaf, stranger: 1 } as typeof leaf)).toBe(
    '{"actorId":null,"caseId":null,"commitments":{},"id":"0198a1c0-0000-7000-8000-000000000001","occurredAt":"2026-11-20T08:00:00.123000Z","payload":{"a":{"c":true,"d":[]},"b":1},"position":1,"traceId":null,"type":"test.happened"}'
  )
})

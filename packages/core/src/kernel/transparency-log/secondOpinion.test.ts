/** Our tree beside one by other hands: Transmute's, which is the RFC's text as code. */
import * as transmute from "@transmute/rfc9162"
import { expect, it } from "vitest"
import { consistencyBetween, grow, hashLeaf, inclusionAt, type Recipe, rootAt } from "./tree.ts"
import { verifyConsistency, verifyInclusion } from "./verify.ts"

const { RFC9162: theirs } = transmute

const bytes = (hashes: ReadonlyArray<Uint8Array>) => hashes.map((hash) => new Uint8Array(hash))
const hex = (hashes: ReadonlyArray<Uint8Array>) => hashes.map((hash) => Buffer.from(hash).toString("hex"))

it("another_implementation_has_the_same_roots_and_proofs_at_every_size", async () => {
  const entries = Array.from({ length: 40 }, (_, index) => new Uint8Array(Buffer.from(`entry ${index}`)))
  const { made } = grow(0, [], entries.map(hashLeaf))
  const fold = (recipe: Recipe) => {
    const needed = new Set(recipe.needs.map(({ level, number }) => `${level}/${number}`))
    return recipe.fold(made.filter(({ level, number }) => needed.has(`${level}/${number}`)))
  }
  for (let size = 1; size <= entries.length; size++) {
    const known = entries.slice(0, size)
    const root = new Uint8Array(await theirs.treeHead(known))
    expect(hex(fold(rootAt(size)))).toEqual(hex([root]))
    for (let place = 0; place < size; place++) {
      const [path, proof] = [fold(inclusionAt(place, size)), await theirs.inclusionProof(known[place]!, known)]
      expect(hex(path)).toEqual(hex(proof.inclusion_path))
      const leaf = hashLeaf(known[place]!)
      expect(verifyInclusion({ place, size, leaf, root, path: proof.inclusion_path })).toBe(true)
      expect(
        await theirs.verifyInclusionProof(root, new Uint8Array(leaf), { ...proof, inclusion_path: bytes(path) })
      ).toBe(true)
    }
    for (let from = 1; from < size; from++) {
      const older = new Uint8Array(fold(rootAt(from))[0]!)
      const proof = await theirs.consistencyProof(
        { log_id: "", tree_size: from, leaf_index: 0, inclusion_path: [] },
        known
      )
      // It repeats the older root where that is a subtree; PROOF of the RFC's section 2.1.4.1 leaves it out there, for the asker has it.
      const repeated = Number.isInteger(Math.log2(from)) ? [older] : []
      const path = fold(consistencyBetween(from, size))
      expect(hex([...repeated, ...path])).toEqual(hex(proof.consistency_path))
      const [first, second] = [
        { size: from, root: older },
        { size, root }
      ]
      expect(verifyConsistency({ from: first, to: second, path })).toBe(true)
      expect(await theirs.verifyConsistencyProof(older, root, proof)).toBe(true)
    }
  }
})

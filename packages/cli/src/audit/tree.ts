/** Hashes of RFC 9162, 2.1, for a log that is read from its beginning: one hash for every bit of its size is all that is kept. */
import { createHash } from "node:crypto"

/** An event's hash: SHA-256 over 0x00 and its JSON (RFC 8785). */
export const leafHash = (event: unknown): Buffer =>
  createHash("sha256").update("\u0000").update(canonicalJson(event)).digest()

const parentHash = (left: Buffer, right: Buffer): Buffer =>
  createHash("sha256").update("\u0001").update(left).update(right).digest()

/** RFC 8785: members by the UTF-16 units of their names, no white space. */
const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return "[" + value.map(canonicalJson).join(",") + "]"
  if (typeof value === "object" && value !== null) {
    const object = value as Readonly<Record<string, unknown>>
    const names = Object.keys(object).sort((one, other) => (one === other ? 0 : one < other ? -1 : 1))
    return "{" + names.map((name) => JSON.stringify(name) + ":" + canonicalJson(object[name])).join(",") + "}"
  }
  return JSON.stringify(value)
}

/** The tree so far. */
export class GrowingTree {
  #size = 0
  /** Roots of complete subtrees by height; a hole where the size has no such bit. */
  readonly #peaks: Array<Buffer | undefined> = []

  get size(): number {
    return this.#size
  }

  add(leaf: Buffer): void {
    let carried = leaf
    let height = 0
    for (let peak = this.#peaks[height]; peak !== undefined; peak = this.#peaks[++height]) {
      carried = parentHash(peak, carried)
      this.#peaks[height] = undefined
    }
    this.#peaks[height] = carried
    this.#size++
  }

  /** MTH of everything added. */
  root(): Buffer {
    let root: Buffer | undefined
    for (const peak of this.#peaks) if (peak !== undefined) root = root === undefined ? peak : parentHash(peak, root)
    return root ?? createHash("sha256").digest()
  }
}

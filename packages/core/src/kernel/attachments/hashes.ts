/**
 * SHA-256 of uploads as their bytes come in. A hash under way cannot leave its process, so a replica that took every byte of an upload
 * knows the hash at the end, and any other reads the segments once.
 */
import { createHash, type Hash } from "node:crypto"
import * as Context from "effect/Context"

export interface RunningHash {
  /** Bytes in it so far. */
  readonly offset: number
  readonly hash: Hash
}

/** By upload. Losing one costs a reading of the segments. */
export const UploadHashes = Context.Reference<Map<string, RunningHash>>("@mahalla/kernel/UploadHashes", {
  defaultValue: () => new Map()
})

const most = 1000

/** Takes the hash of an upload's first `offset` bytes out; undefined when it is not known here. */
export const takeHash = (hashes: Map<string, RunningHash>, id: string, offset: number): Hash | undefined => {
  const known = hashes.get(id)
  hashes.delete(id)
  return known?.offset === offset ? known.hash : offset === 0 ? createHash("sha256") : undefined
}

/** Keeps a hash for the upload's next request; the ones that were longest without any go first. */
export const keepHash = (hashes: Map<string, RunningHash>, id: string, running: RunningHash): void => {
  hashes.set(id, running)
  const [oldest] = hashes.keys()
  if (hashes.size > most && oldest !== undefined) hashes.delete(oldest)
}

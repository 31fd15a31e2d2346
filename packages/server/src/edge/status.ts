/** What lies in an edge's folder, whether an edge is at work in it or not. */
import { open, readdir, stat } from "node:fs/promises"
import { type Cursor, readCursor } from "./Forward.ts"
import { readOpening, readStretch, segmentFile, segmentNumber } from "./segment.ts"

export interface EdgeStatus {
  /** Messages that the city does not have yet. */
  readonly backlog: number
  /** Bytes on disk, those of half a segment that the city has already with them. */
  readonly bytes: number
  readonly segments: number
  /** Epoch milliseconds at which the oldest of them came. */
  readonly oldest: number | null
  /** Segments of which a part could not be read any more. */
  readonly damaged: number
  readonly cursor: Cursor
}

export const edgeStatus = async (folder: string): Promise<EdgeStatus> => {
  const cursor = await readCursor(folder)
  const files = await readdir(folder)
  const numbers = files.flatMap((file) => segmentNumber(file) ?? []).sort((left, right) => left - right)
  let backlog = 0
  let bytes = 0
  let oldest: number | null = null
  for (const number of numbers) {
    const path = segmentFile(folder, number)
    // Those that the city has whole may be gone at any moment.
    const size = await stat(path).then(
      (found) => found.size,
      () => 0
    )
    bytes += size
    if (number < cursor.segment || size === 0) continue
    const handle = await open(path, "r").catch(() => undefined)
    if (handle === undefined) continue
    try {
      const { start } = await readOpening(handle)
      for (let at = number === cursor.segment ? Math.max(start, cursor.offset) : start; at < size;) {
        const { end, records } = await readStretch(handle, at, size, 1_048_576)
        backlog += records.length
        oldest ??= records[0]?.receivedAt ?? null
        at = end
      }
    } finally {
      await handle.close()
    }
  }
  return {
    backlog,
    bytes,
    segments: numbers.length,
    oldest,
    damaged: files.filter((file) => file.endsWith(".damaged")).length,
    cursor
  }
}

/** A file of the log: eight bytes that say what it is, its clock, and messages one after the other. */
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import {
  bodyAt,
  type EdgeRecord,
  endOf,
  frameOfMoment,
  maxFrame,
  type Moment,
  momentOf,
  nextFrame,
  recordOf
} from "./frame.ts"

const magic = Buffer.from("MHLEDGE1")

export const segmentFile = (folder: string, number: number): string =>
  join(folder, `${String(number).padStart(12, "0")}.log`)

/** Number of a segment by the name of its file. */
export const segmentNumber = (file: string): number | undefined => {
  const found = /^(\d{12})\.log$/.exec(file)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** What a new segment begins with. */
export const opening = (moment: Moment): Buffer => Buffer.concat([magic, frameOfMoment(moment)])

/** Bytes that a disk reads as one. */
const block = 4_096

/** A part of what was asked for. Of a block that the disk cannot give any more: zeros, which are no message. */
const readSome = async (handle: FileHandle, into: Buffer, position: number): Promise<number> => {
  try {
    return (await handle.read(into, 0, into.length, position)).bytesRead
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EIO") throw error
    const first = into.subarray(0, block - (position % block))
    if (first.length < into.length) return readSome(handle, first, position)
    return into.fill(0).length
  }
}

export const readAt = async (handle: FileHandle, from: number, to: number): Promise<Buffer> => {
  const bytes = Buffer.allocUnsafe(Math.max(0, to - from))
  let filled = 0
  while (filled < bytes.length) {
    const bytesRead = await readSome(handle, bytes.subarray(filled), from + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

/** Its clock and where its messages begin; no clock where the beginning is damaged. */
export const readOpening = async (
  handle: FileHandle
): Promise<{ readonly moment: Moment | undefined; readonly start: number }> => {
  const bytes = await readAt(handle, 0, 1024)
  const body = bytes.subarray(0, magic.length).equals(magic) ? bodyAt(bytes, magic.length) : "bad"
  return typeof body === "string"
    ? { moment: undefined, start: magic.length }
    : { moment: momentOf(body), start: endOf(magic.length, body) }
}

export interface Stretch {
  readonly records: ReadonlyArray<EdgeRecord>
  /** Where to read on. */
  readonly end: number
  /** Offset behind the last of the messages. */
  readonly whole: number
  /** Bytes between them that are no messages. */
  readonly damaged: number
}

/**
 * Whole messages from `from` on, about `most` bytes of them and at least one. `limit`: how far the file may be read. Where a stretch of the file is
 * damaged, what comes behind it is found again.
 */
export const readStretch = async (handle: FileHandle, from: number, limit: number, most: number): Promise<Stretch> => {
  const to = Math.min(limit, from + Math.max(most, 2 * maxFrame))
  const bytes = await readAt(handle, from, to)
  const records: Array<EdgeRecord> = []
  let at = 0
  let whole = 0
  let damaged = 0
  while (at < bytes.length && at < most) {
    const body = bodyAt(bytes, at)
    if (typeof body !== "string") {
      records.push(recordOf(body))
      whole = at = endOf(at, body)
      continue
    }
    // The rest of this frame is in the next stretch.
    if (body === "short" && to < limit && at > 0) break
    const next = nextFrame(bytes, at + 1)
    // A frame that begins in here may end behind it.
    const resumed = next ?? (to < limit ? Math.max(at + 1, bytes.length - maxFrame) : bytes.length)
    damaged += resumed - at
    at = resumed
  }
  return { records, end: from + at, whole: from + whole, damaged }
}

/** Offset behind the last whole message: what is behind it was being written when the power went. */
export const wholeEnd = async (path: string): Promise<number> => {
  const handle = await open(path, "r")
  try {
    const { size } = await handle.stat()
    const { start } = await readOpening(handle)
    let end = Math.min(start, size)
    for (let at = start; at < size;) {
      const stretch = await readStretch(handle, at, size, 1_048_576)
      if (stretch.records.length > 0) end = stretch.whole
      at = stretch.end
    }
    return end
  } finally {
    await handle.close()
  }
}

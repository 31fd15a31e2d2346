/**
 * What the edge has taken and the city has not: messages on disk, in their order of arrival, in segments of some megabytes. Whoever was told that a
 * message is taken can forget it: it has been fsynced. The log never drops one; when it is full it takes no more.
 */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, truncate, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type EdgeRecord, frameOf, type Moment } from "./frame.ts"
import { opening, readAt, readOpening, readStretch, segmentFile, segmentNumber, wholeEnd } from "./segment.ts"

export interface EdgeLogOptions {
  readonly folder: string
  /** Bytes on disk at which no more is taken; what comes at once is taken whole where less than a segment lies there. */
  readonly limit: number
  /** Bytes at which a segment is full; at most a quarter of the limit, for one that is written to is not removed. */
  readonly segmentBytes: number
  /** Number of the last segment that was ever read: new ones come behind it. Default 0. */
  readonly after?: number
}

/** How far messages were read. */
export interface Place {
  readonly segment: number
  readonly offset: number
}

export interface Piece {
  readonly records: ReadonlyArray<EdgeRecord>
  /** Where the records are from. */
  readonly segment: number
  readonly next: Place
}

/** The log, or its disk, is full; nothing of what was given is kept. */
export class EdgeLogFull extends Error {}

/** Milliseconds by which the clock that people set may wander from the one that runs, before times are another segment's. */
const step = 5_000
/** Bytes that one write has at most. */
const writeBytes = 4_194_304

interface Waiting {
  readonly frames: Buffer
  readonly moment: Moment
  readonly taken: () => void
  readonly refused: (error: Error) => void
}

const syncFolder = async (folder: string) => {
  // Windows opens no folders, and needs none of this.
  if (process.platform === "win32") return
  const handle = await open(folder, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Replaces a small file as a whole. */
export const putFile = async (path: string, text: string): Promise<void> => {
  const draft = `${path}.new`
  const handle = await open(draft, "w", 0o600)
  try {
    await handle.writeFile(text)
    await handle.datasync()
  } finally {
    await handle.close()
  }
  await rename(draft, path)
}

export interface EdgeLog {
  /** Resolves when the messages are on disk; rejects with `EdgeLogFull` or the disk's error, and then none of them is kept. */
  readonly append: (records: ReadonlyArray<EdgeRecord>, moment: Moment) => Promise<void>
  /** Messages from a place on; undefined where there are no more yet. `most`: bytes, about. */
  readonly read: (from: Place, most: number) => Promise<Piece | undefined>
  /** Where the oldest message is. */
  readonly first: () => Place
  /** The clocks of all segments, oldest first. */
  readonly moments: () => ReadonlyArray<{ readonly segment: number; readonly moment: Moment | undefined }>
  /** Removes the segments that lie wholly before a place. */
  readonly release: (before: Place) => Promise<void>
  /** Bytes on disk. */
  readonly bytes: () => number
  /** Bytes that were no messages any more when they were read; the files with them are kept as `*.damaged`. */
  readonly damaged: () => number
  /** Resolves at the next append. */
  readonly grown: () => Promise<void>
  readonly close: () => Promise<void>
}

interface Segment {
  readonly number: number
  /** How far it is on disk for certain. */
  size: number
  readonly start: number
  readonly moment: Moment | undefined
}

/** Opens the log of a folder; what a power cut has left half written is cut off. */
export const openEdgeLog = async ({ after = 0, folder, limit, ...options }: EdgeLogOptions): Promise<EdgeLog> => {
  const segmentBytes = Math.min(options.segmentBytes, Math.floor(limit / 4))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const segments: Array<Segment> = []
  let total = 0
  let lost = 0

  const numbers = (await readdir(folder)).flatMap((file) => segmentNumber(file) ?? [])
  for (const number of numbers.sort((left, right) => left - right)) {
    const path = segmentFile(folder, number)
    const { size } = await stat(path)
    const end = number === Math.max(...numbers) ? await wholeEnd(path) : size
    if (end < size) await truncate(path, end)
    const handle = await open(path, "r")
    try {
      segments.push({ number, size: end, ...(await readOpening(handle)) })
    } finally {
      await handle.close()
    }
    total += end
  }

  /** Written to; after a failed write there is none until the next append. */
  let current: { readonly handle: FileHandle; readonly segment: Segment } | undefined
  let next = Math.max(after, ...numbers) + 1
  const waiting: Array<Waiting> = []
  let writing: Promise<void> | undefined
  const wake: Array<() => void> = []
  let closed = false

  const begin = async (moment: Moment) => {
    await current?.handle.close()
    current = undefined
    const number = next++
    const path = segmentFile(folder, number)
    const bytes = opening(moment)
    const handle = await open(path, "wx", 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.datasync()
      await syncFolder(folder)
    } catch (error) {
      await handle.close().catch(() => undefined)
      await rm(path, { force: true }).catch(() => undefined)
      throw error
    }
    const segment = { number, size: bytes.length, start: bytes.length, moment }
    segments.push(segment)
    total += bytes.length
    current = { handle, segment }
    return current
  }

  /** Another clock, or full. */
  const outgrown = ({ moment, size }: Segment, now: Moment) =>
    size >= segmentBytes ||
    moment === undefined ||
    moment.boot !== now.boot ||
    Math.abs(now.wall - now.uptime - (moment.wall - moment.uptime)) > step

  const write = async (frames: Buffer, moment: Moment) => {
    const { handle, segment } =
      current !== undefined && !outgrown(current.segment, moment) ? current : await begin(moment)
    try {
      let written = 0
      while (written < frames.length) {
        const { bytesWritten } = await handle.write(frames, written, frames.length - written, segment.size + written)
        written += bytesWritten
      }
      await handle.datasync()
    } catch (error) {
      // After a failed fsync nobody knows what is on disk: this segment ends where it was certain.
      current = undefined
      await handle.truncate(segment.size).catch(() => undefined)
      await handle.close().catch(() => undefined)
      throw error
    }
    segment.size += frames.length
    total += frames.length
  }

  const together = () => {
    const batch: Array<Waiting> = []
    let size = 0
    while (waiting.length > 0 && (batch.length === 0 || size + waiting[0]!.frames.length <= writeBytes)) {
      const one = waiting.shift()!
      if (total + size > segmentBytes && total + size + one.frames.length > limit)
        one.refused(
          new EdgeLogFull(`The log has reached its ${limit} bytes; it takes more when the city has taken some.`)
        )
      else {
        size += one.frames.length
        batch.push(one)
      }
    }
    return batch
  }

  const flush = async () => {
    // Whoever asks at this very moment comes with it; and `writing` is set before it is unset.
    await Promise.resolve()
    while (waiting.length > 0) {
      const batch = together()
      if (batch.length === 0) continue
      try {
        await write(Buffer.concat(batch.map(({ frames }) => frames)), batch.at(-1)!.moment)
        for (const { taken } of batch) taken()
        for (const told of wake.splice(0)) told()
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        const told =
          code === "ENOSPC" || code === "EDQUOT" ? new EdgeLogFull("The disk is full; nothing more is taken.") : error
        for (const { refused } of batch) refused(told as Error)
      }
    }
    writing = undefined
  }

  const kept = new Set<number>()
  const keepDamaged = async ({ number, size }: Segment, handle: FileHandle) => {
    if (kept.has(number)) return
    kept.add(number)
    const path = `${segmentFile(folder, number)}.damaged`
    await writeFile(path, await readAt(handle, 0, size), { flag: "wx", mode: 0o600 }).catch(() => undefined)
  }

  return {
    append: (records, moment) =>
      new Promise((taken, refused) => {
        if (closed) return refused(new Error("The log is closed."))
        waiting.push({ frames: Buffer.concat(records.map(frameOf)), moment, taken, refused })
        writing ??= flush()
      }),
    read: async (from, most) => {
      let at = from
      for (;;) {
        const place = segments.findIndex(({ number }) => number >= at.segment)
        const segment = segments[place]
        if (segment === undefined) return undefined
        const offset = segment.number === at.segment ? Math.max(at.offset, segment.start) : segment.start
        if (offset < segment.size) {
          const handle = await open(segmentFile(folder, segment.number), "r")
          try {
            const { damaged, end, records } = await readStretch(handle, offset, segment.size, most)
            if (damaged > 0) {
              lost += damaged
              await keepDamaged(segment, handle)
            }
            const next = { segment: segment.number, offset: end }
            // Also where nothing is left of it: whoever reads is past it then.
            if (records.length > 0 || damaged > 0) return { records, segment: segment.number, next }
            at = next
            continue
          } finally {
            await handle.close()
          }
        }
        const later = segments[place + 1]
        if (later === undefined) return undefined
        at = { segment: later.number, offset: later.start }
      }
    },
    first: () => {
      const [oldest] = segments
      return oldest === undefined ? { segment: next, offset: 0 } : { segment: oldest.number, offset: oldest.start }
    },
    moments: () => segments.map(({ moment, number }) => ({ segment: number, moment })),
    release: async ({ offset, segment }) => {
      for (;;) {
        const [oldest] = segments
        if (oldest === undefined) return
        const done = oldest.number < segment || (oldest.number === segment && offset >= oldest.size)
        if (!done) return
        if (oldest === current?.segment) {
          // Only to one that is full nothing more is written.
          if (oldest.size < segmentBytes) return
          const { handle } = current
          current = undefined
          await handle.close()
        }
        await rm(segmentFile(folder, oldest.number), { force: true })
        await rm(join(folder, `${oldest.number}.clock`), { force: true })
        segments.shift()
        total -= oldest.size
      }
    },
    bytes: () => total,
    damaged: () => lost,
    grown: () => new Promise((resolve) => void wake.push(resolve)),
    close: async () => {
      closed = true
      await writing
      await current?.handle.close()
      current = undefined
      for (const told of wake.splice(0)) told()
    }
  }
}

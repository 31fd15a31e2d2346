/** Memory for bytes that arrive: much for few senders, little for each of many, so that any number of them stays within bounds. */
import * as Context from "effect/Context"

/** Bytes that all uploads of the process hold together, before each gets the least. */
export const bufferBudget = 192 * 1024 * 1024

/** The most that one segment of an upload takes, and the least. */
export const segmentSize = 8 * 1024 * 1024
export const leastSegment = 512 * 1024

export interface Buffers {
  held: number
}

/** One for the process, as its memory is. */
export class UploadBuffers extends Context.Reference<Buffers>("@mahalla/kernel/UploadBuffers", {
  defaultValue: (): Buffers => ({ held: 0 })
}) {}

/** A buffer for at most `wanted` bytes, never empty; give it back. Halves of what is left go to each, so the last ones come near the least. */
export const takeBuffer = (buffers: Buffers, wanted: number): Buffer => {
  const left = Math.max(leastSegment, (bufferBudget - buffers.held) / 2)
  const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.floor(Math.min(segmentSize, wanted, left))))
  buffers.held += buffer.length
  return buffer
}

export const giveBack = (buffers: Buffers, buffer: Buffer): void => {
  buffers.held -= buffer.length
}

/**
 * A body cut into parts of one size, each in one buffer so that it can be sent again.
 */
import type { BlobStoreError } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"

/** The next part of at most `partSize` bytes; shorter only at the end of the body, and empty after it. */
export type NextPart = Effect.Effect<Uint8Array, BlobStoreError>

const smallest = 64 * 1024

export const cutIntoParts = (body: Stream.Stream<Uint8Array, BlobStoreError>, partSize: number) =>
  Effect.map(Stream.toPull(body), (pull): NextPart => {
    const waiting: Array<Uint8Array> = []
    let ended = false

    /** Fills the part as far as it goes; the part grows, so that a small body costs little memory. */
    const fill = (part: Buffer, filled: number): NextPart =>
      Effect.suspend(() => {
        let into = part
        let at = filled
        for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
          const taken = chunk.subarray(0, partSize - at)
          if (taken.length < chunk.length) waiting.unshift(chunk.subarray(taken.length))
          if (at + taken.length > into.length) {
            const larger = Buffer.allocUnsafeSlow(Math.min(partSize, Math.max(into.length * 2, at + taken.length)))
            into.copy(larger, 0, 0, at)
            into = larger
          }
          into.set(taken, at)
          at += taken.length
          if (at === partSize) return Effect.succeed(into)
        }
        if (ended) return Effect.succeed(into.subarray(0, at))
        return pull.pipe(
          Effect.map((chunks) => {
            for (const chunk of chunks) waiting.push(chunk)
          }),
          Pull.catchDone(() => Effect.sync(() => void (ended = true))),
          Effect.andThen(fill(into, at))
        )
      })
    return Effect.suspend(() => fill(Buffer.allocUnsafeSlow(Math.min(partSize, smallest)), 0))
  })

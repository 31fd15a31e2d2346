/**
 * The body of a Node request in one piece. Written for what every request pays: the general way over streams and fibers costs more than all
 * that is then done with a small body.
 */
import type { IncomingMessage } from "node:http"
import * as Effect from "effect/Effect"

/** What kept a body from being read: more than the limit, slower than it may be, or broken off. */
export type Unread = "too-large" | "late" | "broken"

const nothing = new Uint8Array()

/**
 * Fails never and leaves the connection open, so that an answer can be given: what still comes of a body that is too large is let through
 * unread. `limit` in bytes, `patience` in milliseconds.
 */
export const readNodeBody = (
  source: IncomingMessage,
  limit: number,
  patience: number
): Effect.Effect<Uint8Array | Unread> =>
  Effect.callback((resume) => {
    if (source.readableEnded || source.destroyed) {
      resume(Effect.succeed(source.readableEnded ? nothing : "broken"))
      return
    }
    const parts: Array<Uint8Array> = []
    let size = 0
    const stop = () => {
      clearTimeout(timer)
      source.off("data", onData).off("end", onEnd).off("close", onBroken).off("error", onBroken)
    }
    const end = (outcome: Uint8Array | Unread) => {
      stop()
      resume(Effect.succeed(outcome))
    }
    const onData = (part: Uint8Array) => {
      size += part.length
      if (size <= limit) return void parts.push(part)
      end("too-large")
      source.on("error", () => {}).resume()
    }
    const onEnd = () => end(parts.length === 1 ? parts[0]! : Buffer.concat(parts, size))
    const onBroken = () => end("broken")
    const timer = setTimeout(() => end("late"), patience)
    source.on("data", onData).on("end", onEnd).on("close", onBroken).on("error", onBroken)
    return Effect.sync(stop)
  })

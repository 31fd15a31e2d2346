/**
 * Lines of UTF-8, each ended by a line feed. The device begins with `{"token":"…"}`; every further line is a message, an empty one says
 * that it is there. The city answers `ok <n>`: the first n messages of this connection are committed. It says `no` before it hangs up.
 *
 * A command comes as `command {"id":…,"method":…,"params":…}` and is answered by the line `{"command":"<id>","answer":…}`, or with
 * `"error"` in place of `"answer"`.
 */
import type { CommandState } from "@mahalla/core/plugin"
import type { Frame, Framer } from "./Framer.ts"
import { helloBytes } from "./Framer.ts"

const lineFeed = 0x0a

const objectIn = (line: Uint8Array): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString("utf8"))
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const hello = (line: Uint8Array): Frame => {
  const { token } = objectIn(line)
  return typeof token === "string" ? { kind: "hello", token } : { kind: "broken", reason: "frame" }
}

const said = (line: Uint8Array): Frame => {
  if (line.byteLength === 0) return { kind: "alive" }
  if (!Buffer.from(line.buffer, line.byteOffset, Math.min(line.byteLength, 16)).toString().startsWith('{"command"'))
    return { kind: "message", payload: line }
  const { answer, command, error } = objectIn(line)
  if (typeof command !== "string") return { kind: "message", payload: line }
  const state: CommandState =
    typeof error === "string"
      ? { state: "failed", message: error.slice(0, 1_000) }
      : { state: "answered", answer: answer ?? null }
  return { kind: "answer", id: command, state }
}

const withoutReturn = (line: Buffer) => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line)

export const jsonLines: Framer = {
  format: "json",
  open: (maxPayload) => {
    let pieces: Array<Uint8Array> = []
    let size = 0
    let first = true
    return {
      begun: () => size > 0,
      read: (piece) => {
        const frames: Array<Frame> = []
        let at = 0
        while (at < piece.length) {
          const end = piece.indexOf(lineFeed, at)
          const part = piece.subarray(at, end === -1 ? piece.length : end)
          if (size + part.length > (first ? helloBytes : maxPayload + 1)) {
            pieces = []
            return [...frames, { kind: "broken", reason: "size" }]
          }
          pieces.push(part)
          size += part.length
          at += part.length + 1
          if (end === -1) break
          const line = withoutReturn(Buffer.concat(pieces))
          frames.push(first ? hello(line) : said(line))
          if (frames.at(-1)?.kind === "broken") break
          first = false
          pieces = []
          size = 0
        }
        return frames
      }
    }
  },
  acknowledge: (count) => Buffer.from(`ok ${count}\n`),
  refuse: Buffer.from("no\n"),
  command: ({ id, method, params }) => Buffer.from(`command ${JSON.stringify({ id, method, params })}\n`)
}

/**
 * Frames of bytes: length of the body (two bytes, high byte first), body, checksum of both. The device's first body is its token; every
 * further one is a message, an empty one says that it is there. The city's bodies are five bytes: 06 and how many messages of this
 * connection are committed (four bytes, high byte first), or 15 (hexadecimal) before it hangs up.
 *
 * A frame whose checksum is wrong ends the connection: where the next one begins is not known any more. What was not acknowledged is
 * sent again on the next one.
 */
import type { Checksum } from "./crc.ts"
import type { Frame, Framer } from "./Framer.ts"
import { helloBytes } from "./Framer.ts"

const header = 2
const acknowledged = 0x06
const refused = 0x15

/** Puts a body between its length and its checksum. */
export const framed = (checksum: Checksum, body: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(header)
  head.writeUInt16BE(body.byteLength)
  const covered = Buffer.concat([head, body])
  return Buffer.concat([covered, checksum.of(covered)])
}

const verdict = (kind: number, count: number) => {
  const body = Buffer.alloc(5)
  body[0] = kind
  body.writeUInt32BE(count, 1)
  return body
}

export const crcFrames = (checksum: Checksum): Framer => ({
  format: "profile",
  open: (maxPayload) => {
    let held: Buffer = Buffer.alloc(0)
    let first = true
    return {
      begun: () => held.length > 0,
      read: (piece) => {
        held = held.length === 0 ? Buffer.from(piece) : Buffer.concat([held, piece])
        const frames: Array<Frame> = []
        while (held.length >= header) {
          const length = held.readUInt16BE()
          const end = header + length + checksum.size
          if (length > (first ? helloBytes : maxPayload)) return [...frames, { kind: "broken", reason: "size" }]
          if (held.length < end) break
          const covered = held.subarray(0, header + length)
          if (!held.subarray(header + length, end).equals(checksum.of(covered)))
            return [...frames, { kind: "broken", reason: "frame" }]
          const body = covered.subarray(header)
          if (first) frames.push({ kind: "hello", token: body.toString("utf8") })
          else frames.push(length === 0 ? { kind: "alive" } : { kind: "message", payload: body })
          first = false
          held = held.subarray(end)
        }
        // A view would keep everything alive that was read with it.
        held = Buffer.from(held)
        return frames
      }
    }
  },
  acknowledge: (count) => framed(checksum, verdict(acknowledged, count % 2 ** 32)),
  refuse: framed(checksum, verdict(refused, 0))
})

/** Loggers on sockets, for the conformance suite. */
import { connect, type Socket } from "node:net"
import type { DeviceCredential } from "@mahalla/core/plugin"
import { DeviceIngestDriver, type DeviceWire, type Heard, NotLetIn } from "@mahalla/core/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { crc16, crc32Checksum } from "../framers/crc.ts"
import { framed } from "../framers/crcFrames.ts"

/** A device's end of a protocol. */
export interface Speech {
  readonly hello: (token: string) => Uint8Array
  readonly message: (payload: Uint8Array) => Uint8Array
  /** What the city says in what was heard, and what is left of it. */
  readonly hear: (heard: Buffer) => { readonly words: ReadonlyArray<Word>; readonly rest: Buffer }
}
export type Word = { readonly ok: number } | { readonly command: string } | "no"

export const lines: Speech = {
  hello: (token) => Buffer.from(`${JSON.stringify({ token })}\n`),
  message: (payload) => Buffer.concat([payload, Buffer.from("\n")]),
  hear: (heard) => {
    const end = heard.lastIndexOf("\n") + 1
    const words = heard.subarray(0, end).toString().split("\n").filter(Boolean)
    return {
      words: words.map((line): Word => {
        if (line.startsWith("command ")) return { command: line.slice(8) }
        return line.startsWith("ok ") ? { ok: Number(line.slice(3)) } : "no"
      }),
      rest: heard.subarray(end)
    }
  }
}

const frames = (checksum: typeof crc16): Speech => ({
  hello: (token) => framed(checksum, Buffer.from(token)),
  message: (payload) => framed(checksum, payload),
  hear: (heard) => {
    const words: Array<Word> = []
    const size = 7 + checksum.size
    let at = 0
    for (; heard.length - at >= size; at += size)
      words.push(heard[at + 2] === 0x06 ? { ok: heard.readUInt32BE(at + 3) } : "no")
    return { words, rest: heard.subarray(at) }
  }
})
export const crc16Frames = frames(crc16)
export const crc32Frames = frames(crc32Checksum)

const wireOf = (socket: Socket, speech: Speech, commands: Queue.Queue<string>, sent: Sent): DeviceWire => ({
  send: (payload) =>
    Effect.callback<Heard>((resume) => {
      if (socket.destroyed) return resume(Effect.succeed("unanswered"))
      sent.count++
      sent.waiting.push((heard) => resume(Effect.succeed(heard)))
      socket.write(speech.message(payload))
    }),
  flood: (payload, most) =>
    Effect.gen(function* () {
      const message = speech.message(payload)
      let left = 0
      let silentSince = yield* Clock.currentTimeMillis
      let waiting = 0
      while (left < most && (yield* Clock.currentTimeMillis) - silentSince < 1_000) {
        while (socket.writableLength < 65_536 && left < most) {
          socket.write(message)
          sent.waiting.push(() => undefined)
          left += message.byteLength
        }
        yield* Effect.sleep(5)
        if (socket.writableLength !== waiting) silentSince = yield* Clock.currentTimeMillis
        waiting = socket.writableLength
      }
      return left - socket.writableLength
    }),
  command: Effect.map(Queue.take(commands), (text) => {
    const { id, method, params } = JSON.parse(text)
    socket.write(`${JSON.stringify({ command: id, answer: { done: true } })}\n`)
    return { method, params }
  })
})

interface Sent {
  count: number
  readonly waiting: Array<(heard: Heard) => void>
}

/** Connects and says hello; fails where the answer is no. */
export const speak = (address: string, speech: Speech, token: string) =>
  Effect.gen(function* () {
    const commands = yield* Queue.unbounded<string>()
    const sent: Sent = { count: 0, waiting: [] }
    const { hostname, port } = new URL(address)
    const socket = yield* Effect.acquireRelease(
      Effect.callback<Socket, NotLetIn>((resume) => {
        const open = connect(Number(port), hostname)
        let rest: Buffer = Buffer.alloc(0)
        let told = "closed"
        let acknowledged = 0
        open.setNoDelay(true)
        open.on("error", () => undefined)
        open.once("connect", () => open.write(speech.hello(token)))
        open.on("data", (piece) => {
          const heard = speech.hear(Buffer.concat([rest, piece]))
          rest = heard.rest
          for (const word of heard.words) {
            if (word === "no") {
              told = "no"
              for (const hear of sent.waiting.splice(0)) hear("refused")
            } else if ("command" in word) Queue.offerUnsafe(commands, word.command)
            else {
              if (word.ok === 0) resume(Effect.succeed(open))
              for (const hear of sent.waiting.splice(0, word.ok - acknowledged)) hear("acknowledged")
              acknowledged = word.ok
            }
          }
        })
        open.once("close", () => {
          for (const hear of sent.waiting.splice(0)) hear("unanswered")
          resume(Effect.fail(new NotLetIn({ told })))
        })
      }),
      (open) => Effect.sync(() => open.destroy())
    )
    return { socket, wire: wireOf(socket, speech, commands, sent) }
  })

export const tcpDriver = (speech: Speech, lacks: ReadonlyArray<"commands">) =>
  Layer.succeed(DeviceIngestDriver, {
    lacks: ["topics", ...lacks],
    connect: ({ addresses: [address] }, credential: DeviceCredential) =>
      Effect.map(speak(address ?? "", speech, credential.kind === "token" ? credential.token : ""), ({ wire }) => wire)
  })

/** Devices that are broken, slow or not what they say, on a clock that the test moves. */
import { connect, type Socket } from "node:net"
import { fakeIngestHost } from "@mahalla/core/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Listener } from "./config.ts"
import { crc16, crc32Checksum } from "./framers/crc.ts"
import { crcFrames, framed } from "./framers/crcFrames.ts"
import type { Frame, Framer } from "./framers/Framer.ts"
import { jsonLines } from "./framers/jsonLines.ts"
import { serveTcp } from "./TcpIngest.ts"
import { speak, lines, crc16Frames } from "./test/driver.ts"

const serving = (framer: Listener["framer"]) =>
  Effect.gen(function* () {
    const clock = yield* TestClock.make({ warningDelay: "1 hour" })
    const fake = yield* fakeIngestHost({ maxPayload: 1_000 })
    const serve = serveTcp({ listeners: [{ name: "loggers", framer, port: 0, idle: 60 }] }, fake.host)
    const { addresses } = yield* Effect.provideService(serve, Clock.Clock, clock)
    return { clock, fake, address: addresses[0]! }
  })

const raw = (address: string) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const { hostname, port } = new URL(address)
      const socket = connect(Number(port), hostname)
      socket.on("error", () => undefined)
      socket.once("connect", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
const settle = Effect.sleep(50)
/** Seconds pass one by one, as the listener looks at its connections once in each. */
const seconds = (clock: TestClock.TestClock, count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.andThen(clock.adjust("1 second"), Effect.sleep(2)), {
    discard: true
  })

describe("tcp", () => {
  it.live("cuts_off_a_connection_that_says_nothing_within_fifteen_seconds", () =>
    Effect.gen(function* () {
      const { address, clock } = yield* serving("json-lines")
      const socket = yield* raw(address)
      yield* settle
      yield* seconds(clock, 14)
      assert.isFalse(socket.closed)
      yield* seconds(clock, 3)
      yield* settle
      assert.isTrue(socket.closed)
    }).pipe(Effect.scoped)
  )

  it.live("cuts_off_a_frame_that_comes_drop_by_drop_and_not_one_that_is_slow_between_frames", () =>
    Effect.gen(function* () {
      const { address, clock, fake } = yield* serving("crc16-frames")
      const { socket: dripping } = yield* speak(address, crc16Frames, "token-of-meter-1")
      const { socket: slow, wire } = yield* speak(address, crc16Frames, "token-of-meter-2")
      const frame = framed(crc16, Buffer.alloc(900))
      for (let at = 0; at < 20; at++) {
        dripping.write(frame.subarray(at, at + 1))
        yield* settle
        yield* seconds(clock, 1)
      }
      yield* settle
      assert.isTrue(dripping.closed)
      const sending = yield* Effect.forkChild(wire.send(Buffer.from("{}")))
      for (let step = 0; step < 20 && sending.pollUnsafe() === undefined; step++)
        yield* Effect.andThen(clock.adjust("10 millis"), Effect.sleep(10))
      assert.strictEqual(fake.committed.length, 1)
      yield* seconds(clock, 50)
      assert.isFalse(slow.closed)
      yield* seconds(clock, 15)
      yield* settle
      assert.isTrue(slow.closed)
    }).pipe(Effect.scoped)
  )

  it.live("reads_no_hello_that_is_too_long_and_nothing_without_one", () =>
    Effect.gen(function* () {
      const { address, fake } = yield* serving("json-lines")
      for (const first of ["x".repeat(5_000), '{"temperature":3}\n{"temperature":4}\n', "GET / HTTP/1.1\r\n\r\n"]) {
        const socket = yield* raw(address)
        let said = ""
        socket.on("data", (piece: Buffer) => (said += piece.toString()))
        socket.write(first)
        while (!socket.closed) yield* settle
        assert.strictEqual(said, "no\n")
      }
      assert.deepEqual([fake.committed, fake.sessions.size], [[], 0])
    }).pipe(Effect.scoped)
  )

  it.live("ends_a_connection_at_a_wrong_checksum_and_takes_what_is_sent_again", () =>
    Effect.gen(function* () {
      const { address, clock, fake } = yield* serving("crc16-frames")
      const { socket } = yield* speak(address, crc16Frames, "token-of-meter-1")
      const frame = Buffer.from(framed(crc16, Buffer.from('{"n":1}')))
      frame[4]! ^= 1
      socket.write(frame)
      while (!socket.closed) yield* settle
      const { wire } = yield* speak(address, crc16Frames, "token-of-meter-1")
      const sending = yield* Effect.forkChild(wire.send(Buffer.from('{"n":1}')))
      while (sending.pollUnsafe() === undefined) yield* Effect.andThen(clock.adjust("10 millis"), Effect.sleep(10))
      assert.deepEqual(
        fake.committed.map(({ payload }) => Buffer.from(payload).toString()),
        ['{"n":1}']
      )
    }).pipe(Effect.scoped)
  )

  it.live("answers_a_flood_of_empty_lines_once_for_each_piece", () =>
    Effect.gen(function* () {
      const { address } = yield* serving("json-lines")
      const { socket } = yield* speak(address, lines, "token-of-meter-1")
      let heard = 0
      socket.on("data", (piece: Buffer) => (heard += piece.length))
      const flood = Buffer.alloc(2 * 1024 * 1024, "\n")
      yield* Effect.callback<void>((resume) => void socket.write(flood, () => resume(Effect.void)))
      for (let tries = 0; tries < 100 && heard === 0; tries++) yield* Effect.sleep(50)
      yield* Effect.sleep(500)
      assert.isAbove(heard, 0)
      assert.isBelow(heard, 100_000)
    }).pipe(Effect.scoped)
  )

  it.live("counts_what_is_committed_for_a_logger_that_sends_many_lines_in_one_piece", () =>
    Effect.gen(function* () {
      const { address, clock, fake } = yield* serving("json-lines")
      const { socket } = yield* speak(address, lines, "token-of-meter-1")
      let said = ""
      socket.on("data", (piece: Buffer) => (said += piece.toString()))
      socket.write(Array.from({ length: 300 }, (_, n) => `{"n":${n}}\r\n`).join(""))
      for (let step = 0; step < 100 && fake.committed.length < 300; step++)
        yield* Effect.andThen(clock.adjust("10 millis"), Effect.sleep(10))
      yield* settle
      assert.match(said, /ok 300\n$/)
      assert.deepEqual(
        fake.committed.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()).n),
        Array.from({ length: 300 }, (_, n) => n)
      )
    }).pipe(Effect.scoped)
  )
})

describe("framers", () => {
  it("compute_the_checksums_of_the_catalogue", () => {
    const digits = Buffer.from("123456789")
    // Check values of the catalogue of parametrised CRC algorithms.
    assert.deepEqual([...crc16.of(digits)], [0x37, 0x4b])
    assert.deepEqual([...crc32Checksum.of(digits)], [0xcb, 0xf4, 0x39, 0x26])
  })

  const cut = (bytes: Uint8Array, cuts: ReadonlyArray<number>) => {
    const at = [...new Set([0, ...cuts.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
    return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
  }
  const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 12 })
  const messages = (frames: ReadonlyArray<Frame>) =>
    frames.flatMap((frame) => (frame.kind === "message" ? [[...frame.payload]] : []))
  const readAll = (framer: Framer, pieces: ReadonlyArray<Uint8Array>) => {
    const framing = framer.open(60)
    return pieces.flatMap((piece) => framing.read(piece))
  }

  it("find_the_same_frames_however_the_stream_is_cut", () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.nat(), { maxLength: 30 }), (sent, cuts) => {
        const hexed = sent.map((body) => Buffer.from(`"${Buffer.from(body).toString("hex").slice(0, 50)}"`))
        const text = Buffer.concat([lines.hello("t"), ...hexed.map((body) => lines.message(body))])
        assert.deepEqual(
          messages(readAll(jsonLines, cut(text, cuts))),
          hexed.map((body) => [...body])
        )
        for (const checksum of [crc16, crc32Checksum]) {
          const stream = Buffer.concat([Buffer.from("t"), ...sent].map((body) => framed(checksum, body)))
          assert.deepEqual(
            messages(readAll(crcFrames(checksum), cut(stream, cuts))),
            sent.map((body) => [...body])
          )
        }
      })
    )
  })

  it("give_no_message_out_of_a_frame_with_a_flipped_bit", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.nat(), (body, place) => {
        for (const checksum of [crc16, crc32Checksum]) {
          const frame = Buffer.from(framed(checksum, body))
          const bit = place % (frame.length * 8)
          frame[bit >> 3]! ^= 1 << (bit & 7)
          const frames = readAll(crcFrames(checksum), [framed(checksum, Buffer.from("t")), frame])
          assert.deepEqual(messages(frames), [])
        }
      })
    )
  })
})

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import { Detector } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { makeReader, type Reader } from "./Reader.ts"
import { platesDetector } from "./PlatesDetector.ts"
import { render } from "./test/render.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-reader-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => join(folder, name)

beforeAll(async () => {
  const { png } = await render({ plate: "01|A 123 BC", tail: "UZ" })
  writeFileSync(file("plate.png"), png)
  writeFileSync(file("hang.mjs"), `process.on("message", () => {})`)
  writeFileSync(file("die.mjs"), `process.on("message", () => process.exit(3))`)
})

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    // A killed process that nobody has asked after still has a number.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}
const config = { countries: ["UZ"], timeout: 60_000, maxPixels: 1e8, maxBytes: 1e8, idle: 500 }
const question = { paths: [file("plate.png")], countries: ["UZ"], maxPixels: 1e8, maxBytes: 1e8 }
const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)

const gone = Effect.fnUntraced(function* (pid: number) {
  for (let i = 0; i < 100 && alive(pid); i++) yield* Effect.sleep(50)
  return !alive(pid)
})
const pidOf = Effect.fnUntraced(function* (reader: Reader) {
  const pid = yield* reader.pid
  expect(pid).toBeDefined()
  return pid!
})

describe("the reader's process", () => {
  it("starts for the first request, serves the next, ends when idle and starts again", () =>
    run(
      Effect.gen(function* () {
        const reader = yield* makeReader({ idle: 500 })
        expect(yield* reader.pid).toBeUndefined()
        expect((yield* reader.ask(question)).ok).toBe(true)
        const first = yield* pidOf(reader)
        expect((yield* reader.ask(question)).ok).toBe(true)
        expect(yield* pidOf(reader)).toBe(first)
        expect(yield* gone(first)).toBe(true)
        expect((yield* reader.ask(question)).ok).toBe(true)
        expect(yield* pidOf(reader)).not.toBe(first)
      }).pipe(Effect.scoped)
    ))

  it("is killed when a request is given up", () =>
    run(
      Effect.gen(function* () {
        const reader = yield* makeReader({ idle: 60_000, path: file("hang.mjs") })
        const asked = yield* Effect.forkChild(reader.ask(question), { startImmediately: true })
        yield* Effect.sleep(100)
        const pid = yield* pidOf(reader)
        asked.interruptUnsafe()
        expect(yield* gone(pid)).toBe(true)
      }).pipe(Effect.scoped)
    ))

  it("ends with the city", () =>
    run(
      Effect.gen(function* () {
        const pid = yield* Effect.scoped(
          Effect.gen(function* () {
            const reader = yield* makeReader({ idle: 60_000 })
            yield* reader.ask(question)
            return yield* pidOf(reader)
          })
        )
        expect(yield* gone(pid)).toBe(true)
      })
    ))

  it("that hangs is bounded by the request's time", () =>
    run(
      Effect.gen(function* () {
        const detector = yield* Detector
        const start = yield* Clock.currentTimeMillis
        const error = yield* Effect.flip(detector.detect({ frames: [{ path: file("plate.png") }], timeout: 300 }))
        expect(error).toMatchObject({ reason: "Timeout", retryable: true, subject: "plate.png" })
        expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(3_000)
      }).pipe(Effect.provide(platesDetector(config, { program: file("hang.mjs") })))
    ))

  it("that dies is Unavailable, and the same for the next request", () =>
    run(
      Effect.gen(function* () {
        const detector = yield* Detector
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(detector.detect({ frames: [{ path: file("plate.png") }] }))
          expect(error).toMatchObject({ reason: "Unavailable", retryable: true })
        }
      }).pipe(Effect.provide(platesDetector(config, { program: file("die.mjs") })))
    ))
})

/**
 * Rules about putting, replacing and deleting: the whole body or nothing, and one winner.
 */
import assert from "node:assert/strict"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { BlobStore } from "../ports/BlobStore.ts"
import {
  absent,
  bytes,
  haltingBody,
  inPieces,
  large,
  mebibyte,
  present,
  put,
  read,
  refused,
  same
} from "./BlobStore.probes.ts"
import { text, type Store } from "./BlobStore.probes.ts"
import type { Rule } from "./conformance.ts"

const failing = (data: Uint8Array) => Stream.concat(inPieces(data), Stream.fail("the phone went out of reach"))

/** Of these racers exactly one wins, and its whole body is what is stored. */
const race = Effect.fnUntraced(function* (store: Store, key: string, bodies: ReadonlyArray<Uint8Array>) {
  const results = yield* Effect.forEach(
    bodies,
    (body, index) => Effect.result(put(store, key, body, { ifAbsent: true, contentType: `test/racer-${index}` })),
    { concurrency: "unbounded" }
  )
  const winners = results.flatMap((result, index) => (Result.isSuccess(result) ? [index] : []))
  assert.equal(winners.length, 1, `${winners.length} racers won`)
  for (const result of results)
    if (Result.isFailure(result)) assert.equal(result.failure.reason, "AlreadyExists", result.failure.message)
  const winner = winners[0] as number
  yield* present(store, key, bodies[winner] as Uint8Array, `test/racer-${winner}`)
})

export const writingRules: ReadonlyArray<Rule<BlobStore, Store>> = [
  {
    name: "keeps the bytes, the size and the content type of a blob",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(200_000, 1)
      const contentType = "video/mp4; codecs=avc1"
      const info = yield* put(store, "writing/kept.mp4", data, { contentType, size: data.length })
      assert.deepEqual(info, { key: "writing/kept.mp4", size: data.length, contentType })
      yield* present(store, "writing/kept.mp4", data, contentType)
    })
  },
  {
    name: "says application/octet-stream when no content type was given",
    check: Effect.fnUntraced(function* (store) {
      const info = yield* put(store, "writing/untyped", text("x"))
      assert.equal(info.contentType, "application/octet-stream")
      assert.equal((yield* store.head("writing/untyped")).contentType, "application/octet-stream")
    })
  },
  {
    name: "stores a blob of zero bytes",
    check: Effect.fnUntraced(function* (store) {
      yield* store.put("writing/empty", Stream.empty, { contentType: "text/plain", size: 0 })
      yield* present(store, "writing/empty", new Uint8Array(0), "text/plain")
      yield* store.put("writing/empty-pieces", Stream.make(new Uint8Array(0), new Uint8Array(0)))
      yield* present(store, "writing/empty-pieces", new Uint8Array(0))
    })
  },
  {
    name: "stores a large body of unknown length",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(large + 1, 2)
      yield* put(store, "writing/large", data, { contentType: "video/webm" })
      yield* present(store, "writing/large", data, "video/webm")
    })
  },
  {
    name: "replaces a blob as a whole",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "writing/replaced", bytes(large, 3), { contentType: "video/mp4" })
      yield* put(store, "writing/replaced", text("short"), { contentType: "text/plain" })
      yield* present(store, "writing/replaced", text("short"), "text/plain")
      yield* put(store, "writing/replaced", text("without a type"))
      yield* present(store, "writing/replaced", text("without a type"))
    })
  },
  {
    name: "stores nothing when the body fails",
    check: Effect.fnUntraced(function* (store) {
      for (const size of [10, large]) {
        const error = yield* refused(
          store.put("writing/failed", failing(bytes(size, 4))),
          "BodyFailed",
          `after ${size}`
        )
        assert.equal(error.cause, "the phone went out of reach", "the body's own error is the cause")
        yield* absent(store, "writing/failed")
      }
    })
  },
  {
    name: "keeps the old blob when the body of its replacement fails",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "writing/old", text("old"), { contentType: "text/plain" })
      for (const size of [10, large]) {
        yield* refused(store.put("writing/old", failing(bytes(size, 5))), "BodyFailed", `after ${size}`)
        yield* present(store, "writing/old", text("old"), "text/plain")
      }
    })
  },
  {
    name: "shows no part of a blob that is being written",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(large, 6)
      const { body, halfway, goOn } = yield* haltingBody(data, large - 5)
      const writing = yield* Effect.forkScoped(store.put("writing/slow", body))
      yield* halfway
      yield* absent(store, "writing/slow")
      yield* goOn
      yield* Fiber.join(writing)
      yield* present(store, "writing/slow", data)
    })
  },
  {
    name: "shows the old blob until its replacement is whole",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(large, 7)
      yield* put(store, "writing/turned", text("old"), { contentType: "text/plain" })
      const { body, halfway, goOn } = yield* haltingBody(data, large - 5)
      const writing = yield* Effect.forkScoped(store.put("writing/turned", body))
      yield* halfway
      yield* present(store, "writing/turned", text("old"), "text/plain")
      yield* goOn
      yield* Fiber.join(writing)
      yield* present(store, "writing/turned", data)
    })
  },
  {
    name: "refuses a body shorter than its declared size",
    check: Effect.fnUntraced(function* (store) {
      for (const size of [10, large]) {
        const data = bytes(size, 8)
        yield* refused(put(store, "writing/short", data, { size: size + 1 }), "BodyFailed", `one less of ${size}`)
        yield* absent(store, "writing/short")
      }
    })
  },
  {
    name: "refuses a body longer than its declared size",
    check: Effect.fnUntraced(function* (store) {
      for (const size of [10, large]) {
        const data = bytes(size, 9)
        yield* refused(put(store, "writing/long", data, { size: size - 1 }), "BodyFailed", `one more of ${size}`)
        yield* absent(store, "writing/long")
      }
    })
  },
  {
    name: "leaves nothing of an interrupted put",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "writing/untouched", text("old"), { contentType: "text/plain" })
      for (const key of ["writing/interrupted", "writing/untouched"]) {
        const { body, halfway } = yield* haltingBody(bytes(large, 10), large - 5)
        const writing = yield* Effect.forkScoped(store.put(key, body))
        yield* halfway
        yield* Fiber.interrupt(writing)
      }
      yield* absent(store, "writing/interrupted")
      yield* present(store, "writing/untouched", text("old"), "text/plain")
    })
  },
  {
    name: "refuses to put a blob that must be absent and is not",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "writing/taken", text("first"), { ifAbsent: true, contentType: "text/plain" })
      for (const data of [text("second"), bytes(large, 11)])
        yield* refused(put(store, "writing/taken", data, { ifAbsent: true }), "AlreadyExists", `${data.length} bytes`)
      yield* present(store, "writing/taken", text("first"), "text/plain")
      yield* store.delete("writing/taken")
      yield* put(store, "writing/taken", text("third"), { ifAbsent: true })
      yield* present(store, "writing/taken", text("third"))
    })
  },
  {
    name: "lets exactly one of many racers put an absent blob",
    check: (store) =>
      Effect.forEach(
        Array.from({ length: 5 }, (_, round) => round),
        (round) =>
          race(
            store,
            `writing/race-${round}`,
            Array.from({ length: 20 }, (_, racer) => bytes(1000 + racer, racer + 1))
          ),
        { discard: true }
      )
  },
  {
    name: "lets exactly one of several racers put a large absent blob",
    check: (store) =>
      race(
        store,
        "writing/large-race",
        Array.from({ length: 5 }, (_, racer) => bytes(large + racer, racer + 1))
      )
  },
  {
    name: "keeps one whole body of concurrent puts",
    check: Effect.fnUntraced(function* (store) {
      const sizes = [10, 5000, mebibyte, 6 * mebibyte, 70_000, 1, 6 * mebibyte + 1, 12, 2 * mebibyte, 300]
      const bodies = sizes.map((size, index) => bytes(size, index + 20))
      yield* Effect.forEach(
        bodies,
        (data, index) => put(store, "writing/contended", data, { contentType: `test/writer-${index}` }),
        { concurrency: "unbounded", discard: true }
      )
      const info = yield* store.head("writing/contended")
      const writer = Number(info.contentType.replace("test/writer-", ""))
      yield* present(store, "writing/contended", bodies[writer] as Uint8Array, `test/writer-${writer}`)
    })
  },
  {
    name: "gives every reader one whole version of a blob that is being replaced",
    check: Effect.fnUntraced(function* (store) {
      const versions = [0, 1].map((index) => bytes(mebibyte + index, index + 30))
      const write = (index: number) =>
        put(store, "writing/versions", versions[index % 2] as Uint8Array, { contentType: `test/version-${index % 2}` })
      yield* write(0)
      const readers = yield* Effect.forkScoped(
        Effect.forEach(
          Array.from({ length: 40 }),
          () =>
            Effect.gen(function* () {
              const info = yield* store.head("writing/versions")
              assert.equal(info.size, mebibyte + Number(info.contentType.at(-1)), "size and type of one version")
              const found = yield* read(store, "writing/versions")
              same(found, versions[found.length - mebibyte] ?? new Uint8Array(0), "one version")
            }),
          { concurrency: 4, discard: true }
        )
      )
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index),
        write,
        { discard: true }
      )
      yield* Fiber.join(readers)
    })
  },
  {
    name: "deletes a blob, and nothing when there is none",
    check: Effect.fnUntraced(function* (store) {
      yield* store.delete("writing/never/was")
      yield* put(store, "writing/gone/one", text("1"))
      yield* put(store, "writing/gone/two", text("2"))
      yield* store.delete("writing/gone/one")
      yield* absent(store, "writing/gone/one")
      yield* store.delete("writing/gone/one")
      yield* present(store, "writing/gone/two", text("2"))
    })
  }
]

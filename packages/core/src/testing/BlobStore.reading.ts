/**
 * Rules about getting, ranges, lists and keys.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BlobPage, BlobStore, ByteRange } from "../ports/BlobStore.ts"
import {
  absent,
  bytes,
  large,
  mebibyte,
  present,
  put,
  read,
  refused,
  same,
  text,
  type Store
} from "./BlobStore.probes.ts"
import type { Rule } from "./conformance.ts"

const notKeys = [
  ...".,..,../x,a/../b,a/./b,a/..,/,/a,a/,a//b,a\\b,a b,a%2e,a:b,a?b,ключ,a\u0000b,a\nb".split(","),
  "",
  "x".repeat(513),
  `a/${"y".repeat(256)}`
]
/** Among them names that Windows reserves and names that differ only in case. */
const oddKeys = [
  ..."con aux.txt dir/NUL dir/com1.mp4 .hidden trailing. dots..inside - _ 0 ...".split(" "),
  ..."case/UPPER case/upper case/Upper CASE/upper like.blob/x like.dir like/.blob like/.dir".split(" "),
  ...[100, 101, 255].flatMap((length) => ["m".repeat(length), "M".repeat(length)]),
  `${"x".repeat(255)}/${"Y".repeat(254)}/z`
]

const long = "m".repeat(100)
/** Under `list/`, in ascending byte order. */
const listed = `A Z/1 _ a-b a.txt a/1 a/2 a/b/c a0 b/10 b/9 c ${long} ${long}-x z`
  .split(" ")
  .map((key) => `list/${key}`)

/** All pages, of which none is larger than asked. */
const pages = Effect.fnUntraced(function* (store: Store, prefix: string, limit: number) {
  const found: Array<string> = []
  let cursor: string | undefined
  for (let page = 0; page < 100; page++) {
    const next: BlobPage = yield* store.list(prefix, cursor === undefined ? { limit } : { limit, cursor })
    assert.ok(next.items.length <= limit, `a page of ${next.items.length} where ${limit} were asked`)
    found.push(...next.items.map((item) => item.key))
    cursor = next.cursor
    if (cursor === undefined) return found
  }
  throw new Error("The pages never end.")
})

const putAll = (store: Store, keys: ReadonlyArray<string>) =>
  Effect.forEach(keys, (key) => put(store, key, text(key)), { concurrency: 8, discard: true })

/** Bytes in use in this process, without what is only waiting to be collected. */
const memoryMeter = () => {
  setFlagsFromString("--expose-gc")
  const collectGarbage: () => void = runInNewContext("gc")
  return () => {
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
}

export const readingRules: ReadonlyArray<Rule<BlobStore, Store>> = [
  {
    name: "serves ranges with both ends inclusive",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(large, 40)
      yield* put(store, "reading/ranges", data)
      const last = large - 1
      const ranges: ReadonlyArray<ByteRange> = [
        { start: 0, end: 0 },
        { start: 0, end: 99 },
        { start: 65_530, end: 65_545 },
        { start: 5 * mebibyte - 3, end: 5 * mebibyte + 3 },
        { start: 8 * mebibyte - 3, end: 8 * mebibyte + 3 },
        { start: 1000, end: 9 * mebibyte },
        { start: last, end: last },
        { start: 0, end: last }
      ]
      for (const range of ranges) {
        const { start, end = last } = range
        same(yield* read(store, "reading/ranges", range), data.subarray(start, end + 1), `bytes ${start}-${end}`)
      }
    })
  },
  {
    name: "serves ranges without an end, or with one past the end, up to the end",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(1000, 41)
      yield* put(store, "reading/open", data)
      same(yield* read(store, "reading/open", { start: 0 }), data, "from 0")
      same(yield* read(store, "reading/open", { start: 990 }), data.subarray(990), "from 990")
      same(yield* read(store, "reading/open", { start: 999 }), data.subarray(999), "from 999")
      same(yield* read(store, "reading/open", { start: 990, end: 5000 }), data.subarray(990), "990-5000")
    })
  },
  {
    name: "refuses ranges that start past the end or make no sense",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "reading/small", bytes(1000, 42))
      yield* put(store, "reading/empty", new Uint8Array(0))
      const bad: ReadonlyArray<ByteRange> = [
        { start: 1000 },
        { start: 1000, end: 2000 },
        { start: 5, end: 4 },
        { start: -1 },
        { start: 0.5 },
        { start: Number.NaN },
        { start: 0, end: -1 }
      ]
      for (const range of bad)
        yield* refused(read(store, "reading/small", range), "InvalidRange", `${range.start}-${range.end}`)
      yield* refused(read(store, "reading/empty", { start: 0 }), "InvalidRange", "a range of nothing")
    })
  },
  {
    name: "says NotFound for what is not there",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "reading/there", text("x"))
      yield* absent(store, "reading/not-there")
      yield* refused(read(store, "reading/not-there", { start: 0, end: 1 }), "NotFound", "a range")
      yield* refused(store.head("reading"), "NotFound", "a folder is no blob")
      assert.equal(yield* store.exists("reading/there"), true)
      assert.equal(yield* store.exists("reading/not-there"), false)
    })
  },
  {
    name: "names the operation and the key in its errors",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "reading/named", text("x"))
      const errors = [
        ["head", "reading/none", yield* refused(store.head("reading/none"), "NotFound", "head")],
        ["get", "reading/none", yield* refused(read(store, "reading/none"), "NotFound", "get")],
        [
          "put",
          "reading/named",
          yield* refused(put(store, "reading/named", text("y"), { ifAbsent: true }), "AlreadyExists", "put")
        ]
      ] as const
      for (const [operation, key, error] of errors) {
        assert.equal(error.operation, operation)
        assert.equal(error.subject, key)
        assert.equal(error.retryable, false)
        assert.ok(error.message.length > 0, "a message")
      }
    })
  },
  {
    name: "refuses keys outside the grammar",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "reading/part", text("x"))
      for (const key of notKeys) {
        const name = JSON.stringify(key.slice(0, 20))
        yield* refused(put(store, key, text("x")), "InvalidKey", `put ${name}`)
        yield* refused(read(store, key), "InvalidKey", `get ${name}`)
        yield* refused(store.head(key), "InvalidKey", `head ${name}`)
        yield* refused(store.delete(key), "InvalidKey", `delete ${name}`)
        yield* refused(store.compose(["reading/part"], key), "InvalidKey", `compose into ${name}`)
        yield* refused(store.compose([key], "reading/whole"), "InvalidKey", `compose from ${name}`)
      }
    })
  },
  {
    name: "takes every key of the grammar and mixes none up",
    check: Effect.fnUntraced(function* (store) {
      yield* putAll(store, oddKeys)
      for (const key of oddKeys) {
        same(yield* read(store, key), text(key), key)
        assert.equal((yield* store.head(key)).key, key)
      }
      const found = (yield* store.list("")).items.map((item) => item.key)
      assert.deepEqual(found, [...oddKeys].sort())
    })
  },
  {
    name: "lists keys in the order of their bytes",
    check: Effect.fnUntraced(function* (store) {
      yield* putAll(store, [...listed].reverse())
      const page = yield* store.list("list/")
      assert.deepEqual(
        page.items.map(({ key, size }) => ({ key, size })),
        listed.map((key) => ({ key, size: key.length }))
      )
      assert.equal(page.cursor, undefined)
    })
  },
  {
    name: "lists every key once, page after page",
    check: Effect.fnUntraced(function* (store) {
      yield* putAll(store, listed)
      for (const limit of [1, 2, 4, listed.length, 1000]) assert.deepEqual(yield* pages(store, "list/", limit), listed)
    })
  },
  {
    name: "lists what begins with the prefix, also in the middle of a name",
    check: Effect.fnUntraced(function* (store) {
      yield* putAll(store, [...listed, "lis", "list0", "other/1"])
      for (const prefix of ["", "list/", "list/a", "list/a/", "list/a/b", "list/c", "list/mm", "lis", "nothing/here"])
        for (const limit of [2, 1000])
          assert.deepEqual(
            yield* pages(store, prefix, limit),
            [...listed, "lis", "list0", "other/1"].filter((key) => key.startsWith(prefix)).sort(),
            `prefix "${prefix}"`
          )
    })
  },
  {
    name: "goes on listing where it was when blobs come and go between pages",
    check: Effect.fnUntraced(function* (store) {
      yield* putAll(store, listed)
      const first = yield* store.list("list/", { limit: 5 })
      const seen = first.items.map((item) => item.key)
      assert.ok(seen.length > 0 && first.cursor !== undefined)
      yield* Effect.forEach(seen, (key) => store.delete(key), { discard: true })
      yield* put(store, "list/0-came-before", text("x"))
      yield* put(store, "list/zz-came-after", text("x"))
      const rest: Array<string> = []
      for (let cursor: string | undefined = first.cursor; cursor !== undefined;) {
        const page: BlobPage = yield* store.list("list/", { limit: 5, cursor })
        rest.push(...page.items.map((item) => item.key))
        cursor = page.cursor
      }
      assert.deepEqual(rest, [...listed.slice(seen.length), "list/zz-came-after"])
    })
  },
  {
    name: "frees what a reader leaves unread",
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(2 * mebibyte, 43)
      yield* put(store, "reading/left", data)
      yield* Effect.forEach(
        Array.from({ length: 120 }),
        () => store.get("reading/left").pipe(Stream.take(1), Stream.runDrain),
        { concurrency: 4, discard: true }
      )
      yield* present(store, "reading/left", data)
    }, Effect.timeout("30 seconds"))
  },
  {
    name: "streams a large body in bounded memory",
    check: Effect.fnUntraced(function* (store) {
      const size = 96 * mebibyte
      const bound = 48 * mebibyte
      const pieces = Array.from({ length: 16 }, (_, index) => bytes(65_536, index + 50))
      const memory = memoryMeter()
      const before = memory()
      let most = 0
      const sample = () => (most = Math.max(most, memory() - before))
      const sent = createHash("sha256")
      const body = Stream.range(0, size / 65_536 - 1).pipe(
        Stream.map((index) => {
          const piece = pieces[(index * 7 + (index >> 5)) % 16] as Uint8Array
          sent.update(piece)
          if (index % 128 === 127) sample()
          return piece
        }),
        Stream.rechunk(1)
      )
      yield* store.put("reading/stream", body)
      sample()
      assert.ok(most < bound, `memory grew by ${Math.round(most / mebibyte)} MiB while 96 MiB were written`)
      most = 0
      const received = createHash("sha256")
      let count = 0
      yield* Stream.runForEach(store.get("reading/stream"), (chunk) =>
        Effect.sync(() => {
          received.update(chunk)
          if (Math.floor(count / (8 * mebibyte)) !== Math.floor((count + chunk.length) / (8 * mebibyte))) sample()
          count += chunk.length
        })
      )
      assert.ok(most < bound, `memory grew by ${Math.round(most / mebibyte)} MiB while 96 MiB were read`)
      assert.equal(count, size)
      assert.equal(received.digest("hex"), sent.digest("hex"))
    })
  }
]

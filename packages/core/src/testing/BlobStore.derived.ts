/**
 * Rules about what `BlobStore.make` derives and a store may do better: compose, presign, check.
 */
import assert from "node:assert/strict"
import * as Effect from "effect/Effect"
import type { BlobStore } from "../ports/BlobStore.ts"
import { absent, bytes, mebibyte, present, put, refused, same, text, type Store } from "./BlobStore.probes.ts"
import type { Rule } from "./conformance.ts"

const call = (address: string | URL, init?: RequestInit) =>
  Effect.promise(async () => {
    const response = await fetch(address, init)
    return {
      ok: response.ok,
      status: response.status,
      headers: response.headers,
      body: new Uint8Array(await response.arrayBuffer())
    }
  })

const turned = (value: string) => {
  const at = value.length >> 1
  return value.slice(0, at) + (value[at] === "1" ? "2" : "1") + value.slice(at + 1)
}

/** The address with one thing changed, each named. */
const tampered = (address: string, key: string, other: string): ReadonlyArray<readonly [string, string]> => {
  const byPath = new URL(address)
  byPath.pathname = byPath.pathname.replace(key, other)
  const byQuery = [...new URL(address).searchParams.keys()].map((name) => {
    const url = new URL(address)
    url.searchParams.set(name, turned(url.searchParams.get(name) ?? ""))
    return [name, url.href] as const
  })
  return [["the key", byPath.href], ...byQuery]
}

const unlessPresigns = ({ capabilities }: Store) =>
  capabilities.presign ? undefined : "the store says that it cannot presign"

export const derivedRules: ReadonlyArray<Rule<BlobStore, Store>> = [
  {
    name: "composes a blob out of several in their order",
    check: Effect.fnUntraced(function* (store) {
      const parts = [1000, 5 * mebibyte, 0, 6 * mebibyte + 1, 17].map((size, index) => bytes(size, index + 60))
      yield* Effect.forEach(parts, (part, index) => put(store, `compose/part-${index}`, part), { discard: true })
      const cases = [[0, 1, 2, 3, 4], [1, 3, 4], [3, 2, 1, 0], [4, 4], [3], [2]]
      for (const order of cases) {
        const keys = order.map((index) => `compose/part-${index}`)
        const whole = Buffer.concat(order.map((index) => parts[index] as Uint8Array))
        const options = { contentType: "video/mp4", size: whole.length }
        const info = yield* store.compose(keys, "compose/whole", options)
        assert.deepEqual(info, { key: "compose/whole", size: whole.length, contentType: "video/mp4" })
        yield* present(store, "compose/whole", whole, "video/mp4")
      }
      yield* store.compose([], "compose/nothing")
      yield* present(store, "compose/nothing", new Uint8Array(0))
      for (const [index, part] of parts.entries()) yield* present(store, `compose/part-${index}`, part)
    })
  },
  {
    name: "composes nothing when a part is missing or the size is another",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "compose/large", bytes(5 * mebibyte, 70))
      yield* put(store, "compose/small", text("x"))
      const missing = store.compose(["compose/large", "compose/none", "compose/small"], "compose/whole")
      yield* refused(missing, "NotFound", "a missing part")
      yield* absent(store, "compose/whole")
      for (const size of [5 * mebibyte, 5 * mebibyte + 2]) {
        const wrong = store.compose(["compose/large", "compose/small"], "compose/whole", { size })
        yield* refused(wrong, "BodyFailed", `declared ${size}`)
        yield* absent(store, "compose/whole")
      }
    })
  },
  {
    name: "composes an absent blob once",
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "compose/large", bytes(5 * mebibyte, 71))
      yield* put(store, "compose/small", text("x"))
      const once = (parts: ReadonlyArray<string>) => store.compose(parts, "compose/once", { ifAbsent: true })
      yield* once(["compose/large", "compose/small"])
      yield* refused(once(["compose/large", "compose/small"]), "AlreadyExists", "large parts")
      yield* refused(once(["compose/small", "compose/small"]), "AlreadyExists", "small parts")
      yield* present(store, "compose/once", Buffer.concat([bytes(5 * mebibyte, 71), text("x")]))
    })
  },
  {
    name: "refuses to presign when it says that it cannot",
    unless: ({ capabilities }) => (capabilities.presign ? "the store says that it can presign" : undefined),
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "presign/blob", text("x"))
      yield* refused(store.presign("presign/blob", { expiresIn: 60_000 }), "Unsupported", "presign")
    })
  },
  {
    name: "presigns an address that serves the blob",
    unless: unlessPresigns,
    check: Effect.fnUntraced(function* (store) {
      const data = bytes(100_000, 72)
      yield* put(store, "presign/blob", data, { contentType: "image/jpeg" })
      const served = yield* call(yield* store.presign("presign/blob", { expiresIn: 60_000 }))
      assert.equal(served.status, 200)
      assert.equal(served.headers.get("content-type"), "image/jpeg")
      same(served.body, data, "the body served")
      const downloadName = 'отчёт "1".jpg'
      const named = yield* call(yield* store.presign("presign/blob", { expiresIn: 60_000, downloadName }))
      const disposition = named.headers.get("content-disposition") ?? ""
      assert.match(disposition, /^attachment;/)
      assert.ok(disposition.includes("filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%20%221%22.jpg"), disposition)
    })
  },
  {
    name: "presigns an address that serves nothing once it has expired",
    unless: unlessPresigns,
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "presign/blob", text("x"))
      const address = yield* store.presign("presign/blob", { expiresIn: 1 })
      yield* Effect.sleep("3 seconds")
      assert.equal((yield* call(address)).ok, false)
    })
  },
  {
    name: "presigns an address that serves nothing once it was tampered with",
    unless: unlessPresigns,
    check: Effect.fnUntraced(function* (store) {
      yield* put(store, "presign/blob", text("x"))
      yield* put(store, "presign/else", text("secret"))
      const address = yield* store.presign("presign/blob", { expiresIn: 60_000, downloadName: "x.txt" })
      for (const [what, changed] of tampered(address, "presign/blob", "presign/else")) {
        assert.notEqual(changed, address)
        assert.equal((yield* call(changed)).ok, false, `served after a change of ${what}`)
      }
      for (const method of ["PUT", "DELETE"]) {
        const init = method === "PUT" ? { method, body: "overwritten" } : { method }
        assert.equal((yield* call(address, init)).ok, false, `served a ${method}`)
      }
      yield* present(store, "presign/blob", text("x"))
    })
  },
  {
    name: "checks itself and leaves nothing behind",
    check: Effect.fnUntraced(function* (store) {
      yield* Effect.all([store.check, store.check, store.check], { concurrency: 3, discard: true })
      assert.deepEqual((yield* store.list("")).items, [])
    })
  }
]

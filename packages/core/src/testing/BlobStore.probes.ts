/**
 * What the rules of the BlobStore suite are made of: bodies, and looks at what is stored.
 */
import assert from "node:assert/strict"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  BlobStoreError,
  type BlobStore,
  type BlobStoreReason,
  type ByteRange,
  type PutOptions
} from "../ports/BlobStore.ts"

export type Store = BlobStore["Service"]

export const mebibyte = 1024 * 1024
/** More than one part of an upload in parts. */
export const large = 12 * mebibyte
export const text = (words: string): Uint8Array => new TextEncoder().encode(words)

/** Bytes that look random and are the same for the same seed. */
export const bytes = (length: number, seed: number): Uint8Array<ArrayBuffer> => {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = (seed * 2654435761 + 1) >>> 0
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[index] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** A body that arrives in pieces, as from a network. */
export const inPieces = (data: Uint8Array, piece = 65_536): Stream.Stream<Uint8Array> =>
  Stream.range(0, Math.ceil(data.length / piece) - 1).pipe(
    Stream.map((index) => data.subarray(index * piece, (index + 1) * piece)),
    Stream.rechunk(1)
  )

export const put = (store: Store, key: string, data: Uint8Array, options?: PutOptions) =>
  store.put(key, inPieces(data), options)

export const read = (store: Store, key: string, range?: ByteRange) =>
  Effect.map(Stream.runCollect(store.get(key, range)), (chunks) => Buffer.concat(chunks))

/** Compared as buffers: the assertion's own comparison would print megabytes. */
export const same = (found: Uint8Array, expected: Uint8Array, what: string): void => {
  assert.equal(found.length, expected.length, `${what}: length`)
  assert.ok(Buffer.compare(found, expected) === 0, `${what}: the bytes differ`)
}

/** Refused for this reason; returns the error. */
export const refused = <A, E, R>(effect: Effect.Effect<A, E, R>, reason: BlobStoreReason, what: string) =>
  Effect.flip(effect).pipe(
    Effect.mapError(() => new Error(`${what}: expected ${reason}, but it succeeded`)),
    Effect.map((error) => {
      assert.ok(error instanceof BlobStoreError, `${what}: a BlobStoreError, not ${String(error)}`)
      assert.equal(error.reason, reason, `${what}: ${error.message}`)
      return error
    })
  )

const keys = (store: Store, prefix: string) =>
  Effect.map(store.list(prefix), ({ items }) => items.map((item) => item.key))

/** Nobody can see anything under this key. */
export const absent = Effect.fnUntraced(function* (store: Store, key: string) {
  yield* refused(store.head(key), "NotFound", `head ${key}`)
  yield* refused(read(store, key), "NotFound", `get ${key}`)
  assert.deepEqual(yield* keys(store, key), [], `list ${key}`)
})

/** Exactly this is stored under this key, whichever way one looks. */
export const present = Effect.fnUntraced(function* (
  store: Store,
  key: string,
  data: Uint8Array,
  contentType = "application/octet-stream"
) {
  assert.deepEqual(yield* store.head(key), { key, size: data.length, contentType }, `head ${key}`)
  same(yield* read(store, key), data, `get ${key}`)
  const listed = (yield* store.list(key)).items.filter((item) => item.key === key)
  assert.deepEqual(
    listed.map(({ size }) => size),
    [data.length],
    `list ${key}`
  )
})

/** A body that stops after its first bytes until it is told to go on. */
export const haltingBody = (data: Uint8Array, stopAfter: number) =>
  Effect.gen(function* () {
    const halfway = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const wait = Effect.andThen(Deferred.succeed(halfway, undefined), Deferred.await(goOn))
    const body = inPieces(data.subarray(0, stopAfter)).pipe(
      Stream.concat(Stream.fromEffectDrain(wait)),
      Stream.concat(inPieces(data.subarray(stopAfter)))
    )
    return { body, halfway: Deferred.await(halfway), goOn: Deferred.succeed(goOn, undefined) }
  })

import { describe, expect, it } from "vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { BlobStore, BlobStoreError, type BlobInfo, type BlobStoreReason } from "../ports/BlobStore.ts"
import { memoryBlobMethods, memoryBlobStore } from "./BlobStore.memory.ts"
import { blobStoreSuite } from "./BlobStore.suite.ts"
import { presigningBlobStore } from "../test/presigningBlobStore.ts"

blobStoreSuite.run({ describe, it }, { name: "in memory", layer: memoryBlobStore })

type Service = BlobStore["Service"]
type Blobs = Parameters<typeof memoryBlobMethods>[0]

/** A good store with one thing wrong. `blobs` is what it holds. */
const breaking = (change: (good: Service, blobs: Blobs) => Partial<Service>): Layer.Layer<BlobStore> =>
  Layer.sync(BlobStore, () => {
    const blobs: Blobs = new Map()
    const good = BlobStore.make(memoryBlobMethods(blobs))
    return BlobStore.of({ ...good, ...change(good, blobs) })
  })
const brokenPut = (change: (good: Service["put"], blobs: Blobs) => Service["put"]) =>
  breaking(({ put }, blobs) => ({ put: change(put, blobs) }))

const error = (reason: BlobStoreReason, subject = "") =>
  new BlobStoreError({ reason, operation: "put", subject, message: "broken", retryable: false })
const kept = (blobs: Blobs, key: string, chunks: ReadonlyArray<Uint8Array>, contentType: string): BlobInfo => {
  const info = { key, size: chunks.reduce((sum, chunk) => sum + chunk.length, 0), contentType }
  blobs.set(key, { info, chunks })
  return info
}
/** Puts what came of the body before it ended in one of these ways. */
const keepingParts = (when: "failure" | "interrupt" | "always") =>
  brokenPut((put, blobs) => (key, body, options) => {
    const chunks: Array<Uint8Array> = []
    const keep = Effect.sync(() => kept(blobs, key, chunks, "application/octet-stream"))
    const seen = Stream.tap(body, (chunk) =>
      Effect.andThen(
        Effect.sync(() => chunks.push(chunk)),
        when === "always" ? keep : Effect.void
      )
    )
    const writing = put(key, seen, options)
    return when === "failure"
      ? Effect.tapError(writing, () => keep)
      : when === "interrupt"
        ? Effect.onInterrupt(writing, () => keep)
        : writing
  })
const page = (keys: ReadonlyArray<string>, next: string | undefined) => ({
  items: keys.map((key) => ({ key, size: key.length })),
  ...(next === undefined ? {} : { cursor: next })
})

const broken: Readonly<Record<string, Layer.Layer<BlobStore>>> = {
  "keeps the bytes, the size and the content type of a blob": brokenPut(
    (put) => (key, body, options) => put(key, body, { ...options, contentType: "application/octet-stream" })
  ),
  "says application/octet-stream when no content type was given": brokenPut(
    (put) => (key, body, options) => put(key, body, { contentType: "binary/octet-stream", ...options })
  ),
  "stores a blob of zero bytes": brokenPut(
    (put, blobs) => (key, body, options) =>
      Effect.tap(put(key, body, options), ({ size }) => Effect.sync(() => size === 0 && blobs.delete(key)))
  ),
  "stores a large body of unknown length": brokenPut(
    (put) => (key, body, options) => put(key, Stream.take(body, 128), options)
  ),
  "replaces a blob as a whole": brokenPut(
    (put, blobs) => (key, body, options) =>
      Effect.suspend(() => {
        const old = Buffer.concat(blobs.get(key)?.chunks ?? [])
        return Effect.map(put(key, body, options), (info) => {
          const over = Buffer.concat(blobs.get(key)?.chunks ?? [])
          return kept(blobs, key, [over, old.subarray(over.length)], info.contentType)
        })
      })
  ),
  "stores nothing when the body fails": keepingParts("failure"),
  "keeps the old blob when the body of its replacement fails": brokenPut(
    (put, blobs) => (key, body, options) =>
      Effect.tapError(put(key, body, options), () => Effect.sync(() => blobs.delete(key)))
  ),
  "shows no part of a blob that is being written": keepingParts("always"),
  "shows the old blob until its replacement is whole": brokenPut(
    (put, blobs) => (key, body, options) =>
      Effect.suspend(() => {
        blobs.delete(key)
        return put(key, body, options)
      })
  ),
  "refuses a body shorter than its declared size": brokenPut(
    (put) => (key, body, options) => put(key, body, { ...options, size: undefined as never })
  ),
  "refuses a body longer than its declared size": brokenPut(
    (put) => (key, body, options) => put(key, body, { ...options, size: undefined as never })
  ),
  "leaves nothing of an interrupted put": keepingParts("interrupt"),
  "refuses to put a blob that must be absent and is not": brokenPut(
    (put) => (key, body, options) => put(key, body, { ...options, ifAbsent: false })
  ),
  "lets exactly one of many racers put an absent blob": brokenPut(
    (put, blobs) => (key, body, options) =>
      Effect.suspend(() => (blobs.has(key) ? Effect.fail(error("AlreadyExists", key)) : Effect.sleep(2))).pipe(
        Effect.andThen(put(key, body, { ...options, ifAbsent: false }))
      )
  ),
  "lets exactly one of several racers put a large absent blob": brokenPut(
    (put) => (key, body, options) =>
      Effect.flatMap(Stream.runCollect(body), (chunks) =>
        put(key, Stream.fromIterable(chunks), {
          ...options,
          ifAbsent: options?.ifAbsent === true && chunks.length < 80
        })
      ) as ReturnType<Service["put"]>
  ),
  "keeps one whole body of concurrent puts": breaking((good) => {
    const types = new Map<string, string>()
    let wait = 30
    return {
      put: (key, body, options) =>
        Effect.suspend(() => {
          types.set(key, options?.contentType ?? "application/octet-stream")
          return Effect.delay(good.put(key, body, options), (wait -= 2))
        }),
      head: (key) => Effect.map(good.head(key), (info) => ({ ...info, contentType: types.get(key) as string }))
    }
  }),
  "gives every reader one whole version of a blob that is being replaced": breaking((good, blobs) => ({
    get: (key) =>
      Stream.range(0, 16).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((index) => Effect.as(Effect.sleep(1), index)),
        Stream.map((index) => blobs.get(key)?.chunks[index] ?? new Uint8Array(0))
      ),
    put: (key, body, options) => Effect.delay(good.put(key, body, options), 3)
  })),
  "deletes a blob, and nothing when there is none": breaking((good) => ({
    delete: (key) => Effect.andThen(good.head(key), good.delete(key))
  })),
  "serves ranges with both ends inclusive": breaking((good) => ({
    get: (key, range) =>
      good.get(key, range?.end === undefined ? range : { ...range, end: Math.max(range.start, range.end - 1) })
  })),
  "serves ranges without an end, or with one past the end, up to the end": breaking((good) => ({
    get: (key, range) =>
      Stream.unwrap(
        Effect.map(good.head(key), ({ size }) =>
          range?.end !== undefined && range.end >= size ? Stream.fail(error("InvalidRange")) : good.get(key, range)
        )
      )
  })),
  "refuses ranges that start past the end or make no sense": breaking((good) => ({
    get: (key, range) =>
      good.get(key, range).pipe(
        Stream.catchIf(
          ({ reason }) => reason === "InvalidRange",
          () => Stream.empty
        )
      )
  })),
  "says NotFound for what is not there": breaking((good) => ({
    get: (key, range) =>
      good.get(key, range).pipe(
        Stream.catchIf(
          ({ reason }) => reason === "NotFound",
          () => Stream.empty
        )
      )
  })),
  "names the operation and the key in its errors": breaking((good) => ({
    head: (key) => Effect.mapError(good.head(key), ({ reason }) => error(reason))
  })),
  "refuses keys outside the grammar": Layer.sync(BlobStore, () => {
    const raw = memoryBlobMethods(new Map())
    return BlobStore.of({ ...BlobStore.make(raw), get: raw.get })
  }),
  "takes every key of the grammar and mixes none up": breaking((good) => ({
    put: (key, body, options) => good.put(key.toLowerCase(), body, options),
    get: (key, range) => good.get(key.toLowerCase(), range),
    head: (key) => Effect.map(good.head(key.toLowerCase()), (info) => ({ ...info, key }))
  })),
  "lists keys in the order of their bytes": breaking((good) => ({
    list: (prefix, options) =>
      Effect.map(good.list(prefix, options), (found) => ({
        ...found,
        items: [...found.items].sort((a, b) => a.key.localeCompare(b.key))
      }))
  })),
  "lists every key once, page after page": breaking((_good, blobs) => ({
    list: (prefix, options) =>
      Effect.sync(() => {
        const limit = options?.limit ?? 1000
        const keys = [...blobs.keys()].sort().filter((key) => key.startsWith(prefix) && key >= (options?.cursor ?? ""))
        return page(keys.slice(0, limit), keys.length > limit ? keys[limit - 1] : undefined)
      })
  })),
  "lists what begins with the prefix, also in the middle of a name": breaking((good) => ({
    list: (prefix, options) =>
      Effect.map(good.list(prefix, options), (found) => ({
        ...found,
        items: found.items.filter(({ key }) => prefix.endsWith("/") || key === prefix || key.startsWith(`${prefix}/`))
      }))
  })),
  "goes on listing where it was when blobs come and go between pages": breaking((_good, blobs) => ({
    list: (prefix, options) =>
      Effect.sync(() => {
        const from = Number(options?.cursor ?? "0")
        const to = from + (options?.limit ?? 1000)
        const keys = [...blobs.keys()].sort().filter((key) => key.startsWith(prefix))
        return page(keys.slice(from, to), keys.length > to ? String(to) : undefined)
      })
  })),
  "frees what a reader leaves unread": breaking((good) => {
    let open = 0
    return {
      get: (key, range) =>
        Stream.suspend(() => {
          open += 1
          const body = Stream.onEnd(
            good.get(key, range),
            Effect.sync(() => void (open -= 1))
          )
          return open > 50 ? Stream.fail(error("Unavailable", key)) : body
        })
    }
  }),
  "streams a large body in bounded memory": brokenPut(
    (put) => (key, body, options) =>
      Effect.flatMap(Stream.runCollect(body), (chunks) =>
        put(key, Stream.make(Uint8Array.from(Buffer.concat(chunks))), options)
      ) as ReturnType<Service["put"]>
  ),
  "composes a blob out of several in their order": breaking((good) => ({
    compose: (parts, key, options) => good.compose([...parts].sort(), key, options)
  })),
  "composes nothing when a part is missing or the size is another": breaking((good) => ({
    compose: (parts, key, options) =>
      Effect.flatMap(Effect.filter(parts, good.exists), (found) => good.compose(found, key, options))
  })),
  "composes an absent blob once": breaking((good) => ({
    compose: (parts, key) => good.compose(parts, key)
  })),
  "refuses to presign when it says that it cannot": breaking(() => ({
    presign: (key) => Effect.succeed(`http://127.0.0.1/${key}`)
  })),
  "presigns an address that serves the blob": presigningBlobStore("content"),
  "presigns an address that serves nothing once it has expired": presigningBlobStore("expiry"),
  "presigns an address that serves nothing once it was tampered with": presigningBlobStore("signature"),
  "checks itself and leaves nothing behind": breaking((good) => ({
    check: Effect.asVoid(good.put("check", Stream.make(new Uint8Array(1))))
  }))
}

describe("every rule of the BlobStore suite", () => {
  it.each(blobStoreSuite.rules.map(({ name }) => name))("can fail: %s", async (name) => {
    const layer = broken[name]
    if (layer === undefined) throw new Error(`No broken store shows that "${name}" can fail; add one.`)
    expect(await blobStoreSuite.verdict(name, layer)).toBe("broken")
  })

  it.each(blobStoreSuite.rules.map(({ name }) => name).filter((name) => name.startsWith("presigns")))(
    "is kept by a store that presigns: %s",
    async (name) => expect(await blobStoreSuite.verdict(name, presigningBlobStore())).toBe("kept")
  )

  it("is broken also by a presigned address that takes another method", async () => {
    const rule = "presigns an address that serves nothing once it was tampered with"
    expect(await blobStoreSuite.verdict(rule, presigningBlobStore("method"))).toBe("broken")
  })
})

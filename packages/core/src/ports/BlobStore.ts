/**
 * Files by key: originals that citizens send, and the copies made from them.
 *
 * Five methods are required; `make` derives the rest, and a store that can do one of them better overrides it.
 * Keys are 1–512 characters of `A–Z a–z 0–9 . _ - /`, in segments of at most 255, none of them empty, `.` or `..`. Do not use one key
 * as a folder of another (`a` beside `a/b`): MinIO refuses that.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { PortError } from "./PortError.ts"

export type BlobStoreReason =
  | "NotFound"
  | "AlreadyExists"
  | "InvalidKey"
  | "InvalidRange"
  /** The body failed, or was longer or shorter than its declared size; nothing was stored. */
  | "BodyFailed"
  /** No space or quota left. */
  | "Full"
  | "Unauthorized"
  | "Unavailable"
  /** The store does not have this optional ability; ask `capabilities` first. */
  | "Unsupported"

export class BlobStoreError extends PortError("BlobStoreError")<BlobStoreReason> {}

export interface BlobEntry {
  readonly key: string
  /** Bytes. */
  readonly size: number
}

export interface BlobInfo extends BlobEntry {
  /** Media type given at `put`; `application/octet-stream` when none was. */
  readonly contentType: string
}

export interface PutOptions {
  readonly contentType?: string
  /** Bytes, when known. A body of another length is refused with `BodyFailed`. */
  readonly size?: number
  /** Fail with `AlreadyExists` instead of replacing. Of any number of racers exactly one wins. */
  readonly ifAbsent?: boolean
}

/** First and last byte, both inclusive, as in RFC 9110 section 14; without `end`, to the end of the blob. */
export interface ByteRange {
  readonly start: number
  readonly end?: number
}

export interface BlobPage {
  /** May be fewer than the limit, also before the last page. No content types: S3 lists without them; `head` knows. */
  readonly items: ReadonlyArray<BlobEntry>
  /** Pass it on to get the next page; absent on the last one. */
  readonly cursor?: string
}

export interface BlobStoreCapabilities {
  /** `presign` gives an address that a browser can use without us. */
  readonly presign: boolean
  /** Several processes on several machines see the same blobs. */
  readonly shared: boolean
}

export interface BlobStoreRequired {
  readonly capabilities: BlobStoreCapabilities
  /** Stores the whole body or nothing: readers never see a part of it, also after a crash. Memory does not grow with the body. */
  readonly put: <E>(
    key: string,
    body: Stream.Stream<Uint8Array, E>,
    options?: PutOptions
  ) => Effect.Effect<BlobInfo, BlobStoreError>
  readonly get: (key: string, range?: ByteRange) => Stream.Stream<Uint8Array, BlobStoreError>
  readonly head: (key: string) => Effect.Effect<BlobInfo, BlobStoreError>
  /** Succeeds also when there was nothing. */
  readonly delete: (key: string) => Effect.Effect<void, BlobStoreError>
  /** Keys that begin with `prefix`, in ascending byte order. `limit` 1–1000, default 1000; others are brought into these bounds. */
  readonly list: (
    prefix: string,
    options?: { readonly cursor?: string; readonly limit?: number }
  ) => Effect.Effect<BlobPage, BlobStoreError>
}

export interface BlobStoreDerived {
  readonly exists: (key: string) => Effect.Effect<boolean, BlobStoreError>
  /** One blob out of several in their order; the parts stay. A missing part is `NotFound`. Default: streams them through. */
  readonly compose: (
    parts: ReadonlyArray<string>,
    key: string,
    options?: PutOptions
  ) => Effect.Effect<BlobInfo, BlobStoreError>
  /** An address that serves the blob for `expiresIn` milliseconds, rounded up to whole seconds. Default: refused with `Unsupported`. */
  readonly presign: (
    key: string,
    options: { readonly expiresIn: number; readonly downloadName?: string }
  ) => Effect.Effect<string, BlobStoreError>
  /** Proves that the store can be written and read now. Default: puts, reads and deletes a small blob. */
  readonly check: Effect.Effect<void, BlobStoreError>
}

/**
 * What `make` completes. A body comes with its failures mapped and its declared size enforced, a key with its grammar checked and a
 * range with its form, so a store only lets a body's failure pass.
 */
export interface BlobStoreMethods extends Omit<BlobStoreRequired, "put"> {
  readonly put: (
    key: string,
    body: Stream.Stream<Uint8Array, BlobStoreError>,
    options?: PutOptions
  ) => Effect.Effect<BlobInfo, BlobStoreError>
}

export class BlobStore extends Context.Service<BlobStore, BlobStoreRequired & BlobStoreDerived>()(
  "@mahalla/ports/BlobStore"
) {
  /** Completes a store from its required methods and whatever it overrides. */
  static readonly make = (store: BlobStoreMethods & Partial<BlobStoreDerived>): BlobStore["Service"] => {
    const head: BlobStoreRequired["head"] = (key) => Effect.andThen(checkKey("head", key), store.head(key))
    const compose: BlobStoreDerived["compose"] =
      store.compose ??
      ((parts, key, options) => {
        const body = Stream.fromIterable(parts).pipe(Stream.flatMap((part) => store.get(part)))
        return store.put(key, sizedBody("compose", key, body, options?.size), options)
      })
    const presign: BlobStoreDerived["presign"] =
      store.presign ??
      ((key) =>
        Effect.fail(
          refusal(
            "Unsupported",
            "presign",
            key,
            "This store cannot presign; serve the blob through the engine instead."
          )
        ))
    return {
      capabilities: store.capabilities,
      put: (key, body, options) => {
        const mapped = Stream.mapError(body, (cause) =>
          refusal(
            "BodyFailed",
            "put",
            key,
            "The body ended with an error and nothing was stored; send it again.",
            cause
          )
        )
        return Effect.andThen(
          checkKey("put", key),
          store.put(key, sizedBody("put", key, mapped, options?.size), options)
        )
      },
      get: (key, range) =>
        Stream.unwrap(Effect.as(Effect.andThen(checkKey("get", key), checkRange(key, range)), store.get(key, range))),
      head,
      delete: (key) => Effect.andThen(checkKey("delete", key), store.delete(key)),
      list: (prefix, options) =>
        Effect.andThen(
          /^[A-Za-z0-9._/-]{0,512}$/.test(prefix) ? Effect.void : Effect.fail(badKey("list", prefix)),
          store.list(prefix, { ...options, limit: Math.min(1000, Math.max(1, Math.trunc(options?.limit ?? 1000))) })
        ),
      exists:
        store.exists ??
        ((key) =>
          head(key).pipe(
            Effect.as(true),
            Effect.catch((error) => (error.reason === "NotFound" ? Effect.succeed(false) : Effect.fail(error)))
          )),
      compose: (parts, key, options) =>
        Effect.andThen(
          Effect.forEach([key, ...parts], (each) => checkKey("compose", each), { discard: true }),
          compose(parts, key, options)
        ),
      presign: (key, options) => Effect.andThen(checkKey("presign", key), presign(key, options)),
      check: store.check ?? roundTrip(store)
    }
  }
}

/** Whether a key obeys the port's grammar; stores refuse the others with `InvalidKey`. */
export const isBlobKey = (key: string): boolean =>
  key.length >= 1 &&
  key.length <= 512 &&
  /^[A-Za-z0-9._/-]+$/.test(key) &&
  key.split("/").every((segment) => segment !== "" && segment.length <= 255 && segment !== "." && segment !== "..")

const refusal = (reason: BlobStoreReason, operation: string, subject: string, message: string, cause?: unknown) =>
  new BlobStoreError({ reason, operation, subject, message, retryable: false, cause })

const badKey = (operation: string, key: string) =>
  refusal(
    "InvalidKey",
    operation,
    key.slice(0, 512),
    "Not a key: use 1–512 characters of A–Z a–z 0–9 . _ - / in segments of at most 255, none empty, . or .."
  )

const checkKey = (operation: string, key: string) =>
  isBlobKey(key) ? Effect.void : Effect.fail(badKey(operation, key))

/** Whether it starts past the end is for the store to say, who knows the size. */
const checkRange = (key: string, range: ByteRange | undefined) => {
  if (range === undefined) return Effect.void
  const { start, end = Number.MAX_SAFE_INTEGER } = range
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start
    ? Effect.void
    : Effect.fail(refusal("InvalidRange", "get", key, `${start}–${end} is no range of bytes; ask for 0 ≤ start ≤ end.`))
}

/** The body, failing with `BodyFailed` as soon as it is longer than declared, or at its end when it is shorter. */
const sizedBody = <E>(
  operation: string,
  key: string,
  body: Stream.Stream<Uint8Array, E>,
  size: number | undefined
): Stream.Stream<Uint8Array, E | BlobStoreError> =>
  size === undefined
    ? body
    : Stream.suspend(() => {
        let seen = 0
        const wrong = (than: string) =>
          refusal(
            "BodyFailed",
            operation,
            key,
            `The body is ${than} than the ${size} bytes declared and nothing was stored; send it with its real size.`
          )
        const counted = Stream.mapEffect(body, (chunk) => {
          seen += chunk.byteLength
          return seen > size ? Effect.fail(wrong("longer")) : Effect.succeed(chunk)
        })
        return Stream.concat(
          counted,
          Stream.suspend(() => (seen < size ? Stream.fail(wrong("shorter")) : Stream.empty))
        )
      })

/** A key of its own, so that replicas that check at the same moment do not take away each other's blob. */
const roundTrip = (store: BlobStoreMethods) =>
  Effect.suspend(() => {
    const key = `.mahalla-check-${globalThis.crypto.randomUUID()}`
    return store
      .put(key, Stream.make(new TextEncoder().encode("ok")))
      .pipe(Effect.andThen(Stream.runDrain(store.get(key))), Effect.ensuring(Effect.ignore(store.delete(key))))
  })

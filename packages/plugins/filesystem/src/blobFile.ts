/**
 * One file per blob: its bytes, then 512 bytes that hold the content type. Both stand and fall together, which a second file beside the
 * first could not promise, and the size of a blob is known without opening it.
 */
import { open, type FileHandle } from "node:fs/promises"
import type { BlobStoreError, ByteRange } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { attempt, refusal } from "./errors.ts"

/** Bytes at the end of a file that are not the blob's. */
export const trailerSize = 512
const magic = Buffer.from("mahalla-blob")
const lengthAt = trailerSize - magic.length - 2
const pieceSize = 256 * 1024

/** Undefined: the content type is longer than the 498 bytes there are. */
export const makeTrailer = (contentType: string): Buffer | undefined => {
  const type = Buffer.from(contentType)
  if (type.length > lengthAt) return undefined
  const trailer = Buffer.alloc(trailerSize)
  type.copy(trailer)
  trailer.writeUInt16BE(type.length, lengthAt)
  magic.copy(trailer, lengthAt + 2)
  return trailer
}

/** Writes the body and its trailer to a new file and has the disk keep them; returns the body's size. */
export const writeBlob = (
  path: string,
  key: string,
  body: Stream.Stream<Uint8Array, BlobStoreError>,
  trailer: Uint8Array
) => {
  const io = attempt("put", key)
  return Effect.acquireUseRelease(
    io(() => open(path, "wx", 0o600)),
    (file) =>
      Effect.gen(function* () {
        let size = 0
        yield* Stream.runForEach(body, (chunk) => {
          size += chunk.length
          return io(() => file.appendFile(chunk))
        })
        yield* io(() => file.appendFile(trailer))
        yield* io(() => file.sync())
        return size
      }),
    (file) => Effect.ignore(io(() => file.close()))
  )
}

/** An open blob's size, and its content type. */
const inspect = Effect.fnUntraced(function* (file: FileHandle, operation: string, key: string) {
  const io = attempt(operation, key)
  const { size } = yield* io(() => file.stat())
  const trailer = Buffer.alloc(trailerSize)
  if (size >= trailerSize) yield* io(() => file.read(trailer, 0, trailerSize, size - trailerSize))
  if (!trailer.subarray(lengthAt + 2).equals(magic))
    return yield* refusal(
      "Unavailable",
      operation,
      key,
      "The blob's file was cut short or changed by another program; restore it from a backup."
    )
  const contentType = trailer.toString("utf8", 0, trailer.readUInt16BE(lengthAt))
  return { key, size: size - trailerSize, contentType }
})

const opened = (path: string, operation: string, key: string) =>
  Effect.acquireRelease(
    attempt(operation, key)(() => open(path, "r")),
    (file) => Effect.promise(() => file.close())
  )

export const headBlob = (path: string, key: string) =>
  Effect.scoped(Effect.flatMap(opened(path, "head", key), (file) => inspect(file, "head", key)))

/** The file stays open until the stream ends, so a blob that is replaced meanwhile is read as it was. */
export const readBlob = (
  path: string,
  key: string,
  range: ByteRange | undefined
): Stream.Stream<Uint8Array, BlobStoreError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const file = yield* opened(path, "get", key)
      const { size } = yield* inspect(file, "get", key)
      if (range !== undefined && range.start >= size)
        return yield* refusal("InvalidRange", "get", key, `The blob has ${size} bytes; start below that.`)
      const end = Math.min(size, (range?.end ?? size) + 1)
      return Stream.unfold(range?.start ?? 0, (at) => {
        if (at >= end) return Effect.succeed(undefined)
        const piece = Buffer.allocUnsafeSlow(Math.min(pieceSize, end - at))
        return Effect.flatMap(
          attempt("get", key)(() => file.read(piece, 0, piece.length, at)),
          ({ bytesRead }) =>
            bytesRead > 0
              ? Effect.succeed([piece.subarray(0, bytesRead), at + bytesRead] as const)
              : Effect.fail(
                  refusal("Unavailable", "get", key, "The blob's file was cut short; restore it from a backup.")
                )
        )
      })
    })
  )

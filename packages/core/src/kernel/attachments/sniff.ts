/** What a file is, told by its bytes. Whatever the sender calls it does not count. */
import * as Effect from "effect/Effect"

/** So many leading bytes decide. */
export const headSize = 64 * 1024

/** A ZIP's last record may be followed by a comment of 65,535 bytes. */
export const tailSize = 22 + 65_535

/** Other names of a type, and variants that every player of the type plays. */
const aliases: Readonly<Record<string, string>> = {
  "video/MP1S": "video/mpeg",
  "video/MP2P": "video/mpeg",
  "video/x-m4v": "video/mp4",
  "video/x-matroska": "video/matroska",
  "video/3gpp2": "video/3gpp",
  "video/avi": "video/vnd.avi",
  "video/x-msvideo": "video/vnd.avi",
  "image/heif": "image/heic",
  "image/heic-sequence": "image/heic",
  "image/heif-sequence": "image/heic"
}

export const canonicalType = (mediaType: string): string => aliases[mediaType] ?? mediaType

/** The type that the leading bytes show; undefined when they show none. */
export const sniff = (head: Uint8Array): Effect.Effect<string | undefined> =>
  // Loaded with the first file, not with the engine.
  Effect.promise(() => import("file-type")).pipe(
    Effect.flatMap(({ fileTypeFromBuffer }) => Effect.promise(() => fileTypeFromBuffer(head).catch(() => undefined))),
    Effect.map((found) => (found === undefined ? undefined : canonicalType(found.mime)))
  )

/** The engine's word for an original of a type. */
export const kindOf = (mediaType: string): string => {
  const family = mediaType.split("/")[0]
  return family === "video" || family === "image" || family === "audio" ? family : "document"
}

const contains = (bytes: Uint8Array, text: string) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(text)

/** A ZIP ends with its record of the central directory, whose comment reaches exactly to the end of the file. */
const endsAsZip = (tail: Uint8Array): boolean => {
  const view = Buffer.from(tail.buffer, tail.byteOffset, tail.length)
  for (
    let at = view.lastIndexOf("PK\u0005\u0006");
    at >= 0;
    at = at === 0 ? -1 : view.lastIndexOf("PK\u0005\u0006", at - 1)
  )
    if (at + 22 <= view.length && at + 22 + view.readUInt16LE(at + 20) === view.length) return true
  return false
}

/**
 * Types that the same bytes could pass for elsewhere: a polyglot. The leading bytes decide what it is; this is a note for those who
 * look at it.
 */
export const otherTypes = (mediaType: string, head: Uint8Array, tail: Uint8Array): ReadonlyArray<string> => {
  const found: Array<string> = []
  const start = head.subarray(0, 1024)
  // Readers of PDF accept the header anywhere in the first kilobyte.
  if (mediaType !== "application/pdf" && contains(start, "%PDF-")) found.push("application/pdf")
  if (contains(start, "<html") || contains(start, "<script")) found.push("text/html")
  if (endsAsZip(tail)) found.push("application/zip")
  return found
}

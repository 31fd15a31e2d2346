/** Answers that carry a stored file, whole or in part (RFC 9110, section 14). */
import type * as Stream from "effect/Stream"
import type { BlobStoreError, ByteRange } from "../../ports/BlobStore.ts"
import type { Attachment } from "./model.ts"

export interface Download {
  readonly attachment: Attachment
  /** 200 for the whole file, 206 for a part. */
  readonly status: 200 | 206
  readonly headers: Readonly<Record<string, string>>
  readonly stream: Stream.Stream<Uint8Array, BlobStoreError>
}

/**
 * The bytes that a `Range` header asks for: `undefined` is the whole file, also where the header asks for several ranges or makes no
 * sense, which a server may ignore.
 */
export const parseRange = (
  header: string | undefined,
  size: number
): { readonly start: number; readonly end: number } | undefined | "unsatisfiable" => {
  const parts = /^bytes=\s*(\d{0,15})-(\d{0,15})$/i.exec(header?.trim() ?? "")
  if (parts === null || (parts[1] === "" && parts[2] === "")) return undefined
  if (parts[1] === "") {
    const last = Number(parts[2])
    return last === 0 ? "unsatisfiable" : { start: Math.max(0, size - last), end: size - 1 }
  }
  const start = Number(parts[1])
  const end = parts[2] === "" ? size - 1 : Math.min(Number(parts[2]), size - 1)
  if (parts[2] !== "" && Number(parts[2]) < start) return undefined
  return start >= size ? "unsatisfiable" : { start, end }
}

/** RFC 8187: names in any script. */
const extended = (name: string) =>
  encodeURIComponent(name).replaceAll(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

export const downloadOf = (
  attachment: Attachment,
  range: ByteRange | undefined,
  stream: Stream.Stream<Uint8Array, BlobStoreError>
): Download => {
  const { mediaType, sha256, size } = attachment
  const end = range?.end ?? size - 1
  const start = range?.start ?? 0
  // Players show pictures and films in place; anything else is a download, never a page of ours.
  const disposition = /^(video|image|audio)\//.test(mediaType ?? "") ? "inline" : "attachment"
  return {
    attachment,
    status: range === undefined ? 200 : 206,
    headers: {
      "content-type": mediaType ?? "application/octet-stream",
      "content-length": String(end - start + 1),
      "accept-ranges": "bytes",
      etag: `"${sha256}"`,
      "content-disposition":
        attachment.name === null ? disposition : `${disposition}; filename*=UTF-8''${extended(attachment.name)}`,
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
      ...(range === undefined ? {} : { "content-range": `bytes ${start}-${end}/${size}` })
    },
    stream
  }
}

/**
 * Addresses that a browser can use without us, until they expire.
 */
import { GetObjectCommand } from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import type { BlobStoreDerived } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type { Bucket } from "./Bucket.ts"
import { fromServer, refusal } from "./errors.ts"

/** Signature version 4 allows seven days. */
const longest = 7 * 24 * 60 * 60

/** RFC 6266, with the name in UTF-8 and a plain one for old clients. */
const attachment = (name: string) => {
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, "_")
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}

export const makePresign =
  (bucket: Bucket): BlobStoreDerived["presign"] =>
  (key, { expiresIn, downloadName }) => {
    const seconds = Math.ceil(expiresIn / 1000)
    if (!(seconds >= 1 && seconds <= longest))
      return Effect.fail(
        refusal("Unsupported", "presign", key, "An address may live for 1 millisecond to 7 days; ask for such a time.")
      )
    const command = new GetObjectCommand({
      ...bucket.at(key),
      ...(downloadName === undefined ? {} : { ResponseContentDisposition: attachment(downloadName) })
    })
    return Effect.tryPromise({
      try: () => getSignedUrl(bucket.client, command, { expiresIn: seconds }),
      catch: fromServer("presign", key)
    })
  }

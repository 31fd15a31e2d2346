/**
 * What an S3 server says, in the port's words.
 */
import { S3ServiceException } from "@aws-sdk/client-s3"
import { BlobStoreError, type BlobStoreReason } from "@mahalla/core/plugin"

type Words = readonly [reason: BlobStoreReason, message: string, retryable: boolean]

const byName: Readonly<Record<string, Words>> = {
  NoSuchBucket: ["Unavailable", "The bucket is gone; create it again or correct the configuration.", false],
  NoSuchUpload: ["Unavailable", "The server forgot the upload before it was complete; try again.", true],
  QuotaExceeded: ["Full", "The bucket's quota is used up; raise it or delete something.", false],
  EntityTooLarge: ["Full", "The server takes no body of this size; raise its limit.", false],
  XMinioStorageFull: ["Full", "The server's disks are full; add space, then try again.", false],
  RequestTimeTooSkewed: ["Unauthorized", "This machine's clock and the server's differ; set the clock.", false],
  RequestTimeout: ["Unavailable", "The server waited too long for the body; try again.", true],
  TimeoutError: ["Unavailable", "The server did not answer in time; try again.", true],
  ConditionalRequestConflict: ["Unavailable", "Another request changed the blob at the same moment; try again.", true]
}

const unauthorized =
  "The server refused these credentials or this action; correct accessKeyId and secretAccessKey, or allow the user to " +
  "get, put, delete and list in the bucket."

const byStatus: Readonly<Record<number, Words>> = {
  401: ["Unauthorized", unauthorized, false],
  403: ["Unauthorized", unauthorized, false],
  404: ["NotFound", "There is no such blob; check the key.", false],
  409: ["Unavailable", "Another request changed the blob at the same moment; try again.", true],
  412: ["AlreadyExists", "There is a blob under this key already; take another key.", false],
  416: ["InvalidRange", "The blob ends before the range begins; ask for less.", false],
  429: ["Unavailable", "The server asks for fewer requests; try again later.", true],
  507: ["Full", "The server's disks are full; add space, then try again.", false]
}

const wordsFor = (cause: unknown): Words => {
  const name = cause instanceof Error ? cause.name : ""
  const status = cause instanceof S3ServiceException ? cause.$metadata.httpStatusCode : undefined
  const known = byName[name] ?? (status === undefined ? undefined : byStatus[status])
  if (known !== undefined) return known
  const said = cause instanceof Error ? `${name}: ${cause.message}` : String(cause)
  // Without a status there was no answer: refused connections, unknown hosts, broken sockets.
  return status === undefined || status >= 500
    ? ["Unavailable", `The server could not be reached or failed (${said}); check that it runs, then try again.`, true]
    : ["Unavailable", `The server refused the request (${said}); check the configuration and the server's log.`, false]
}

export const refusal = (
  reason: BlobStoreReason,
  operation: string,
  key: string,
  message: string,
  retryable = false,
  cause?: unknown
) => new BlobStoreError({ reason, operation, subject: key, message, retryable, cause })

export const fromServer = (operation: string, key: string) => (cause: unknown) => {
  // The whole answer with its socket and the request would follow the error into every log.
  if (cause instanceof S3ServiceException) Reflect.deleteProperty(cause, "$response")
  const [reason, message, retryable] = wordsFor(cause)
  return refusal(reason, operation, key, message, retryable, cause)
}

/** The name that the server gave its error: `NoSuchUpload`. */
export const serverName = (error: BlobStoreError): string => (error.cause instanceof Error ? error.cause.name : "")

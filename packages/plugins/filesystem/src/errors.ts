/**
 * What the operating system says, in the port's words.
 */
import { BlobStoreError, type BlobStoreReason } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"

const known: Readonly<Record<string, readonly [BlobStoreReason, string, boolean]>> = {
  ENOENT: ["NotFound", "There is no such blob; check the key.", false],
  EEXIST: ["AlreadyExists", "There is a blob under this key already; take another key.", false],
  ENOSPC: ["Full", "The disk is full; free some space, then try again.", false],
  EDQUOT: ["Full", "The disk quota is used up; raise it or free some space, then try again.", false],
  EFBIG: ["Full", "The file system or a limit of the process allows no file of this size; raise the limit.", false],
  EACCES: ["Unauthorized", "The folder may not be used by this user; correct its owner or rights.", false],
  EPERM: ["Unauthorized", "The folder may not be used by this user; correct its owner or rights.", false],
  EROFS: ["Unauthorized", "The file system is mounted read-only; mount it for writing.", false],
  EMFILE: ["Unavailable", "Too many files are open; raise the limit of open files if this stays.", true],
  ENFILE: ["Unavailable", "Too many files are open; raise the limit of open files if this stays.", true],
  EBUSY: ["Unavailable", "The file is in use; try again.", true]
}

/** The error code of a system call: `ENOENT`. */
export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

export const refusal = (
  reason: BlobStoreReason,
  operation: string,
  key: string,
  message: string,
  retryable = false,
  cause?: unknown
) => new BlobStoreError({ reason, operation, subject: key, message, retryable, cause })

/** Runs calls of the file system; `attempt("put", key)(() => rename(a, b))`. */
export const attempt =
  (operation: string, key: string) =>
  <A>(call: () => Promise<A>): Effect.Effect<A, BlobStoreError> =>
    Effect.tryPromise({
      try: call,
      catch: (cause) => {
        const code = codeOf(cause)
        const [reason, message, retryable] = known[code] ?? [
          "Unavailable" as const,
          `The file system refused with ${code === "" ? String(cause) : code}; check the disk.`,
          false
        ]
        return refusal(reason, operation, key, message, retryable, cause)
      }
    })

/** Whether an error came from this system code. */
export const isCode = (error: BlobStoreError, ...codes: ReadonlyArray<string>): boolean =>
  codes.includes(codeOf(error.cause))

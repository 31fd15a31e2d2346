/**
 * Failures of the embedded PostgreSQL, all as the Storage port's own error, and the one bridge from promises to them.
 */
import { StorageError, type StorageReason } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"

/** `message` says what happened and what to do next. */
export const failure = (reason: StorageReason, subject: string, message: string, cause?: unknown): StorageError =>
  new StorageError({
    reason,
    operation: "launch",
    subject,
    message,
    retryable: reason === "Unavailable",
    ...(cause === undefined ? {} : { cause })
  })

const code = (cause: unknown): string | undefined => (cause as NodeJS.ErrnoException | undefined)?.code

/** Work on files; what goes wrong is said of `subject`, with the system's own words. */
export const attempt = <A>(subject: string, run: () => Promise<A>): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => {
      if (cause instanceof StorageError) return cause
      const said = cause instanceof Error ? cause.message : String(cause)
      return code(cause) === "ENOSPC"
        ? failure(
            "Full",
            subject,
            `No space is left for ${subject}. Free some space on that disk and start again.`,
            cause
          )
        : failure(
            "DataFolder",
            subject,
            `Could not work on ${subject}: ${said}. Check who owns the folder and whether it may be written, then start again.`,
            cause
          )
    }
  })

/** The value, or `undefined` where there is no such file. */
export const orAbsent = <A>(promise: Promise<A>): Promise<A | undefined> =>
  promise.catch((cause: unknown) => {
    if (code(cause) === "ENOENT" || code(cause) === "ENOTDIR") return undefined
    throw cause
  })

/**
 * What the database driver says, in the Storage port's words. No address with a password ever enters a message.
 */
import { StorageError, type StorageReason } from "@mahalla/core/plugin"
import type { SqlError } from "effect/sql/SqlError"

const reasons: Partial<Record<string, readonly [StorageReason, string]>> = {
  AuthenticationError: ["Unauthorized", "Check the user and the password in the address."],
  AuthorizationError: ["Unauthorized", "Give this role the right, or use the role that owns the database."],
  ConnectionError: ["Unavailable", "Check that PostgreSQL runs there and that its host and port are right."]
}

/** SQLSTATE of class 53: no room, no memory, too many connections. */
const code = (error: SqlError): string => {
  const cause = error.reason.cause as { readonly code?: unknown } | undefined
  return typeof cause?.code === "string" ? cause.code : ""
}

/** `subject`: host and database. */
export const storageError =
  (operation: string, subject: string) =>
  (error: SqlError): StorageError => {
    const state = code(error)
    const [reason, next] =
      state === "53100"
        ? (["Full", "Free some space on the server's disk."] as const)
        : state === "3D000"
          ? (["Unavailable", "Create that database, owned by the role in the address."] as const)
          : (reasons[error.reason._tag] ?? (["Unavailable", "Read the server's log."] as const))
    const said = error.reason.cause instanceof Error ? error.reason.cause.message : error.message
    return new StorageError({
      reason,
      operation,
      subject,
      message: `PostgreSQL at ${subject}: ${said}. ${next}`,
      retryable: reason === "Unavailable" && state !== "3D000",
      cause: error
    })
  }

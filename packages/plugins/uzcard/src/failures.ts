/** Errors of this rail, and which replies surely had no effect. */
import { PaymentsError, type PaymentsReason } from "@mahalla/core/plugin"
import type { Reply } from "./call.ts"
import { errors } from "./wire.ts"

const advice: Record<PaymentsReason, string> = {
  InvalidRequest: "Correct it and send it under a new id.",
  Unauthorized: "Check address, user and password of UzCard in the configuration.",
  Unavailable: "Nothing was done; try again later.",
  RateLimited: "Nothing was done; try again later."
}

export const failure = (reason: PaymentsReason, operation: string, subject: string, what: string, cause?: unknown) =>
  new PaymentsError({
    reason,
    operation,
    subject,
    message: `${what} ${advice[reason]}`,
    retryable: reason === "Unavailable" || reason === "RateLimited",
    ...(cause === undefined ? {} : { cause })
  })

/** A reply that the contract calls "not looked at", if it is one. */
export const refusalOf = (operation: string, subject: string, reply: Reply<unknown>): PaymentsError | undefined => {
  switch (reply.type) {
    case "unsent":
      return reply.forbidden
        ? failure("Unauthorized", operation, subject, "The city's rules let nothing go to that address.", reply.cause)
        : failure("Unavailable", operation, subject, "UzCard cannot be reached.", reply.cause)
    case "status":
      return reply.status === 429
        ? failure("RateLimited", operation, subject, `UzCard takes the next request in ${reply.retryAfter} s.`)
        : failure("Unauthorized", operation, subject, "UzCard does not know us.")
    case "error":
      if (errors.form.has(reply.code))
        return failure("InvalidRequest", operation, subject, "UzCard cannot do with the request.")
      if (errors.card.has(reply.code))
        return failure("InvalidRequest", operation, subject, "UzCard knows no such card, or it is blocked.")
      if (errors.closed.has(reply.code))
        return failure("Unavailable", operation, subject, "UzCard is closed for the moment.")
      return undefined
    default:
      return undefined
  }
}

/** For questions that change nothing: whatever is no answer is worth another try. */
export const unanswered = (operation: string, subject: string, reply: Reply<unknown>) =>
  refusalOf(operation, subject, reply) ??
  failure("Unavailable", operation, subject, "The answer of UzCard was lost or could not be read.")

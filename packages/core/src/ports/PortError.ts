/**
 * The one shape of every port's error. Each port has a single error class with a closed `reason`, so that callers
 * branch on a word and operators read a sentence that ends with the next step.
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"

export interface PortErrorFields<Reason extends string> {
  /** Why it failed, from the port's closed list. */
  readonly reason: Reason
  /** The port's method, as in `put`. */
  readonly operation: string
  /** What it was done to: a key, an id, a file name. Never a secret or a phone number. */
  readonly subject: string
  /** What happened and what to do next, for the person who reads it. */
  readonly message: string
  /** Whether the same call may succeed later without anybody's help. */
  readonly retryable: boolean
  readonly cause?: unknown
}

export interface PortErrorClass<Tag extends string> {
  new <Reason extends string>(
    fields: PortErrorFields<Reason>
  ): Cause.YieldableError & { readonly _tag: Tag } & Readonly<PortErrorFields<Reason>>
}

/**
 * Makes the base class of a port's error.
 *
 * @example class QueueError extends PortError("QueueError")<"Unavailable" | "Conflict"> {}
 */
export const PortError = <const Tag extends string>(tag: Tag): PortErrorClass<Tag> => {
  class Base extends Data.Error<PortErrorFields<string>> {
    readonly _tag = tag
    override readonly name = tag
  }
  return Base as never
}

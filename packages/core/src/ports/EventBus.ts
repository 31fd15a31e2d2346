/**
 * Live fan-out between the replicas of one server: "there is something new", best effort. Nothing depends on it for truth:
 * who hears a `gap`, or starts, reads the event order from where it stood.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { PortError } from "./PortError.ts"

export type EventBusReason = "TooLarge" | "InvalidChannel" | "Unavailable"

export class EventBusError extends PortError("EventBusError")<EventBusReason> {}

/** `gap`: the connection was lost in between; messages may be missing. */
export type BusSignal = { readonly type: "message"; readonly body: string } | { readonly type: "gap" }

export class EventBus extends Context.Service<
  EventBus,
  {
    /** To every subscriber of the channel in every process, also this one. Channel: `[a-z0-9_]{1,40}`; body: at most 4,000 bytes of UTF-8. */
    readonly publish: (channel: string, body: string) => Effect.Effect<void, EventBusError>
    /**
     * Succeeds when the subscription stands: what is published afterwards is heard, in the publisher's order, until the scope
     * closes. The stream reconnects by itself and says `gap` each time.
     */
    readonly subscribe: (channel: string) => Effect.Effect<Stream.Stream<BusSignal>, EventBusError, Scope.Scope>
  }
>()("@mahalla/ports/EventBus") {}

const channelPattern = /^[a-z0-9_]{1,40}$/
const utf8 = new TextEncoder()

/** What every bus refuses, before it asks anybody: a bad channel name, or a body that is too long. */
export const checkBusMessage = (operation: string, channel: string, body = ""): EventBusError | undefined => {
  const refuse = (reason: EventBusReason, message: string) =>
    new EventBusError({ reason, operation, subject: channel, message, retryable: false })
  if (!channelPattern.test(channel))
    return refuse(
      "InvalidChannel",
      `"${channel}" is no channel name. Use 1 to 40 of lower-case letters, digits and "_".`
    )
  const size = body.length > 4_000 ? body.length : utf8.encode(body).byteLength
  if (size > 4_000)
    return refuse(
      "TooLarge",
      `A message of ${size} bytes is longer than the 4,000 of the bus. Publish an id, and let the hearer read the rest.`
    )
  return undefined
}

/**
 * A channel in memory that keeps its messages and can be told to misbehave. For tests of whatever notifies through the port.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import {
  Messenger,
  MessengerError,
  messageMistake,
  type KeptMessage,
  type Message,
  type MessengerReason,
  type SendOutcome
} from "../ports/Messenger.ts"
import { MessengerControl, type MessengerFault } from "./Messenger.suite.ts"

const fail = (reason: MessengerReason, subject: string, message: string) =>
  new MessengerError({ reason, operation: "send", subject, message, retryable: reason !== "InvalidRequest" })

const make = Effect.sync(() => {
  const kept: Array<KeptMessage> = []
  const faults: Array<MessengerFault> = []

  const send = Effect.fn("Messenger.send")(function* (message: Message): Effect.fn.Return<SendOutcome, MessengerError> {
    const wrong = messageMistake(message)
    if (wrong !== undefined) return yield* fail("InvalidRequest", message.id, wrong)
    const at = yield* Clock.currentTimeMillis
    if (message.expiresAt !== undefined && message.expiresAt <= at)
      return { state: "refused", code: "expired", message: "The message had expired before it was sent." }
    const fault = faults.shift()
    if (fault === "rate-limited") return yield* fail("RateLimited", message.id, "Too many messages; try later.")
    if (fault === "unavailable") return yield* fail("Unavailable", message.id, "The channel is away; try later.")
    if (fault === "refused") return { state: "refused", code: "blocked", message: "The recipient is blocked." }
    if (fault === "lost-before") return { state: "unknown", message: "The answer was lost." }
    const known = kept.find((one) => one.id === message.id)
    if (known !== undefined && (known.text !== message.text || known.to !== message.to))
      return yield* fail("InvalidRequest", message.id, "This id was used for another message; take a new one.")
    if (known === undefined) kept.push({ ...message, at })
    if (fault === "lost-after") return { state: "unknown", message: "The answer was lost." }
    return { state: "accepted", reference: message.id }
  })

  const messenger = Messenger.of({
    channel: "outbox",
    send,
    receipts: Stream.never,
    outbox: ({ tenantId, to, after, limit = 50 }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const from = after === undefined ? 0 : kept.findIndex((one) => one.id === after) + 1
        const shown = kept
          .slice(from)
          .filter((one) => tenantId === undefined || one.tenantId === tenantId)
          .filter((one) => (to === undefined || one.to === to) && (one.expiresAt ?? Infinity) > now)
        return after === undefined ? shown.slice(-limit) : shown.slice(0, limit)
      })
  })
  const control = MessengerControl.of({
    next: (fault) => Effect.sync(() => void faults.push(fault)),
    delivered: (to) => Effect.sync(() => kept.filter((one) => one.to === to))
  })
  return Context.make(Messenger, messenger).pipe(Context.add(MessengerControl, control))
})

/** Accepts any address that is not empty. Everything is forgotten with the layer. */
export const memoryMessenger = (): Layer.Layer<Messenger | MessengerControl> => Layer.effectContext(make)

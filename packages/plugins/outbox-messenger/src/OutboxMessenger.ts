/**
 * A channel that carries messages no further than its own files, where people read them.
 */
import {
  Messenger,
  MessengerError,
  messageMistake,
  type Message,
  type MessengerReason,
  type SendOutcome
} from "@mahalla/core/plugin"
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { OutboxConfig } from "./config.ts"
import { OutboxWriter } from "./files.ts"
import { readOutbox } from "./readOutbox.ts"

/** Life of a one-time code whose message does not say when it expires. */
const codeLife = 600_000

const failure = (reason: MessengerReason, subject: string, message: string, cause?: unknown) =>
  new MessengerError({
    reason,
    operation: "send",
    subject,
    message,
    retryable: reason === "Unavailable",
    ...(cause === undefined ? {} : { cause })
  })

const digestOf = ({ to, subject, text, language, class: kind }: Message) =>
  createHash("sha256")
    .update(JSON.stringify([to, subject ?? null, text, language, kind]))
    .digest("base64")

export const makeMessenger = Effect.fnUntraced(function* (
  home: string,
  mode: "dev" | "production",
  config: OutboxConfig
) {
  const known = new Map<string, string>()
  const writer = new OutboxWriter(home, (message) => void known.set(message.id, digestOf(message)))
  const unavailable = (subject: string) => (cause: unknown) =>
    failure("Unavailable", subject, "The outbox cannot be written; check the disk and the rights of its folder.", cause)
  yield* Effect.tryPromise({ try: () => writer.start(), catch: unavailable(home) })
  const one = yield* Semaphore.make(1)

  const keep = Effect.fnUntraced(function* (message: Message, at: number) {
    yield* Effect.tryPromise({ try: () => writer.follow(), catch: unavailable(message.id) })
    const before = known.get(message.id)
    if (before !== undefined && before !== digestOf(message))
      return yield* failure("InvalidRequest", message.id, "This id was used for another message; take a new one.")
    if (before === undefined) {
      const expiresAt = message.expiresAt ?? (message.class === "code" ? at + codeLife : undefined)
      const kept = { ...message, at, ...(expiresAt === undefined ? {} : { expiresAt }) }
      yield* Effect.tryPromise({ try: () => writer.append(kept, config), catch: unavailable(message.id) })
    }
    return { state: "accepted", reference: message.id } satisfies SendOutcome
  })

  return Messenger.of({
    channel: "outbox",
    send: Effect.fn("Messenger.send")(function* (message): Effect.fn.Return<SendOutcome, MessengerError> {
      const wrong = messageMistake(message)
      if (wrong !== undefined) return yield* failure("InvalidRequest", message.id, wrong)
      const at = yield* Clock.currentTimeMillis
      if (message.expiresAt !== undefined && message.expiresAt <= at)
        return { state: "refused", code: "expired", message: "The message had expired before it was sent." }
      if (message.class === "code" && mode === "production" && !config.codes)
        return {
          state: "refused",
          code: "codes-off",
          message:
            "The outbox keeps no one-time codes in production. Add an SMS or e-mail channel, or set `codes` so that staff can read them on the server."
        }
      // A begun write goes on when its caller is interrupted; nobody else may write into the middle of it.
      return yield* Effect.uninterruptible(one.withPermits(1)(keep(message, at)))
    }),
    receipts: Stream.never,
    // Whoever may see this on a screen must not be able to sign in as somebody else.
    outbox: (query) => readOutbox(home, query, mode === "production" ? "withoutCodes" : "all")
  })
})

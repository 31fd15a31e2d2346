import { definePlugin, messageMistake, Messenger, MessengerError, type MessengerReason } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const Config = Schema.Struct({
  url: Schema.String,
  token: Schema.RedactedFromValue(Schema.NonEmptyString)
})

const failure = (reason: MessengerReason, id: string, message: string) =>
  new MessengerError({ reason, operation: "send", subject: id, message, retryable: reason !== "InvalidRequest" })

const make = ({ url, token }: typeof Config.Type) =>
  Messenger.of({
    channel: "sms",
    send: Effect.fn("Messenger.send")(function* (message) {
      const mistake = messageMistake(message)
      if (mistake !== undefined) return yield* failure("InvalidRequest", message.id, mistake)
      const now = yield* Clock.currentTimeMillis
      if (message.expiresAt !== undefined && message.expiresAt <= now)
        return { state: "refused", code: "expired", message: "It had expired before it was sent." }
      const response = yield* Effect.tryPromise((signal) =>
        fetch(`${url}/messages/${message.id}`, {
          method: "PUT",
          headers: { authorization: `Bearer ${Redacted.value(token)}` },
          body: JSON.stringify({ to: message.to, text: message.text }),
          signal
        }).then(async (answer) => ({ status: answer.status, body: answer.ok ? await answer.json() : undefined }))
      ).pipe(
        Effect.timeout("5 seconds"),
        Effect.catch(() => Effect.succeed({ status: 0, body: undefined }))
      )
      switch (response.status) {
        case 200:
          return { state: "accepted", reference: String((response.body as { reference: unknown }).reference) }
        case 409:
          return yield* failure("InvalidRequest", message.id, "This id was used for another text.")
        case 422:
          return { state: "refused", code: "recipient", message: "The gateway says no." }
        case 429:
          return yield* failure("RateLimited", message.id, "The gateway wants a pause; try later.")
        case 503:
          return yield* failure("Unavailable", message.id, "The gateway is closed; try later.")
        default:
          return { state: "unknown", message: "The gateway's answer was lost." }
      }
    }),
    receipts: Stream.never
  })

export const townSmsEffect = definePlugin({
  id: "@town/sms-effect",
  apiVersion: 1,
  config: Config,
  provides: [Messenger],
  layer: (config) => Layer.succeed(Messenger, make(config))
})

import {
  definePluginAsync,
  messageMistake,
  Messenger,
  MessengerError,
  type MessengerReason
} from "@mahalla/core/plugin"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const failure = (reason: MessengerReason, id: string, message: string) =>
  new MessengerError({ reason, operation: "send", subject: id, message, retryable: reason !== "InvalidRequest" })

export const townSms = definePluginAsync({
  id: "@town/sms",
  apiVersion: 1,
  config: Schema.Struct({
    url: Schema.String,
    token: Schema.RedactedFromValue(Schema.NonEmptyString)
  }),
  provides: Messenger,
  create: async ({ url, token }) => ({
    channel: "sms",
    send: async (message, signal) => {
      const mistake = messageMistake(message)
      if (mistake !== undefined) throw failure("InvalidRequest", message.id, mistake)
      if (message.expiresAt !== undefined && message.expiresAt <= Date.now())
        return { state: "refused", code: "expired", message: "It had expired before it was sent." }
      const response = await fetch(`${url}/messages/${message.id}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${Redacted.value(token)}` },
        body: JSON.stringify({ to: message.to, text: message.text }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)])
      })
      if (response.status === 409) throw failure("InvalidRequest", message.id, "This id was used for another text.")
      if (response.status === 429) throw failure("RateLimited", message.id, "The gateway wants a pause; try later.")
      if (response.status === 503) throw failure("Unavailable", message.id, "The gateway is closed; try later.")
      if (response.status === 422) return { state: "refused", code: "recipient", message: "The gateway says no." }
      const { reference } = (await response.json()) as { reference: string }
      return { state: "accepted", reference }
    },
    // This gateway tells nothing about delivery: open until nobody listens.
    receipts: async function* (signal) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve))
    }
  })
})

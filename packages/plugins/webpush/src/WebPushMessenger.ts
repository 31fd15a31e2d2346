/**
 * Web Push: a message is encrypted for one browser and left at the push service that the browser has named. The address is a stranger's
 * word, so it is reached through the host's guard. A repeat has the same Topic: what the browser has not fetched yet is replaced.
 */
import { Buffer } from "node:buffer"
import {
  HostOutward,
  type Message,
  Messenger,
  MessengerError,
  type MessengerReason,
  sendOnce,
  type SendOutcome
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import webPush from "web-push"
import type { WebPushConfig } from "./config.ts"

/** What `PushSubscription.toJSON()` gives. */
const Subscription = Schema.fromJsonString(
  Schema.Struct({
    endpoint: Schema.String.check(Schema.isPattern(/^https?:\/\/\S{1,2000}$/)),
    keys: Schema.Struct({ p256dh: Schema.NonEmptyString, auth: Schema.NonEmptyString })
  })
)

/** Seconds that a push service keeps a message which does not say when it expires. */
const lives = { code: 600, notice: 259_200, bulk: 259_200 } as const
const urgencies = { code: "high", notice: "normal", bulk: "low" } as const
/** Bytes that every push service takes, encrypted. */
const mostBytes = 3_000

const failure = (reason: MessengerReason, subject: string, message: string) =>
  new MessengerError({
    reason,
    operation: "send",
    subject,
    message,
    retryable: reason === "Unavailable" || reason === "RateLimited"
  })

const gone = (code: string, message: string): SendOutcome => ({ state: "refused", code, message, gone: true })

/** What the service worker of the app shows; a text that is too long ends with an ellipsis, and the whole of it stands behind the link. */
export const payloadOf = ({ id, language, link, subject, text }: Message): string => {
  const made = (body: string) =>
    JSON.stringify({
      id,
      language,
      ...(subject === undefined ? {} : { title: subject }),
      body,
      ...(link === undefined ? {} : { link })
    })
  const characters = [...text]
  let payload = made(text)
  while (Buffer.byteLength(payload) > mostBytes && characters.length > 0) {
    characters.length = Math.floor(characters.length * 0.9)
    payload = made(`${characters.join("")}…`)
  }
  return payload
}

const judge = (
  id: string,
  status: number,
  retryAfter: number | undefined
): Effect.Effect<SendOutcome, MessengerError> => {
  const said = `The push service answered ${status}`
  if (status === 404 || status === 410)
    return Effect.succeed(gone(`${status}`, `${said}: the browser has ended its subscription.`))
  if (status === 413)
    return Effect.succeed({ state: "refused", code: "413", message: `${said}: the message is too long.` })
  if (status === 429) {
    const when = retryAfter === undefined ? "later" : `in ${retryAfter} s`
    return Effect.fail(failure("RateLimited", id, `${said}; try again ${when}.`))
  }
  if (status === 401 || status === 403)
    return Effect.fail(
      failure(
        "Unauthorized",
        id,
        `${said}. The browser has subscribed with another public key, or the keys are no pair.`
      )
    )
  if (status === 503) return Effect.fail(failure("Unavailable", id, `${said}; try again later.`))
  // A redirect is one as well: it leads where nobody was asked.
  if (status < 500)
    return Effect.succeed({ state: "refused", code: `${status}`, message: `${said} and refused the message.` })
  return Effect.succeed({ state: "unknown", message: `${said}, which tells nothing.` })
}

export const makeWebPush = Effect.fnUntraced(function* ({ contact, privateKey, publicKey }: WebPushConfig) {
  const outward = yield* HostOutward
  const vapidDetails = { subject: contact, publicKey, privateKey: Redacted.value(privateKey) }

  const hand = Effect.fnUntraced(function* (message: Message): Effect.fn.Return<SendOutcome, MessengerError> {
    const { class: kind, expiresAt, id } = message
    const none = gone("no-subscription", "The address is no subscription of a browser.")
    const subscription = Option.getOrUndefined(Schema.decodeUnknownOption(Subscription)(message.to))
    if (subscription === undefined) return none
    const now = yield* Clock.currentTimeMillis
    const made = yield* Effect.try(() =>
      webPush.generateRequestDetails(subscription, payloadOf(message), {
        vapidDetails,
        TTL: expiresAt === undefined ? lives[kind] : Math.max(0, Math.floor((expiresAt - now) / 1_000)),
        urgency: urgencies[kind],
        topic: Buffer.from(id.replaceAll("-", ""), "hex").toString("base64url")
      })
    ).pipe(Effect.option)
    // Its keys are no keys.
    if (Option.isNone(made)) return none
    const { body, endpoint, headers } = made.value
    const texts = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)])
    )
    return yield* outward.post({ url: endpoint, body: body ?? "", headers: texts }).pipe(
      Effect.mapError(({ cause, message: said, reason }) => ({
        code: (cause as { code?: string } | undefined)?.code,
        said,
        reason
      })),
      Effect.flatMap((answer) => {
        if (answer.status < 200 || answer.status > 299) return judge(id, answer.status, answer.retryAfter)
        const reference = answer.headers["location"]
        return Effect.succeed<SendOutcome>({
          state: "accepted",
          parts: 1,
          ...(reference === undefined ? {} : { reference })
        })
      }),
      Effect.catchIf(
        (error) => !(error instanceof MessengerError),
        ({ code, reason }): Effect.Effect<SendOutcome, MessengerError> => {
          if (reason === "Forbidden")
            return Effect.succeed(gone("forbidden-address", "The push service's address leads inside."))
          if (reason === "Unresolved" || code === "ECONNREFUSED")
            return Effect.fail(failure("Unavailable", id, "The push service cannot be reached; try again later."))
          return Effect.succeed({ state: "unknown", message: "The answer of the push service was lost." })
        }
      )
    )
  })

  return Messenger.of({ channel: "push", send: sendOnce(hand), receipts: Stream.never })
})

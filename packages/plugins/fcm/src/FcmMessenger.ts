/**
 * Messages to apps on phones by Firebase Cloud Messaging, HTTP v1. A repeat has the same tag: the phone shows it in place of the first. There
 * is no collapse key, of which FCM keeps four for each phone.
 */
import {
  HostOutward,
  type Message,
  Messenger,
  MessengerError,
  type MessengerReason,
  type OutwardAnswer,
  sendOnce,
  type SendOutcome
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { accessTokens } from "./accessToken.ts"
import type { FcmConfig } from "./config.ts"

/** Seconds that it waits for the phone where the message does not say. */
const lives = { code: 600, notice: 259_200, bulk: 259_200 } as const
/** Characters of a text; 4,096 bytes is all that FCM takes. */
const mostText = 1_000

const Taken = Schema.fromJsonString(Schema.Struct({ name: Schema.NonEmptyString }))
const Wrong = Schema.fromJsonString(
  Schema.Struct({
    error: Schema.Struct({
      status: Schema.optionalKey(Schema.String),
      details: Schema.optionalKey(Schema.Array(Schema.Struct({ errorCode: Schema.optionalKey(Schema.String) })))
    })
  })
)

const failure = (reason: MessengerReason, subject: string, message: string) =>
  new MessengerError({
    reason,
    operation: "send",
    subject,
    message,
    retryable: reason === "Unavailable" || reason === "RateLimited"
  })

const shortened = (text: string): string => {
  const characters = [...text]
  return characters.length <= mostText ? text : `${characters.slice(0, mostText - 1).join("")}…`
}

/** What the specification calls `Message`. */
const bodyOf = ({ class: kind, expiresAt, id, language, link, subject, text, to }: Message, now: number) => {
  const seconds = expiresAt === undefined ? lives[kind] : Math.max(0, Math.floor((expiresAt - now) / 1_000))
  const urgent = kind === "code"
  return {
    message: {
      token: to,
      notification: { ...(subject === undefined ? {} : { title: subject.slice(0, 200) }), body: shortened(text) },
      data: { id, language, ...(link === undefined ? {} : { link }) },
      android: {
        ttl: `${seconds}s`,
        priority: kind === "bulk" ? "NORMAL" : "HIGH",
        notification: { tag: id }
      },
      apns: {
        headers: {
          "apns-expiration": String(Math.floor(now / 1_000) + seconds),
          "apns-priority": urgent || kind === "notice" ? "10" : "5",
          "apns-collapse-id": id
        }
      }
    }
  }
}

const judge = (id: string, { body, retryAfter, status }: OutwardAnswer): Effect.Effect<SendOutcome, MessengerError> => {
  const error = Option.getOrUndefined(Schema.decodeUnknownOption(Wrong)(body))?.error
  const code =
    error?.details?.find(({ errorCode }) => errorCode !== undefined)?.errorCode ?? error?.status ?? String(status)
  const said = `FCM answered ${status} ${code}`
  if (code === "UNREGISTERED" || code === "SENDER_ID_MISMATCH")
    return Effect.succeed({
      state: "refused",
      code,
      message: `${said}: the app was removed, or is another one.`,
      gone: true
    })
  if (code === "QUOTA_EXCEEDED" || status === 429) {
    const when = retryAfter === undefined ? "later" : `in ${retryAfter} s`
    return Effect.fail(failure("RateLimited", id, `${said}; try again ${when}.`))
  }
  if (status === 401 || status === 403)
    return Effect.fail(
      failure("Unauthorized", id, `${said}. Check the service account, its rights, and the APNs key of the project.`)
    )
  if (status === 503) return Effect.fail(failure("Unavailable", id, `${said}; try again later.`))
  if (status >= 400 && status < 500 && error !== undefined)
    return Effect.succeed({ state: "refused", code, message: `${said} and refused the message.` })
  return Effect.succeed({ state: "unknown", message: `${said}, which tells nothing.` })
}

export const makeFcm = Effect.fnUntraced(function* (config: FcmConfig) {
  const outward = yield* HostOutward
  const tokens = yield* accessTokens(config, outward)
  const url = `${config.url}/v1/projects/${config.projectId}/messages:send`

  const hand = Effect.fnUntraced(function* (message: Message): Effect.fn.Return<SendOutcome, MessengerError> {
    const { id } = message
    const body = JSON.stringify(bodyOf(message, yield* Clock.currentTimeMillis))
    const token = (stale?: string) =>
      Effect.mapError(tokens(stale), ({ message: said, reason }) => failure(reason, id, said))
    const post = (bearer: string) =>
      outward.post({ url, body, headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` } })
    const first = yield* token()
    const answer = yield* post(first).pipe(
      // A token may be taken back before its time: once more with a new one.
      Effect.flatMap((said) => (said.status === 401 ? Effect.flatMap(token(first), post) : Effect.succeed(said))),
      Effect.result
    )
    if (answer._tag === "Failure") {
      const error = answer.failure
      if (error instanceof MessengerError) return yield* error
      const code = (error.cause as { readonly code?: string } | undefined)?.code
      if (error.reason !== "Unanswered" || code === "ECONNREFUSED")
        return yield* failure("Unavailable", id, `FCM cannot be reached: ${error.message}`)
      return { state: "unknown", message: "The answer of FCM was lost." }
    }
    const taken = answer.success.status === 200 ? Schema.decodeUnknownOption(Taken)(answer.success.body) : Option.none()
    if (Option.isNone(taken)) return yield* judge(id, answer.success)
    return { state: "accepted", parts: 1, reference: taken.value.name }
  })

  return Messenger.of({
    channel: "push",
    send: sendOnce(hand, ({ to }) => (/^[\w:.-]{1,4096}$/.test(to) ? undefined : "This is no token of an app.")),
    receipts: Stream.never
  })
})

/**
 * SMS by Eskiz. A callback is a hint: its state counts when Eskiz says the same of that message. It names our id, so it also settles a
 * message whose answer was lost.
 */
import { createHmac } from "node:crypto"
import {
  type CallbackAnswer,
  type CallbackRequest,
  Host,
  HostCallbacks,
  HostOutward,
  type Message,
  Messenger,
  type MessengerError
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { type Ending, numberDigest } from "../book/Book.ts"
import { call, type Reply } from "../http/call.ts"
import { fieldsOf, hasToken } from "../http/callback.ts"
import { digitsOf } from "../number.ts"
import { failure, type Handed, makeSending } from "../Sending.ts"
import type { SmsEskizConfig } from "./config.ts"

const Token = Schema.Struct({ data: Schema.Struct({ token: Schema.NonEmptyString }) })
const Taken = Schema.Struct({ id: Schema.NonEmptyString, status: Schema.String })
const Wrong = Schema.Struct({ status: Schema.Literal("error") })
const Hint = Schema.Struct({ user_sms_id: Schema.String, request_id: Schema.optionalKey(Schema.String) })
const Status = Schema.Struct({
  data: Schema.Struct({
    user_sms_id: Schema.String,
    to: Schema.Union([Schema.String, Schema.Number]),
    status: Schema.String,
    /** In sums, for all parts. */
    total_price: Schema.optionalKey(Schema.NullOr(Schema.Number))
  })
})

const endings: Readonly<Record<string, Ending>> = {
  DELIVRD: "delivered",
  DELIVERED: "delivered",
  EXPIRED: "expired",
  UNDELIV: "failed",
  UNDELIVERABLE: "failed",
  NOTDELIVERED: "failed",
  REJECTD: "failed",
  REJECTED: "failed",
  DELETED: "failed",
  FAILED: "failed"
}

const uuid = /^[0-9a-f-]{36}$/i

/** An answer that is no yes. */
const judge = (id: string, reply: Reply): Effect.Effect<Handed, MessengerError> => {
  if (reply.type === "unsent")
    return Effect.fail(failure("Unavailable", id, `Eskiz cannot be reached: ${reply.message}`))
  if (reply.type === "silent") return Effect.succeed({ state: "unknown", message: "The answer of Eskiz was lost." })
  const { json, status } = reply
  const said = `Eskiz answered ${status}`
  if (status === 401 || status === 403)
    return Effect.fail(failure("Unauthorized", id, `${said}. Correct its e-mail and password in the settings.`))
  if (status === 402)
    return Effect.fail(failure("Unavailable", id, `${said}: the account has no money left. Top it up.`))
  if (status === 429) return Effect.fail(failure("RateLimited", id, `${said}: too many requests; try again later.`))
  if (status === 503) return Effect.fail(failure("Unavailable", id, `${said}; try again later.`))
  if (status === 400 || status === 422 || (status === 200 && Schema.is(Wrong)(json)))
    return Effect.succeed({
      state: "refused",
      code: `eskiz-${status}`,
      message: `${said} and refused the message. Its text must fit a template that Eskiz has approved, and the sender must be the city's.`
    })
  return Effect.succeed({ state: "unknown", message: `${said}, which tells nothing.` })
}

export const makeEskizMessenger = Effect.fnUntraced(function* (config: SmsEskizConfig) {
  const host = yield* Host
  const outward = yield* HostOutward
  const callbacks = yield* HostCallbacks
  const password = Redacted.value(config.password)
  const one = yield* Semaphore.make(1)
  const secret = createHmac("sha256", password).update("callbacks of Eskiz").digest("base64url")
  const callbackUrl = callbacks.url === undefined ? undefined : `${callbacks.url}/${secret}`
  let token: string | undefined

  const ask = (path: string, body: object | undefined, bearer?: string) =>
    call(outward, {
      url: `${config.url}/api/${path}`,
      method: body === undefined ? "GET" : "POST",
      body: body === undefined ? "" : JSON.stringify(body),
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` })
      },
      seconds: config.patience
    })

  /** Nobody logs in beside another: whoever waited takes what the other got. `stale`: the token that was not taken. */
  const logIn = Effect.fnUntraced(function* (id: string, stale: string | undefined) {
    if (token !== undefined && token !== stale) return token
    const reply = yield* ask("auth/login", { email: config.email, password })
    const given =
      reply.type === "answer" && reply.status === 200 ? Schema.decodeUnknownOption(Token)(reply.json) : Option.none()
    if (Option.isNone(given)) {
      const wrong = reply.type === "answer" && [400, 401, 403, 422].includes(reply.status)
      return yield* wrong
        ? failure("Unauthorized", id, "Eskiz does not let us in. Correct its e-mail and password in the settings.")
        : failure("Unavailable", id, "Eskiz cannot be logged in to at the moment; try again later.")
    }
    token = given.value.data.token
    return token
  }, one.withPermits(1))

  /** A token runs out in the middle of work: once more with a new one. */
  const authorized = Effect.fnUntraced(function* (id: string, path: string, body?: object) {
    const bearer = yield* logIn(id, undefined)
    const reply = yield* ask(path, body, bearer)
    if (reply.type !== "answer" || reply.status !== 401) return reply
    return yield* ask(path, body, yield* logIn(id, bearer))
  })

  const hand = Effect.fnUntraced(function* (message: Message) {
    const reply = yield* authorized(message.id, "message/sms/send", {
      mobile_phone: digitsOf(message.to),
      message: message.text,
      from: config.from,
      user_sms_id: message.id,
      ...(callbackUrl === undefined ? {} : { callback_url: callbackUrl })
    })
    const taken =
      reply.type === "answer" && reply.status === 200 ? Schema.decodeUnknownOption(Taken)(reply.json) : Option.none()
    if (Option.isNone(taken) || taken.value.status === "error") return yield* judge(message.id, reply)
    const { id } = taken.value
    return { state: "accepted", reference: id, references: [id] } satisfies Handed
  })

  const sending = yield* makeSending({ home: host.home, ...config }, hand)

  /** What Eskiz itself says of a message that somebody has told us about. */
  const confirm = Effect.fnUntraced(function* ({ request_id, user_sms_id }: typeof Hint.Type) {
    const entry = sending.book.find(user_sms_id)
    const reference = entry?.references?.[0] ?? request_id
    if (entry === undefined || entry.receipt !== undefined || reference === undefined || !uuid.test(reference)) return
    const reply = yield* authorized(entry.id, `message/sms/status_by_id/${reference}`)
    const found =
      reply.type === "answer" && reply.status === 200 ? Schema.decodeUnknownOption(Status)(reply.json) : Option.none()
    if (Option.isNone(found))
      return yield* failure("Unavailable", entry.id, "Eskiz does not tell the state of a message.")
    const { status, to, total_price, user_sms_id: told } = found.value.data
    const ending = endings[status.toUpperCase()]
    if (told !== entry.id || numberDigest(String(to)) !== entry.to || ending === undefined) return
    yield* sending.settle(entry.id, ending, {
      ...(ending === "delivered" ? {} : { code: status }),
      ...(total_price == null ? {} : { cost: { amount: BigInt(Math.round(total_price * 100)), currency: "UZS" } })
    })
  })

  const handle = Effect.fnUntraced(function* (request: CallbackRequest) {
    if (!hasToken(request, secret)) return { status: 404 } satisfies CallbackAnswer
    const hint = Schema.decodeUnknownOption(Hint)(fieldsOf(request))
    if (Option.isNone(hint)) return { status: 400 } satisfies CallbackAnswer
    return yield* confirm(hint.value).pipe(
      Effect.as({ status: 200, body: "{}" } satisfies CallbackAnswer),
      // It shall tell us again.
      Effect.catch(() => Effect.succeed<CallbackAnswer>({ status: 503 }))
    )
  })
  yield* callbacks.serve(handle)

  return {
    messenger: Messenger.of({ channel: "sms", send: sending.send, receipts: sending.receipts }),
    health: logIn("health", undefined)
  }
})

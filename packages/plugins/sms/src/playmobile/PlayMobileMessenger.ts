/**
 * SMS by PlayMobile. Its reports name our id and cannot be asked for: who knows the secret end of the address is believed.
 */
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
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Ending } from "../book/Book.ts"
import { call, type Reply } from "../http/call.ts"
import { fieldsOf, hasToken } from "../http/callback.ts"
import { digitsOf } from "../number.ts"
import { failure, type Handed, makeSending } from "../Sending.ts"
import type { SmsPlayMobileConfig } from "./config.ts"

const Mistake = Schema.Struct({ "error-code": Schema.Union([Schema.Number, Schema.NumberFromString]) })
const Report = Schema.Struct({ "message-id": Schema.String, status: Schema.String })
const Reports = Schema.Union([Schema.Struct({ messages: Schema.Array(Report) }), Report])

const endings: Readonly<Record<string, Ending>> = {
  delivered: "delivered",
  notdelivered: "failed",
  rejected: "failed",
  failed: "failed",
  missed: "failed",
  expired: "expired"
}

const priorities = { code: "realtime", notice: "normal", bulk: "low" } as const

/** Minutes, in UTC; cut off, so that nothing is delivered too late. */
const minuteOf = (at: number): string => DateTime.formatIso(DateTime.makeUnsafe(at)).slice(0, 16).replace("T", " ")

const ofCode = (id: string, code: number): Effect.Effect<Handed, MessengerError> => {
  if (code === 100) return Effect.succeed({ state: "unknown", message: "PlayMobile had an error of its own." })
  if (code === 102)
    return Effect.fail(failure("Unauthorized", id, "PlayMobile has locked the account. Ask PlayMobile why."))
  return Effect.succeed({
    state: "refused",
    code: `playmobile-${code}`,
    message: `PlayMobile refused the message with ${code}.`
  })
}

const judge = (id: string, reply: Reply): Effect.Effect<Handed, MessengerError> => {
  if (reply.type === "unsent")
    return Effect.fail(failure("Unavailable", id, `PlayMobile cannot be reached: ${reply.message}`))
  if (reply.type === "silent")
    return Effect.succeed({ state: "unknown", message: "The answer of PlayMobile was lost." })
  const { json, status, text } = reply
  const said = `PlayMobile answered ${status}`
  if (status === 200 && /^"?request is received"?$/i.test(text.trim()))
    return Effect.succeed({ state: "accepted", reference: id })
  if (status === 401 || status === 403)
    return Effect.fail(failure("Unauthorized", id, `${said}. Correct user and password in the settings.`))
  if (status === 429) return Effect.fail(failure("RateLimited", id, `${said}: too many requests; try again later.`))
  if (status === 503) return Effect.fail(failure("Unavailable", id, `${said}; try again later.`))
  const mistake = status === 400 || status === 200 ? Schema.decodeUnknownOption(Mistake)(json) : Option.none()
  if (Option.isSome(mistake)) return ofCode(id, mistake.value["error-code"])
  return Effect.succeed({ state: "unknown", message: `${said}, which tells nothing.` })
}

export const makePlayMobileMessenger = Effect.fnUntraced(function* (config: SmsPlayMobileConfig) {
  const host = yield* Host
  const outward = yield* HostOutward
  const callbacks = yield* HostCallbacks
  const { callbackToken, from, password, patience, url, user } = config
  const basic = Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")

  const hand = Effect.fnUntraced(function* (message: Message) {
    const { expiresAt, id, text, to } = message
    const reply = yield* call(outward, {
      url: `${url}/broker-api/send`,
      body: JSON.stringify({
        priority: priorities[message.class],
        ...(expiresAt === undefined ? {} : { timing: { "end-datetime": minuteOf(expiresAt) } }),
        messages: [{ recipient: digitsOf(to), "message-id": id, sms: { originator: from, content: { text } } }]
      }),
      headers: { "content-type": "application/json", authorization: `Basic ${basic}` },
      seconds: patience
    })
    return yield* judge(id, reply)
  })

  const sending = yield* makeSending({ home: host.home, ...config }, hand)

  const handle = (token: string) =>
    Effect.fnUntraced(function* (request: CallbackRequest) {
      if (!hasToken(request, token)) return { status: 404 } satisfies CallbackAnswer
      const reports = Schema.decodeUnknownOption(Reports)(fieldsOf(request))
      if (Option.isNone(reports)) return { status: 400 } satisfies CallbackAnswer
      const all = "messages" in reports.value ? reports.value.messages : [reports.value]
      const settled = Effect.forEach(all, ({ "message-id": id, status }) => {
        const ending = endings[status.toLowerCase().replaceAll(/[\s_-]/g, "")]
        if (ending === undefined) return Effect.void
        return sending.settle(id, ending, ending === "delivered" ? {} : { code: status.slice(0, 64) })
      })
      return yield* settled.pipe(
        Effect.as<CallbackAnswer>({ status: 200, body: "{}" }),
        Effect.catch(() => Effect.succeed<CallbackAnswer>({ status: 503 }))
      )
    })
  if (callbackToken !== undefined) yield* callbacks.serve(handle(Redacted.value(callbackToken)))

  return Messenger.of({ channel: "sms", send: sending.send, receipts: sending.receipts })
})

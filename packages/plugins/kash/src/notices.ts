/**
 * Callbacks of Kash as hints to ask `status`. One that is forged, old or heard already makes no hint; what a callback claims about the
 * outcome is never read, so one that comes early, late or in the wrong order can do no harm.
 */
import type { CallbackAnswer, CallbackRequest, HostCallbacks } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Callback, callbackHeaders, callbackTolerance, isSigned } from "./wire.ts"

/** Hints that wait for somebody to ask; further ones are sent again by the partner. */
const most = 4_096
const isId = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
const decodeCallback = Schema.decodeUnknownOption(Callback)

const answer = (status: number, code?: string): CallbackAnswer =>
  code === undefined ? { status } : { status, body: JSON.stringify({ error: { code } }) }

/** Listens until the scope ends. */
export const listen = Effect.fnUntraced(function* (callbacks: HostCallbacks["Service"], secret: Redacted.Redacted) {
  const hints = yield* Queue.dropping<string>(most)
  /** Signatures of callbacks that have made a hint, with their moment in seconds: within the tolerance each counts once. */
  const heard = new Map<string, number>()

  const take = Effect.fn("Kash.callback")(function* ({ body, headers, method, path }: CallbackRequest) {
    if (path !== "" && path !== "/") return answer(404, "no-such-path")
    if (method !== "POST") return answer(405, "post-only")
    const { [callbackHeaders.signature]: given = "", [callbackHeaders.timestamp]: timestamp = "" } = headers
    const now = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
    const isNow = /^\d{1,12}$/.test(timestamp) && Math.abs(Number(timestamp) - now) <= callbackTolerance
    if (!isNow || !isSigned(Redacted.value(secret), timestamp, body, given)) return answer(401, "not-signed")
    const callback = Option.getOrUndefined(decodeCallback(Buffer.from(body).toString("utf8")))
    if (callback === undefined || !isId(callback.id)) return answer(400, "invalid")
    for (const [signature, at] of heard) if (Math.abs(at - now) > callbackTolerance) heard.delete(signature)
    if (heard.has(given)) return answer(204)
    if (!(yield* Queue.offer(hints, callback.id))) return answer(503, "later")
    heard.set(given, Number(timestamp))
    return answer(204)
  })

  yield* callbacks.serve(take)
  return Stream.fromQueue(hints)
})

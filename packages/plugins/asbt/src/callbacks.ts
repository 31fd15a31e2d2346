/**
 * The authority's word that something has changed. Whoever is not the authority is refused; whoever repeats what it said is thanked and not
 * heeded. Even a good one is but a hint to ask.
 */
import { type CallbackAnswer, HostCallbacks, isFilingNumber } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { isRecent, isSame, signCallback, signed, tolerance } from "./signing.ts"
import { readCallback } from "./wire.ts"

/** Signatures that are remembered; a valid one is worth nothing after the tolerance. */
const mostRemembered = 10_000

const refused: CallbackAnswer = { status: 401, body: JSON.stringify({ error: { code: "unauthorized" } }) }
const thanks: CallbackAnswer = { status: 204 }

/** Hears callbacks until the scope ends; gives their numbers and where they are to be sent. */
export const hearCallbacks = Effect.fnUntraced(function* (secret: string) {
  const callbacks = yield* HostCallbacks
  const told = yield* PubSub.sliding<string>(1_024)
  /** By signature, until when, in epoch milliseconds. */
  const seen = new Map<string, number>()
  const isNew = (signature: string, now: number) => {
    for (const [old, until] of seen) {
      if (until > now && seen.size < mostRemembered) break
      seen.delete(old)
    }
    if (seen.has(signature)) return false
    seen.set(signature, now + 2 * tolerance * 1_000)
    return true
  }
  yield* callbacks.serve(({ body, headers }) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const { [signed.signature]: signature, [signed.timestamp]: timestamp = "" } = headers
      if (signature === undefined || !isRecent(timestamp, now)) return refused
      if (!isSame(signCallback(secret, timestamp, body), signature)) return refused
      const number = readCallback(Buffer.from(body).toString("utf8"))
      if (number !== undefined && isFilingNumber(number) && isNew(signature, now)) yield* PubSub.publish(told, number)
      return thanks
    })
  )
  return { url: callbacks.url, notices: Stream.fromPubSub(told) }
})

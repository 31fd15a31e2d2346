/**
 * Sending for channels that cannot tell a repeat themselves: what is refused before anything leaves, and each id once while the process
 * remembers it. What ended without a last word may be sent again.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { type Message, MessengerError, messageMistake, type SendOutcome } from "../ports/Messenger.ts"

/** Ids that are remembered; further back a repeat is sent again. */
const remembered = 10_000

/** Texts are not kept: a one-time code may be one. */
const digestOf = ({ html, language, link, subject, text, to }: Message) =>
  Effect.promise(async () => {
    const said = JSON.stringify([to, subject ?? null, text, language, html ?? null, link ?? null])
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(said))
    return new Uint8Array(digest).join()
  })

const invalid = (id: string, message: string) =>
  new MessengerError({ reason: "InvalidRequest", operation: "send", subject: id, message, retryable: false })

/** `hand` sends one message; `mistake` says in words what makes an address unfit for this channel. */
export const sendOnce = (
  hand: (message: Message) => Effect.Effect<SendOutcome, MessengerError>,
  mistake: (message: Message) => string | undefined = () => undefined
): ((message: Message) => Effect.Effect<SendOutcome, MessengerError>) => {
  const known = new Map<
    string,
    { readonly digest: string; readonly outcome: Deferred.Deferred<SendOutcome, MessengerError> }
  >()
  return Effect.fn("Messenger.send")(function* (message) {
    const wrong = messageMistake(message) ?? mistake(message)
    if (wrong !== undefined) return yield* invalid(message.id, wrong)
    const now = yield* Clock.currentTimeMillis
    if (message.expiresAt !== undefined && message.expiresAt <= now)
      return { state: "refused", code: "expired", message: "The message had expired before it was sent." }
    const digest = yield* digestOf(message)
    const before = known.get(message.id)
    if (before !== undefined) {
      if (before.digest !== digest)
        return yield* invalid(message.id, "This id was used for another message; take a new one.")
      return yield* Deferred.await(before.outcome)
    }
    const outcome = Deferred.makeUnsafe<SendOutcome, MessengerError>()
    known.set(message.id, { digest, outcome })
    if (known.size > remembered) known.delete(known.keys().next().value!)
    // What was begun goes on when its caller is interrupted: others may wait for the same one.
    return yield* Effect.uninterruptible(
      Effect.gen(function* () {
        const exit = yield* Effect.exit(hand(message))
        if (exit._tag === "Failure" || exit.value.state === "unknown") known.delete(message.id)
        yield* Deferred.done(outcome, exit)
        return yield* exit
      })
    )
  })
}

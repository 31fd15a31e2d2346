/**
 * What every way to send SMS has in common: what is refused before anything leaves, one sending per id, the book around it, and receipts
 * that belong to a message of ours. The way itself is `hand`.
 */
import {
  type DeliveryReceipt,
  type Message,
  MessengerError,
  type MessengerReason,
  messageMistake,
  type SendOutcome
} from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { Book, digestOf, type Ending, type Entry, numberDigest } from "./book/Book.ts"
import { digitsOf, numberMistake } from "./number.ts"
import { plainApostrophes } from "./text/apostrophes.ts"
import { mostParts, segment, type Segments } from "./text/segments.ts"

export const failure = (reason: MessengerReason, subject: string, message: string, cause?: unknown) =>
  new MessengerError({
    reason,
    operation: "send",
    subject,
    message,
    retryable: reason === "Unavailable" || reason === "RateLimited",
    ...(cause === undefined ? {} : { cause })
  })

/** `references`: the provider's id of each part of an accepted message. */
export type Handed = SendOutcome & { readonly references?: ReadonlyArray<string> }

export type Hand = (message: Message, segments: Segments) => Effect.Effect<Handed, MessengerError>

export interface SendingOptions {
  /** The plugin's folder. */
  readonly home: string
  /** Messages that are remembered at least. */
  readonly remember: number
  readonly plainApostrophes: boolean
  readonly keysOf?: (reference: string) => ReadonlyArray<string>
}

/** Receipts that came so long before a start are told again: nobody may have heard them. */
const toldAgain = 3_600_000
/** Life of a one-time code whose message does not say when it expires. */
const codeLife = 600_000
/** Receipts that wait for a listener; the oldest go first. */
const mostReceipts = 10_000

const expired = { state: "refused", code: "expired", message: "The message had expired before it was sent." } as const
const lost = {
  state: "unknown",
  message: "Whether this message was handed over is not known; it is not sent again."
} as const

const outcomeOf = (entry: Entry): SendOutcome | undefined => {
  const { code = "refused", message = "The provider refused the message.", parts, references, state } = entry
  if (state === "refused") return { state, code, message }
  const reference = references?.[0]
  const accepted = { state: "accepted", parts, ...(reference === undefined ? {} : { reference }) } as const
  if (state === "accepted") return accepted
  // Word of it came although the answer did not.
  if (state === "begun") return entry.receipt === undefined ? lost : accepted
  return undefined
}

const worst = (endings: ReadonlyArray<Ending | null>): Ending | undefined =>
  endings.find((one) => one === "failed" || one === "expired") ??
  (endings.every((one) => one === "delivered") ? "delivered" : undefined)

export const makeSending = Effect.fnUntraced(function* (options: SendingOptions, hand: Hand) {
  const unavailable = (subject: string) => (cause: unknown) =>
    failure("Unavailable", subject, "The book of sent messages cannot be written; check the plugin's folder.", cause)
  const book = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const opened = new Book(options.home, options.remember, options.keysOf)
        await opened.open()
        return opened
      },
      catch: unavailable("book")
    }),
    (opened) => Effect.promise(() => opened.close())
  )
  const receipts = yield* Queue.sliding<DeliveryReceipt>(mostReceipts)
  yield* Queue.offerAll(receipts, book.receiptsSince((yield* Clock.currentTimeMillis) - toldAgain))
  const underWay = new Map<
    string,
    { readonly digest: string; readonly outcome: Deferred.Deferred<SendOutcome, MessengerError> }
  >()
  const put = (entry: Entry) => Effect.tryPromise({ try: () => book.put(entry), catch: unavailable(entry.id) })

  /** What is known from now on is known, also where the disk is full. */
  const note = (entry: Entry) => Effect.ignore(put(entry))

  /** The book as it is now, not as it was before the sending: a receipt may have come meanwhile. */
  const after = (begun: Entry, change: Partial<Entry>): Entry => ({ ...begun, ...book.find(begun.id), ...change })

  const work = Effect.fnUntraced(function* (message: Message, segments: Segments, begun: Entry) {
    yield* put(begun)
    const exit = yield* Effect.exit(hand(message, segments))
    if (exit._tag === "Failure") {
      yield* note(after(begun, { state: "open" }))
      return yield* exit
    }
    const { references, ...outcome } = exit.value
    if (outcome.state === "refused")
      yield* note(after(begun, { state: "refused", code: outcome.code, message: outcome.message }))
    if (outcome.state === "accepted")
      yield* note(after(begun, { state: "accepted", ...(references === undefined ? {} : { references }) }))
    return outcome.state === "accepted" ? { ...outcome, parts: outcome.parts ?? begun.parts } : outcome
  })

  const send = Effect.fn("Messenger.send")(function* (given: Message): Effect.fn.Return<SendOutcome, MessengerError> {
    const text = options.plainApostrophes ? plainApostrophes(given.text) : given.text
    const wrong = messageMistake(given) ?? numberMistake(given.to)
    if (wrong !== undefined) return yield* failure("InvalidRequest", given.id, wrong)
    const segments = segment(text)
    const { length } = segments.parts
    if (length > mostParts)
      return yield* failure(
        "InvalidRequest",
        given.id,
        `The text needs ${length} messages; at most ${mostParts} make one.`
      )
    const at = yield* Clock.currentTimeMillis
    const expiresAt = given.expiresAt ?? (given.class === "code" ? at + codeLife : undefined)
    if (expiresAt !== undefined && expiresAt <= at) return expired
    const message = { ...given, text, ...(expiresAt === undefined ? {} : { expiresAt }) }
    const digest = digestOf(message)
    const known = underWay.get(message.id) ?? book.find(message.id)
    if (known !== undefined && known.digest !== digest)
      return yield* failure("InvalidRequest", message.id, "This id was used for another message; take a new one.")
    const same = underWay.get(message.id)
    if (same !== undefined) return yield* Deferred.await(same.outcome)
    const before = book.find(message.id)
    const told = before === undefined ? undefined : outcomeOf(before)
    if (told !== undefined) return told
    const outcome = Deferred.makeUnsafe<SendOutcome, MessengerError>()
    underWay.set(message.id, { digest, outcome })
    const to = numberDigest(digitsOf(message.to))
    // What was begun goes on when its caller is interrupted: others may wait for the same one.
    return yield* Effect.uninterruptible(
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          work(message, segments, { id: message.id, digest, to, state: "begun", at, parts: length })
        )
        underWay.delete(message.id)
        yield* Deferred.done(outcome, exit)
        return yield* exit
      })
    )
  })

  /**
   * What a provider reports on one part, or on the whole message without `part`. A message is delivered when all its parts are; the first
   * end that is told stands. On the disk when it returns.
   */
  const settle = Effect.fnUntraced(function* (
    id: string,
    ending: Ending,
    more: { readonly part?: number; readonly code?: string } & Pick<DeliveryReceipt, "cost">
  ) {
    const entry = book.find(id)
    if (entry === undefined || entry.receipt !== undefined) return
    const { code, cost, part } = more
    const endings = [...(entry.endings ?? Array.from({ length: entry.references?.length ?? 1 }, () => null))]
    if (part === undefined) endings.fill(ending)
    else endings[part] ??= ending
    const state = worst(endings)
    const at = yield* Clock.currentTimeMillis
    const receipt = state === undefined ? undefined : { state, at, ...(code === undefined ? {} : { code }) }
    yield* put({ ...entry, endings, ...(receipt === undefined ? {} : { receipt }) })
    if (receipt !== undefined) yield* Queue.offer(receipts, { id, ...receipt, ...(cost === undefined ? {} : { cost }) })
  })

  return { book, send, settle, receipts: Stream.fromQueue(receipts) }
})

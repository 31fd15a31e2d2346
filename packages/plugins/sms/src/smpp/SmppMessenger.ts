/**
 * SMS by SMPP 3.4. A message is one submit_sm for each of its parts, at most `window` of them in flight. An answer that does not come
 * leaves the message `unknown` for ever, unless a receipt tells of it: the protocol has no ids of ours to ask by.
 */
import { createHash } from "node:crypto"
import { Host, type Message, Messenger } from "@mahalla/core/plugin"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import { type Entry, numberDigest } from "../book/Book.ts"
import { digitsOf } from "../number.ts"
import { failure, type Handed, makeSending } from "../Sending.ts"
import { header, type Segments } from "../text/segments.ts"
import type { SmsSmppConfig } from "./config.ts"
import { makeLink } from "./Link.ts"
import {
  type Address,
  command,
  decodeMessage,
  encodeMessage,
  type Pdu,
  type ShortMessage,
  status,
  textOf
} from "./pdu.ts"
import { keysOf, type Receipt, readReceipt } from "./receipts.ts"
import { Unanswered } from "./Session.ts"

/** How long a message waits for a connection before it is not handed over. */
const forConnection = 5_000
/** Receipts that came before the answer to their message; milliseconds for which they wait, and how many. */
const early = { life: 60_000, most: 1_000 }
/** How often a further part of a message is tried when the centre wants less; the first part's time is the caller's. */
const furtherTries = 5

const busy = new Set<number>([status.throttled, status.queueFull])
const away = new Set<number>([status.systemError, status.submitFailed, status.temporary])

const sourceOf = (from: string): Address => {
  if (from.startsWith("+")) return { ton: 1, npi: 1, addr: digitsOf(from) }
  return /^\d+$/.test(from) ? { ton: 3, npi: 0, addr: from } : { ton: 5, npi: 0, addr: from }
}

/** Absolute, in UTC: `YYMMDDhhmmss` and `000+`. Seconds are cut off, so that nothing is delivered too late. */
const validity = (at: number): string =>
  `${DateTime.formatIso(DateTime.makeUnsafe(at)).slice(2, 19).replaceAll(/\D/g, "")}000+`

/** Which of the messages with a similar id a receipt is about: also the number must be theirs, except where only one has this very id. */
const choose = (candidates: ReadonlyArray<Entry>, reference: string, numbers: ReadonlyArray<string>) => {
  const has = (entry: Entry) => entry.references?.includes(reference) === true
  const theirs = candidates.filter(({ to }) => numbers.includes(to))
  const exact = candidates.filter(has)
  return theirs.find(has) ?? theirs[0] ?? (exact.length === 1 ? exact[0] : undefined)
}

export const makeSmppMessenger = Effect.fnUntraced(function* (config: SmsSmppConfig) {
  const host = yield* Host
  const context = yield* Effect.context<never>()
  const window = yield* Semaphore.make(config.window)
  const source = sourceOf(config.from)
  const waiting = new Map<
    string,
    { readonly receipt: Receipt; readonly numbers: ReadonlyArray<string>; readonly at: number }
  >()
  /** Epoch milliseconds until which the centre wants to be left alone, and how long it will the next time. */
  let quietUntil = 0
  let quiet = 1_000

  const submit = Effect.fnUntraced(function* (short: ShortMessage) {
    yield* Effect.sleep(Math.max(0, quietUntil - (yield* Clock.currentTimeMillis)))
    const notSent = () => {
      const { message, reason } = sender.trouble() ?? {
        message: "The connection was lost.",
        reason: "Unavailable" as const
      }
      return Effect.fail({ notSent: reason, message })
    }
    if (sender.trouble()?.reason === "Unauthorized") return yield* notSent()
    const session = yield* sender.session.pipe(Effect.timeoutOrElse({ duration: forConnection, orElse: notSent }))
    const answer = yield* Effect.tryPromise({
      try: () => session.request(command.submit_sm, encodeMessage(short)),
      catch: (cause) => ({ notSent: undefined, message: cause instanceof Unanswered ? cause.message : String(cause) })
    })
    if (busy.has(answer.status)) {
      quietUntil = (yield* Clock.currentTimeMillis) + (yield* Random.nextBetween(0.5, 1)) * quiet
      quiet = Math.min(quiet * 2, 30_000)
    } else quiet = 1_000
    return answer
  }, window.withPermits(1))

  /** A status that is no yes, of the first part: nothing was handed over, or finally not. */
  const judge = (id: string, said: number): Effect.Effect<Handed, ReturnType<typeof failure>> => {
    const words = `The SMS centre answered with status ${said}`
    if (busy.has(said)) return Effect.fail(failure("RateLimited", id, `${words}: too much at once; try again later.`))
    if (away.has(said)) return Effect.fail(failure("Unavailable", id, `${words}; try again later.`))
    if (said === status.invalidSource)
      return Effect.fail(failure("Unauthorized", id, `${words}: it does not take the sender. Correct \`from\`.`))
    return Effect.succeed({
      state: "refused",
      code: `smpp-${said}`,
      message: `${words}.`,
      ...(said === status.invalidDestination ? { gone: true } : {})
    })
  }

  const further = (short: ShortMessage) =>
    Effect.gen(function* () {
      for (let tries = 1; ; tries++) {
        const answer = yield* submit(short)
        if (!busy.has(answer.status) || tries === furtherTries) return answer
      }
    })

  const hand = Effect.fnUntraced(function* (message: Message, { coding, parts }: Segments) {
    // The same for a repeat, and another one for the next message to this number.
    const reference = createHash("sha256").update(message.id).digest()[0]!
    const unknown = ({ message: why }: { readonly message: string }): Handed => ({
      state: "unknown",
      message: `The answer of the SMS centre was lost: ${why}.`
    })
    const shorts = parts.map((part, index): ShortMessage => ({
      source,
      destination: { ton: 1, npi: 1, addr: digitsOf(message.to) },
      esm_class: parts.length > 1 ? 0x40 : 0,
      priority_flag: message.class === "code" ? 1 : 0,
      validity_period: message.expiresAt === undefined ? "" : validity(message.expiresAt),
      registered_delivery: 1,
      data_coding: coding === "ucs2" ? 8 : 0,
      short_message: parts.length > 1 ? Buffer.concat([header(reference, parts.length, index + 1), part]) : part
    }))
    const first = yield* Effect.result(submit(shorts[0]!))
    if (first._tag === "Failure") {
      const { message: why, notSent } = first.failure
      if (notSent === undefined) return unknown(first.failure)
      return yield* failure(
        notSent,
        message.id,
        `The SMS centre is not connected: ${why} Check its address and password.`
      )
    }
    if (first.success.status !== status.ok) return yield* judge(message.id, first.success.status)
    const rest = yield* Effect.result(Effect.forEach(shorts.slice(1), further, { concurrency: config.window }))
    if (rest._tag === "Failure") return unknown(rest.failure)
    const wrong = rest.success.find((answer) => answer.status !== status.ok)
    if (wrong !== undefined)
      return {
        state: "refused",
        code: `smpp-${wrong.status}`,
        message: `The SMS centre took a part of the message only: status ${wrong.status}.`
      } satisfies Handed
    const references = [first.success, ...rest.success].map(({ body }) => textOf(body))
    return { state: "accepted", reference: references[0]!, references } satisfies Handed
  })

  const sending = yield* makeSending(
    { home: host.home, remember: config.remember, plainApostrophes: config.plainApostrophes, keysOf },
    hand
  )

  /** True: it belongs to a message that is known. */
  const match = Effect.fnUntraced(function* ({ code, ending, reference }: Receipt, numbers: ReadonlyArray<string>) {
    const keys = keysOf(reference)
    const entry = choose(sending.book.withKeys(keys), reference, numbers)
    if (entry === undefined) return false
    const { references = [] } = entry
    const part = references.includes(reference)
      ? references.indexOf(reference)
      : references.findIndex((one) => keysOf(one).some((key) => keys.includes(key)))
    if (ending !== undefined) yield* sending.settle(entry.id, ending, { part, ...(code === undefined ? {} : { code }) })
    return true
  })

  const keepEarly = Effect.fnUntraced(function* (receipt: Receipt, numbers: ReadonlyArray<string>) {
    const at = yield* Clock.currentTimeMillis
    for (const [key, one] of waiting) if (waiting.size >= early.most || one.at < at - early.life) waiting.delete(key)
    waiting.set(receipt.reference, { receipt, numbers, at })
  })

  /** The book has the ids of an accepted message: word of it may be here already. */
  const meetEarly = Effect.gen(function* () {
    for (const [key, { numbers, receipt }] of waiting) if (yield* match(receipt, numbers)) waiting.delete(key)
  }).pipe(Effect.ignore)

  const deliver = Effect.fnUntraced(function* (pdu: Pdu) {
    const message = yield* Effect.try({ try: () => decodeMessage(pdu.body), catch: (cause) => cause })
    const receipt = readReceipt(message)
    // What people answer to the city's number is nobody's yet.
    if (receipt === undefined) return status.ok
    const numbers = [message.source.addr, message.destination.addr].map(numberDigest)
    if (!(yield* match(receipt, numbers)) && receipt.ending !== undefined) yield* keepEarly(receipt, numbers)
    return status.ok
  })
  const onDeliver = (pdu: Pdu): Promise<number> =>
    Effect.runPromiseWith(context)(
      // Without a place to keep it, the centre shall send it again.
      Effect.catch(deliver(pdu), () => Effect.succeed<number>(status.temporary))
    )

  const separate = config.bind === "separate"
  const sender = yield* makeLink(config, separate ? "transmitter" : "transceiver", onDeliver)
  const hearer = separate ? yield* makeLink(config, "receiver", onDeliver) : sender

  return {
    messenger: Messenger.of({
      channel: "sms",
      send: (message) => Effect.tap(sending.send(message), meetEarly),
      receipts: sending.receipts
    }),
    health: () => (sender.health().status === "up" ? hearer.health() : sender.health())
  }
})

/**
 * Phone credit through Kash. What cannot be read is `unknown`, and only what surely had no effect is an error.
 */
import {
  type HostOutward,
  isRegisterDay,
  paymentMistake,
  type PaymentOutcome,
  Payments,
  PaymentsError,
  type PaymentsReason,
  type PaymentStatus,
  type RegisterLine
} from "@mahalla/core/plugin"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { makeCall, type Reply } from "./call.ts"
import type { KashConfig } from "./config.ts"
import * as Wire from "./wire.ts"

const decodeQuote = Schema.decodeUnknownOption(Wire.Quote)
const decodePayment = Schema.decodeUnknownOption(Wire.Payment)
const decodeRefusal = Schema.decodeUnknownOption(Wire.Refusal)
const decodePage = Schema.decodeUnknownOption(Wire.RegisterPage)

const advice: Record<PaymentsReason, string> = {
  InvalidRequest: "Correct it and send it under a new id.",
  Unauthorized: "Check address and key of Kash in the configuration.",
  Unavailable: "Nothing was paid; try again later.",
  RateLimited: "Nothing was paid; try again later."
}

const failure = (reason: PaymentsReason, operation: string, subject: string, what: string, cause?: unknown) =>
  new PaymentsError({
    reason,
    operation,
    subject,
    message: `${what} ${advice[reason]}`,
    retryable: reason === "Unavailable" || reason === "RateLimited",
    ...(cause === undefined ? {} : { cause })
  })

/** An answer that the contract calls "not looked at", if it is one. */
const refusalOf = (operation: string, subject: string, reply: Reply): PaymentsError | undefined => {
  if (reply.type === "silent") return undefined
  if (reply.type === "unsent")
    return reply.forbidden
      ? failure("Unauthorized", operation, subject, "The city's rules let nothing go to that address.", reply.cause)
      : failure("Unavailable", operation, subject, "Kash cannot be reached.", reply.cause)
  const { retryAfter = 1, status } = reply
  if (status === 429)
    return failure("RateLimited", operation, subject, `Kash takes the next request in ${retryAfter} s.`)
  if (status === 401 || status === 403) return failure("Unauthorized", operation, subject, "Kash does not know us.")
  const code = Option.getOrUndefined(decodeRefusal(reply.body))?.error.code
  if (status === 503 && code === "unavailable")
    return failure("Unavailable", operation, subject, "Kash is closed for the moment.")
  if (status === 400 && code === "invalid")
    return failure("InvalidRequest", operation, subject, "Kash refused number, amount or memo.")
  if (status === 422 && code === "id-reused")
    return failure("InvalidRequest", operation, subject, "This id stands for another payment.")
  return undefined
}

const rejectionOf = (code: string | undefined) =>
  code !== undefined && Object.hasOwn(Wire.rejections, code) ? Wire.rejections[code] : undefined

const unknown = (message: string): PaymentOutcome => ({ state: "unknown", message })

/** The outcome in an answer about this id; `amount`: what it must be about, where we know. */
const outcomeOf = (id: string, reply: Reply, amount?: bigint): PaymentOutcome => {
  if (reply.type !== "answer") return unknown("The answer of Kash was lost.")
  const answer =
    reply.status === 200 || reply.status === 202 ? Option.getOrUndefined(decodePayment(reply.body)) : undefined
  if (answer === undefined) return unknown("The answer of Kash could not be read.")
  if (answer.id !== id) return unknown("The answer of Kash was about another payment.")
  if (answer.currency !== Wire.currency || (amount !== undefined && answer.amount !== amount))
    return unknown("The answer of Kash was about another amount.")
  switch (answer.state) {
    case "processing":
      return { state: "pending" }
    case "done":
    case "returned":
      return { state: "succeeded", reference: answer.reference }
    case "rejected": {
      const { code } = answer
      const rejection = rejectionOf(code)
      if (rejection === undefined) return unknown("Kash rejected the payment with a code that nobody knows.")
      return rejection.final ? { state: "failed", code, message: rejection.message } : unknown(rejection.message)
    }
  }
}

export const makePayments = (
  config: KashConfig,
  outward: HostOutward["Service"],
  notices: Stream.Stream<string> | undefined
): Payments["Service"] => {
  const rail = { payees: ["phone"], currency: Wire.currency, limit: BigInt(config.limit) } as const
  const call = makeCall(config, outward)

  const wireBody = ({ memo, money, payee }: Parameters<Payments["Service"]["quote"]>[0]) => ({
    phone: payee.value,
    amount: String(money.amount),
    currency: money.currency,
    memo
  })

  const page = Effect.fnUntraced(function* (day: string, from: DateTime.Utc, after: string | undefined) {
    const to = DateTime.add(from, { days: 1 })
    const reply = yield* call(Wire.paths.register, Wire.registerQuestion(from, to, after))
    const refusal = refusalOf("register", day, reply)
    if (refusal !== undefined) return yield* refusal
    const read = reply.type === "answer" && reply.status === 200 ? decodePage(reply.body) : Option.none()
    if (Option.isNone(read) || !DateTime.Equivalence(read.value.from, from) || !DateTime.Equivalence(read.value.to, to))
      return yield* failure("Unavailable", "register", day, "The register could not be read.")
    return read.value
  })

  /** All pages before the first line: a register that lacks its end must not look like a short one. */
  const register = Effect.fn("Payments.register")(function* (day: string) {
    const from = DateTime.makeUnsafe(`${day}T00:00:00.000Z`)
    const lines: Array<RegisterLine> = []
    const seen = new Set<string | undefined>()
    let after: string | undefined
    let total: number
    do {
      seen.add(after)
      const { next, ...found } = yield* page(day, from, after)
      total = found.total
      for (const { amount, at, currency, id, reference, state } of found.lines)
        lines.push({
          id,
          reference,
          money: { amount, currency },
          state: state === "done" ? "succeeded" : "returned",
          at: DateTime.toEpochMillis(at)
        })
      after = next
    } while (after !== undefined && !seen.has(after))
    return after === undefined && lines.length === total
      ? lines
      : yield* failure("Unavailable", "register", day, "The register came incomplete.")
  })

  return Payments.of({
    payees: rail.payees,
    currency: rail.currency,
    quote: Effect.fn("Payments.quote")(function* (request) {
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "quote", "quote", wrong)
      const reply = yield* call(Wire.paths.quote, wireBody(request))
      const quote = reply.type === "answer" && reply.status === 200 ? decodeQuote(reply.body) : Option.none()
      const fits =
        Option.isSome(quote) && quote.value.phone === request.payee.value && quote.value.amount === request.money.amount
      if (!fits || quote.value.fee < 0n) {
        const said = reply.type === "answer" ? Option.getOrUndefined(decodeRefusal(reply.body))?.error.code : undefined
        const rejection = rejectionOf(said)
        if (rejection?.final === true) return yield* failure("InvalidRequest", "quote", "quote", rejection.message)
        return yield* (
          refusalOf("quote", "quote", reply) ??
          failure("Unavailable", "quote", "quote", "The answer of Kash could not be read.")
        )
      }
      const { fee, subscriber } = quote.value
      return {
        fee: { amount: fee, currency: rail.currency },
        ...(subscriber === undefined ? {} : { payeeName: subscriber })
      }
    }),
    pay: Effect.fn("Payments.pay")(function* (request) {
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "pay", request.id, wrong)
      const reply = yield* call(Wire.paths.pay(request.id), wireBody(request))
      const refusal = refusalOf("pay", request.id, reply)
      return refusal === undefined ? outcomeOf(request.id, reply, request.money.amount) : yield* refusal
    }),
    status: Effect.fn("Payments.status")(function* (id): Effect.fn.Return<PaymentStatus, PaymentsError> {
      const reply = yield* call(Wire.paths.status(id), {})
      const refusal = refusalOf("status", id, reply)
      if (refusal !== undefined) return yield* refusal
      if (reply.type === "silent") return yield* failure("Unavailable", "status", id, "The answer of Kash was lost.")
      const said =
        reply.type === "answer" && reply.status === 404 ? Option.getOrUndefined(decodeRefusal(reply.body)) : undefined
      // Any path of any server answers 404: only one that repeats our id is about our payment. It may still be on its way.
      if (said?.id === id && said.error.code === "not-found") return { state: "not-found", final: false }
      return outcomeOf(id, reply)
    }),
    register: (day) =>
      isRegisterDay(day)
        ? Stream.fromIterableEffect(register(day))
        : Stream.fail(failure("InvalidRequest", "register", day, "The day must look like 2026-11-20.")),
    ...(notices === undefined ? {} : { notices })
  })
}

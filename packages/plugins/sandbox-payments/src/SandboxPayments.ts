/**
 * The client of the simulated rail, written as one for a real rail should be: what cannot be read is `unknown`, and only what surely
 * had no effect is an error.
 */
import {
  isRegisterDay,
  paymentMistake,
  Payments,
  PaymentsError,
  type PaymentOutcome,
  type PaymentsReason,
  type PaymentStatus,
  type RegisterLine
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { SandboxConfig } from "./config.ts"
import { call, neverSent, type Reply } from "./wire.ts"

/** Where the rail is. `again` is asked after a refused connection and may have started it anew. */
export interface Endpoint {
  readonly url: Effect.Effect<string, PaymentsError>
  readonly again: Effect.Effect<string, PaymentsError>
}

const MoneyOnWire = Schema.Struct({ amount: Schema.BigIntFromString, currency: Schema.String })
const Answer = Schema.Union([
  Schema.Struct({ id: Schema.String, state: Schema.Literal("succeeded"), reference: Schema.NonEmptyString }),
  Schema.Struct({ id: Schema.String, state: Schema.Literal("failed"), code: Schema.String, message: Schema.String }),
  Schema.Struct({ id: Schema.String, state: Schema.Literal("pending") })
])
const Refusal = Schema.Struct({
  id: Schema.optionalKey(Schema.String),
  error: Schema.Struct({ code: Schema.String, message: Schema.String })
})
const QuoteAnswer = Schema.Struct({ fee: MoneyOnWire, payeeName: Schema.String })
const Line = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({
      id: Schema.String,
      reference: Schema.String,
      money: MoneyOnWire,
      state: Schema.Literals(["succeeded", "returned"]),
      at: Schema.Number
    }),
    Schema.Struct({ end: Schema.Literal(true), lines: Schema.Int })
  ])
)

const decodeAnswer = Schema.decodeUnknownOption(Answer)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)
const decodeQuote = Schema.decodeUnknownOption(QuoteAnswer)

const advice: Record<PaymentsReason, string> = {
  InvalidRequest: "Correct it and send it under a new id.",
  Unauthorized: "Check the rail's address in the configuration.",
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

/** An answer that the protocol calls "not looked at", if it is one. */
const refusalOf = (operation: string, subject: string, reply: Reply): PaymentsError | undefined => {
  if (reply.type === "unsent") return failure("Unavailable", operation, subject, "The rail is not there.", reply.cause)
  if (reply.type === "silent") return undefined
  const { status, retryAfter = "1" } = reply
  if (status === 429)
    return failure("RateLimited", operation, subject, `The rail takes the next request in ${retryAfter} s.`)
  if (status === 401 || status === 403) return failure("Unauthorized", operation, subject, "The rail does not know us.")
  const code = Option.getOrUndefined(decodeRefusal(reply.body))?.error.code
  if (status === 503 && code === "unavailable")
    return failure("Unavailable", operation, subject, "The rail is closed for the moment.")
  if (status === 400 && code === "invalid")
    return failure("InvalidRequest", operation, subject, "The rail refused payee, amount or memo.")
  if (status === 422 && code === "id-reused")
    return failure("InvalidRequest", operation, subject, "This id stands for another payment.")
  return undefined
}

/** The outcome in an answer about this id; undefined when it is about another one or cannot be read. */
const outcomeOf = (id: string, reply: Reply): PaymentOutcome | undefined => {
  if (reply.type !== "answer" || (reply.status !== 200 && reply.status !== 202)) return undefined
  const answer = Option.getOrUndefined(decodeAnswer(reply.body))
  if (answer?.id !== id) return undefined
  const { id: _, ...outcome } = answer
  return outcome
}

const unknown = (reply: Reply): PaymentOutcome => ({
  state: "unknown",
  message: reply.type === "answer" ? "The rail's answer could not be read." : "The rail's answer was lost."
})

export const makePayments = (config: SandboxConfig, endpoint: Endpoint): Payments["Service"] => {
  const { currency, timeout } = config
  const rail = { payees: ["phone"], currency, limit: BigInt(config.limit) } as const

  /** A refused connection cost nothing, so it may be made once more to where the rail is by then. */
  const ask = Effect.fnUntraced(function* (
    path: string,
    method: "GET" | "PUT" | "POST",
    body?: unknown
  ): Effect.fn.Return<Reply, PaymentsError> {
    const at = (url: string) => call(`${url}${path}`, { method, timeout, ...(body === undefined ? {} : { body }) })
    const reply = yield* Effect.flatMap(endpoint.url, at)
    return reply.type === "unsent" ? yield* Effect.flatMap(endpoint.again, at) : reply
  })

  const wireBody = (request: Parameters<Payments["Service"]["quote"]>[0]) => ({
    payee: request.payee,
    money: { amount: String(request.money.amount), currency: request.money.currency },
    memo: request.memo
  })

  const lines = (day: string, text: string): Effect.Effect<ReadonlyArray<RegisterLine>, PaymentsError> => {
    const parsed = text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => Option.getOrUndefined(Schema.decodeUnknownOption(Line)(line)))
    const last = parsed.pop()
    const whole = last !== undefined && "end" in last && last.lines === parsed.length
    const booked = parsed.filter((line) => line !== undefined && "id" in line)
    return whole && booked.length === parsed.length
      ? Effect.succeed(booked)
      : Effect.fail(failure("Unavailable", "register", day, "The register came incomplete."))
  }

  const read = (day: string) => (url: string) =>
    Effect.tryPromise({
      try: async (signal) => {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(Math.max(timeout, 60_000))])
        const response = await fetch(`${url}/v1/register/${day}`, { signal: limit, redirect: "error" })
        return response.ok ? await response.text() : ""
      },
      catch: (cause) => failure("Unavailable", "register", day, "The register could not be read.", cause)
    })

  return Payments.of({
    payees: rail.payees,
    currency,
    quote: Effect.fn("Payments.quote")(function* (request) {
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "quote", "quote", wrong)
      const reply = yield* ask("/v1/quotes", "POST", wireBody(request))
      const quote = reply.type === "answer" && reply.status === 200 ? decodeQuote(reply.body) : Option.none()
      if (Option.isSome(quote)) return quote.value
      return yield* (
        refusalOf("quote", "quote", reply) ??
        failure("Unavailable", "quote", "quote", "The rail's answer could not be read.")
      )
    }),
    pay: Effect.fn("Payments.pay")(function* (request) {
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "pay", request.id, wrong)
      const reply = yield* ask(`/v1/payments/${request.id}`, "PUT", wireBody(request))
      const outcome = outcomeOf(request.id, reply)
      if (outcome !== undefined) return outcome
      const refusal = refusalOf("pay", request.id, reply)
      return refusal === undefined ? unknown(reply) : yield* refusal
    }),
    status: Effect.fn("Payments.status")(function* (id): Effect.fn.Return<PaymentStatus, PaymentsError> {
      const reply = yield* ask(`/v1/payments/${encodeURIComponent(id)}`, "GET")
      const outcome = outcomeOf(id, reply)
      if (outcome !== undefined) return outcome
      const refusal = refusalOf("status", id, reply)
      if (refusal !== undefined) return yield* refusal
      if (reply.type === "silent") return yield* failure("Unavailable", "status", id, "The rail's answer was lost.")
      const said =
        reply.type === "answer" && reply.status === 404 ? Option.getOrUndefined(decodeRefusal(reply.body)) : undefined
      // Any path of any server answers 404: only one that repeats our id is about our payment. It may still be on its way.
      return said?.id === id && said.error.code === "not-found" ? { state: "not-found", final: false } : unknown(reply)
    }),
    register: (day) =>
      isRegisterDay(day)
        ? Stream.fromIterableEffect(
            endpoint.url.pipe(
              Effect.flatMap(read(day)),
              Effect.catchIf(
                (error) => neverSent(error.cause),
                () => Effect.flatMap(endpoint.again, read(day))
              ),
              Effect.flatMap((text) => lines(day, text))
            )
          )
        : Stream.fail(failure("InvalidRequest", "register", day, "The day must look like 2026-11-20."))
  })
}

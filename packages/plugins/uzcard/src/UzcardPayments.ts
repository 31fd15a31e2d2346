/**
 * Credits to cards through UzCard's gateway. What cannot be read is `unknown`, and only what surely had no effect is an error. A credit whose
 * id the gateway has seen is refused by it; what became of the first one is asked for then.
 */
import {
  type HostOutward,
  isRegisterDay,
  paymentMistake,
  type PaymentOutcome,
  type PaymentRequest,
  Payments,
  type PaymentsError,
  type PaymentStatus
} from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { makeCall, type Reply } from "./call.ts"
import { makeCards } from "./cards.ts"
import type { UzcardConfig } from "./config.ts"
import { failure, refusalOf, unanswered } from "./failures.ts"
import { makeRegister } from "./register.ts"
import {
  currency,
  currencyNumber,
  errors,
  isReference,
  methods,
  responses,
  statuses,
  type Transaction
} from "./wire.ts"

const unknown = (message: string) => ({ state: "unknown", message }) as const

/** Where a transaction stands; `amount`: what it must be about, where we know. */
const outcomeOf = (id: string, transaction: Transaction, amount?: bigint): PaymentOutcome => {
  const { ext, refNum, resp, status } = transaction
  if (ext !== id) return unknown("The answer of UzCard was about another payment.")
  if (transaction.currency !== currencyNumber || (amount !== undefined && BigInt(transaction.amount) !== amount))
    return unknown("The answer of UzCard was about another amount.")
  switch (Object.hasOwn(statuses, status) ? statuses[status] : undefined) {
    case "paid":
    case "returned":
      return isReference(refNum) && resp === 0
        ? { state: "succeeded", reference: refNum }
        : unknown("UzCard calls the payment made and gives no reference for it.")
    case "waiting":
      return { state: "pending" }
    case "refused": {
      const meaning = responses[resp]
      if (meaning === undefined) return unknown(`UzCard refused the payment with the code ${resp}, which nobody knows.`)
      return meaning.final
        ? { state: "failed", code: String(resp), message: meaning.message }
        : unknown(meaning.message)
    }
    case undefined:
      return unknown("The answer of UzCard has a state that nobody knows.")
  }
}

const unread = (reply: Reply<unknown>) =>
  unknown(reply.type === "silent" ? "The answer of UzCard was lost." : "The answer of UzCard could not be read.")

export const makePayments = (
  config: UzcardConfig,
  outward: HostOutward["Service"],
  mode: "dev" | "production"
): Payments["Service"] => {
  const { fee, limit, merchantId, sender, terminalId } = config
  const rail = { payees: ["card-token"], currency, limit: BigInt(limit) } as const
  const call = makeCall(config, outward)

  /** What the gateway has under our id; undefined where it knows none. */
  const find = Effect.fnUntraced(function* (
    operation: string,
    id: string
  ): Effect.fn.Return<Transaction | PaymentOutcome | undefined, PaymentsError> {
    const reply = yield* call(id, methods.byExt, id)
    if (reply.type === "error" && errors.notFound.has(reply.code)) return undefined
    if (reply.type === "unreadable") return unread(reply)
    if (reply.type !== "result") return yield* unanswered(operation, id, reply)
    const [transaction, ...others] = reply.result
    return others.length > 0 ? unknown("UzCard has more than one payment under this id.") : transaction
  })

  /** The first credit under this id, for one that was refused as its repeat. */
  const earlier = Effect.fnUntraced(function* ({ id, memo, money, payee }: PaymentRequest) {
    const found = yield* Effect.catch(find("pay", id), () => Effect.succeed(undefined))
    if (found === undefined) return unknown("UzCard has the payment already and does not say what became of it.")
    if ("state" in found) return found
    const { amount, purpose = memo, recipient = payee.value } = found
    if (found.ext === id && (BigInt(amount) !== money.amount || recipient !== payee.value || purpose !== memo))
      return yield* failure("InvalidRequest", "pay", id, "This id stands for another payment.")
    return outcomeOf(id, found, money.amount)
  })

  return Payments.of({
    payees: rail.payees,
    currency,
    quote: Effect.fn("Payments.quote")(function* (request) {
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "quote", "quote", wrong)
      const reply = yield* call("quote", methods.info, request.payee.value)
      if (reply.type !== "result") return yield* unanswered("quote", "quote", reply)
      const { EMBOS_NAME: payeeName } = reply.result
      const cost = (request.money.amount * BigInt(fee) + 9_999n) / 10_000n
      return { fee: { amount: cost, currency }, ...(payeeName === undefined ? {} : { payeeName }) }
    }),
    pay: Effect.fn("Payments.pay")(function* (request) {
      const { id, memo, money, payee } = request
      const wrong = paymentMistake(request, rail)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "pay", id, wrong)
      const reply = yield* call(id, methods.credit, {
        ext: id,
        amount: Number(money.amount),
        recipient: payee.value,
        purpose: memo,
        merchantId,
        terminalId,
        sender: { legalName: sender, system: "mahalla" }
      })
      if (reply.type === "result") return outcomeOf(id, reply.result, money.amount)
      if (reply.type === "error" && errors.duplicate.has(reply.code)) return yield* earlier(request)
      const refusal = refusalOf("pay", id, reply)
      return refusal === undefined ? unread(reply) : yield* refusal
    }),
    status: Effect.fn("Payments.status")(function* (id): Effect.fn.Return<PaymentStatus, PaymentsError> {
      const found = yield* find("status", id)
      // It may still be on its way: nothing is final about an id that is not there.
      if (found === undefined) return { state: "not-found", final: false }
      return "state" in found ? found : outcomeOf(id, found)
    }),
    register: (day) =>
      isRegisterDay(day)
        ? Stream.fromIterableEffect(makeRegister(call, terminalId)(day))
        : Stream.fail(failure("InvalidRequest", "register", day, "The day must look like 2026-11-20.")),
    reverse: Effect.fn("Payments.reverse")(function* (id): Effect.fn.Return<PaymentOutcome, PaymentsError> {
      const found = yield* find("reverse", id)
      const paid = found === undefined || "state" in found ? found : outcomeOf(id, found)
      if (paid === undefined || paid.state === "failed")
        return yield* failure("InvalidRequest", "reverse", id, "Nothing was paid under this id.")
      if (found === undefined || "state" in found || paid.state !== "succeeded")
        return yield* failure("Unavailable", "reverse", id, "What became of the payment is not known yet.")
      if (statuses[found.status] === "returned") return paid
      const reply = yield* call(id, methods.reverse, found.id)
      if (reply.type !== "result") {
        const refusal = refusalOf("reverse", id, reply)
        return refusal === undefined ? unread(reply) : yield* refusal
      }
      const outcome = outcomeOf(id, reply.result, BigInt(found.amount))
      const { status } = reply.result
      // A payment that merely still stands says nothing of its reversal.
      return outcome.state === "succeeded" && statuses[status] !== "returned"
        ? unknown("UzCard does not say whether the payment was taken back.")
        : outcome
    }),
    ...makeCards(call, mode)
  })
}

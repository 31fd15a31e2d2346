/**
 * A payment rail in memory that pays nobody and can be told to misbehave. For tests of whatever pays through the port.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import {
  isRegisterDay,
  paymentMistake,
  Payments,
  PaymentsError,
  type PaymentOutcome,
  type PaymentRequest,
  type PaymentsReason,
  type RegisterLine
} from "../ports/Payments.ts"
import { memoryCards } from "./Payments.memoryCards.ts"
import { PaymentsControl, type PaymentsFault } from "./Payments.probes.ts"

interface Entry {
  readonly request: PaymentRequest
  outcome: PaymentOutcome
  /** What becomes of it when it is settled. */
  then?: "succeeded" | "failed"
  /** Not yet known to `status`. */
  hidden: boolean
  paid: number
}

const fail = (reason: PaymentsReason, operation: string, subject: string, message: string) =>
  new PaymentsError({ reason, operation, subject, message, retryable: reason !== "InvalidRequest" })

const sameBody = (one: PaymentRequest, other: PaymentRequest) =>
  one.payee.kind === other.payee.kind &&
  one.payee.value === other.payee.value &&
  one.money.amount === other.money.amount &&
  one.money.currency === other.money.currency &&
  one.memo === other.memo

const unsure: Partial<Record<PaymentsFault, string>> = {
  "lost-before": "The answer was lost.",
  "lost-after": "The answer was lost.",
  late: "The answer was lost.",
  slow: "The answer did not come in time.",
  malformed: "The answer could not be read.",
  "wrong-id": "The answer was about another payment.",
  "error-body": "The answer was an error."
}

const make = Effect.fnUntraced(function* (currency: string, withCards: boolean) {
  const rail = { payees: [withCards ? "card-token" : "phone"], currency, limit: 1_000_000_000n } as const
  const entries = new Map<string, Entry>()
  const lines: Array<RegisterLine> = []
  const faults: Array<PaymentsFault> = []
  let counter = 0

  const settleAs = (entry: Entry, state: "succeeded" | "failed", at: number) => {
    const { id, money } = entry.request
    delete entry.then
    entry.hidden = false
    if (state === "failed") {
      entry.outcome = { state, code: "declined", message: "The payee's operator declined." }
      return
    }
    const reference = `memory-${++counter}`
    entry.outcome = { state, reference }
    entry.paid += 1
    lines.push({ id, reference, money, state, at })
  }

  const pay = Effect.fn("Payments.pay")(function* (request: PaymentRequest) {
    const wrong = paymentMistake(request, rail)
    if (wrong !== undefined) return yield* fail("InvalidRequest", "pay", request.id, wrong)
    const known = entries.get(request.id)
    if (known !== undefined && !sameBody(known.request, request))
      return yield* fail("InvalidRequest", "pay", request.id, "This id was used for another payment; take a new one.")
    const fault = faults.shift()
    if (fault === "rate-limited") return yield* fail("RateLimited", "pay", request.id, "Too many requests; try later.")
    if (fault === "unavailable") return yield* fail("Unavailable", "pay", request.id, "The rail is away; try later.")
    if (fault === "lost-before") return { state: "unknown", message: unsure[fault] ?? "" } satisfies PaymentOutcome
    const at = yield* Clock.currentTimeMillis
    const entry = known ?? { request, outcome: { state: "pending" }, hidden: fault === "late", paid: 0 }
    if (known === undefined) {
      entries.set(request.id, entry)
      if (fault === "pending-failure") entry.then = "failed"
      else if (fault === "pending-success" || fault === "late") entry.then = "succeeded"
      else settleAs(entry, fault === "declined" ? "failed" : "succeeded", at)
    }
    const message = fault === undefined ? undefined : unsure[fault]
    return message === undefined ? entry.outcome : ({ state: "unknown", message } satisfies PaymentOutcome)
  })

  const reverse = Effect.fn("Payments.reverse")(function* (
    id: string
  ): Effect.fn.Return<PaymentOutcome, PaymentsError> {
    const line = lines.find((candidate) => candidate.id === id)
    if (line === undefined) return yield* fail("InvalidRequest", "reverse", id, "Nothing was paid for this id.")
    const fault = faults.shift()
    if (fault === "reverse-declined") return { state: "failed", code: "declined", message: "The payee has spent it." }
    if (!lines.some((candidate) => candidate.id === id && candidate.state === "returned"))
      lines.push({ ...line, state: "returned", at: yield* Clock.currentTimeMillis })
    if (fault === "reverse-lost") return { state: "unknown", message: "The answer was lost." }
    return { state: "succeeded", reference: line.reference }
  })

  const hints = yield* Queue.unbounded<string>()
  const { fillIn, ...cards } = memoryCards()

  const payments = Payments.of({
    payees: rail.payees,
    currency,
    quote: (request) => {
      const wrong = paymentMistake(request, rail)
      return wrong === undefined
        ? Effect.succeed({ fee: { amount: 0n, currency } })
        : Effect.fail(fail("InvalidRequest", "quote", "quote", wrong))
    },
    pay,
    status: (id) =>
      Effect.sync(() => {
        const entry = entries.get(id)
        return entry === undefined || entry.hidden ? { state: "not-found", final: false } : entry.outcome
      }),
    register: (day) =>
      isRegisterDay(day)
        ? Stream.fromIterableEffect(
            Effect.sync(() => lines.filter((line) => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(line.at)) === day))
          )
        : Stream.fail(fail("InvalidRequest", "register", day, "The day must look like 2026-11-20.")),
    ...(withCards ? { reverse, notices: Stream.fromQueue(hints), ...cards } : {})
  })
  const control = PaymentsControl.of({
    next: (fault) => Effect.sync(() => void faults.push(fault)),
    settle: Effect.map(Clock.currentTimeMillis, (at) => {
      for (const entry of entries.values()) if (entry.then !== undefined) settleAs(entry, entry.then, at)
    }),
    giveBack: (id) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        const line = lines.find((candidate) => candidate.id === id)
        if (line !== undefined) lines.push({ ...line, state: "returned", at })
      }),
    effects: (id) => Effect.sync(() => entries.get(id)?.paid ?? 0),
    ...(withCards ? { hint: (id) => Effect.asVoid(Queue.offer(hints, id)), fillIn } : {})
  })
  return Context.make(Payments, payments).pipe(Context.add(PaymentsControl, control))
})

/**
 * Pays phones up to ten million; `currency` defaults to UZS. With `cards` it pays cards instead, and has all that a rail need not have. Everything
 * is forgotten with the layer.
 */
export const memoryPayments = (options?: {
  readonly currency?: string
  readonly cards?: boolean
}): Layer.Layer<Payments | PaymentsControl> =>
  Layer.effectContext(make(options?.currency ?? "UZS", options?.cards ?? false))

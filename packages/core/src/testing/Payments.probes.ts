/**
 * The hand on a rail's own side, and the questions that the suite's rules have in common.
 */
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Payments, PaymentsError, type Payee, type PaymentRequest } from "../ports/Payments.ts"
import type { Rule } from "./conformance.ts"

/**
 * How the next `pay` goes wrong. `lost-before`, `lost-after`: no answer, the payment not made or made. `slow`: made, but answered past
 * the client's time-out. `malformed`, `wrong-id`, `error-body`: made, with an answer that cannot be believed. `duplicate`: made, answered
 * twice. `pending-…`: accepted, settled later. `late`: no answer, unknown to the rail for now, made later. `declined`: finally not made.
 * `rate-limited`, `unavailable`: refused before it was looked at. `reverse-lost`: the next `reverse` is made, and its answer lost.
 * `reverse-declined`: it is finally not made.
 */
export type PaymentsFault =
  | "lost-before"
  | "lost-after"
  | "slow"
  | "malformed"
  | "wrong-id"
  | "error-body"
  | "duplicate"
  | "pending-success"
  | "pending-failure"
  | "late"
  | "declined"
  | "rate-limited"
  | "unavailable"
  | "reverse-lost"
  | "reverse-declined"

/** A hand on the rail's own side: a simulator, a recorded test stand, a fake. */
export class PaymentsControl extends Context.Service<
  PaymentsControl,
  {
    /** Somebody the rail can pay. Default: a phone, or the token `tok_test`. */
    readonly payee?: Payee
    readonly next: (fault: PaymentsFault) => Effect.Effect<void>
    /** Whatever is pending or late happens now. */
    readonly settle: Effect.Effect<void>
    /** Takes a payment back. */
    readonly giveBack: (id: string) => Effect.Effect<void>
    /** How often the rail has really paid for this id. */
    readonly effects: (id: string) => Effect.Effect<number>
    /** The rail says something about an id unasked; absent where it never does. */
    readonly hint?: (id: string) => Effect.Effect<void>
    /**
     * Types a card into the rail's form at this address and confirms it, as a person does; absent where the rail has no forms. Gives the
     * number that the card's owner has in the population register.
     */
    readonly fillIn?: (url: string) => Effect.Effect<string>
  }
>()("@mahalla/testing/PaymentsControl") {}

export type Service = Payments["Service"]
export type Control = PaymentsControl["Service"]

const payee = (service: Service, control?: Control): Payee =>
  control?.payee ??
  (service.payees.includes("phone")
    ? { kind: "phone", value: "+998901234567" }
    : { kind: "card-token", value: "tok_test" })

export const request = (service: Service, change: Partial<PaymentRequest> = {}, control?: Control): PaymentRequest => ({
  id: randomUUID(),
  payee: payee(service, control),
  money: { amount: 150_000n, currency: service.currency },
  memo: "Reward for a report",
  ...change
})

export const today = Effect.map(Clock.currentTimeMillis, (now) => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(now)))

/** The register's lines for one id, of today and, around midnight, of the day before. */
export const booked = Effect.fnUntraced(function* (service: Service, id: string) {
  const now = yield* Clock.currentTimeMillis
  const days = new Set([now - 600_000, now].map((at) => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(at))))
  const lines = yield* Effect.forEach([...days], (day) => Stream.runCollect(service.register(day)))
  return lines.flat().filter((line) => line.id === id)
})

export const refused = Effect.fnUntraced(function* (service: Service, bad: PaymentRequest, known = false) {
  const error = yield* Effect.flip(service.pay(bad))
  assert.ok(error instanceof PaymentsError, `expected a PaymentsError, got ${String(error)}`)
  assert.equal(error.reason, "InvalidRequest")
  assert.equal(error.retryable, false)
  if (known) return
  assert.deepEqual(yield* booked(service, bad.id), [])
})

export const rule = (
  name: string,
  check: (service: Service) => Effect.Effect<void, unknown>
): Rule<Payments, Service> => ({
  name,
  check
})

/** A rule that needs the hand on the rail's side. */
export const controlled = (
  name: string,
  check: (service: Service, control: Control, request: PaymentRequest) => Effect.Effect<void, unknown>
): Rule<Payments, Service> => ({
  name,
  unless: () =>
    Effect.map(Effect.serviceOption(PaymentsControl), (control) =>
      Option.isSome(control) ? undefined : "the layer provides no PaymentsControl"
    ),
  check: (service) =>
    Effect.flatMap(Effect.serviceOption(PaymentsControl), (control) => {
      const hand = Option.getOrThrow(control)
      return check(service, hand, request(service, {}, hand))
    })
})

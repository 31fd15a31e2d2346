/**
 * A payment rail that pays citizens: phone credit, a card, a sandbox.
 *
 * Our id comes first: it is committed before the first byte leaves, and it is the only name of the payment. A lost answer is the
 * outcome `unknown`, never an error and never a reason to pay again under a new id; only `status` or the register settles it.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import { PortError } from "./PortError.ts"

export type PaymentsReason =
  /** The rail refused the request's form: a bad payee, amount or currency. Nothing was paid. */
  | "InvalidRequest"
  | "Unauthorized"
  /** Nothing was sent, or only something that has no effect (`quote`, `status`, `register`). */
  | "Unavailable"
  | "RateLimited"

export class PaymentsError extends PortError("PaymentsError")<PaymentsReason> {}

/** Minor units (tiyin, tetri, cents) with their ISO 4217 code. */
export interface Money {
  readonly amount: bigint
  readonly currency: string
}

export interface Payee {
  readonly kind: "phone" | "card-token"
  /** E.164 for a phone; the rail's own token for a card. Never a card number. */
  readonly value: string
}

export interface PaymentRequest {
  /** Ours, unique for ever: a UUID. */
  readonly id: string
  readonly payee: Payee
  readonly money: Money
  /** At most 120 characters for the payee's statement. */
  readonly memo: string
}

export interface Quote {
  /** What it costs us beside the amount. */
  readonly fee: Money
  /** The payee's name as the rail shows it, for a person to compare. */
  readonly payeeName?: string
}

export type PaymentOutcome =
  | { readonly state: "succeeded"; readonly reference: string }
  /** The rail says finally that nothing was paid. */
  | { readonly state: "failed"; readonly code: string; readonly message: string }
  /** Accepted, not yet settled; ask `status`. */
  | { readonly state: "pending" }
  /** The answer was lost, late or unreadable. */
  | { readonly state: "unknown"; readonly message: string }

export type PaymentStatus =
  | PaymentOutcome
  /** The rail does not know our id. `final` only where its contract says that it never will. */
  | { readonly state: "not-found"; readonly final: boolean }

/** A line of the rail's register of one day. A return is a line of its own on its own day; the line of the payment stays. */
export interface RegisterLine {
  readonly id: string
  readonly reference: string
  readonly money: Money
  readonly state: "succeeded" | "returned"
  /** Epoch milliseconds. */
  readonly at: number
}

/** A page of the rail's own, where a person types card number and code: neither is ever seen here. */
export interface CardForm {
  readonly url: string
  /** Epoch milliseconds after which it cannot be used. */
  readonly expiresAt: number
}

export interface CardFormRequest {
  /** Ours, a UUID; the same one again leads to the same binding. */
  readonly id: string
  /** Where the person goes afterwards. */
  readonly returnTo: string
  /** BCP 47. */
  readonly language: string
}

export type CardBinding =
  | { readonly state: "waiting" }
  /** `masked`: at most the first six and the last four digits. */
  | { readonly state: "bound"; readonly token: string; readonly masked: string }
  | { readonly state: "failed"; readonly message: string }

export class Payments extends Context.Service<
  Payments,
  {
    /** Kinds of payee this rail can pay. */
    readonly payees: ReadonlyArray<Payee["kind"]>
    /** ISO 4217. */
    readonly currency: string
    readonly quote: (request: Omit<PaymentRequest, "id">) => Effect.Effect<Quote, PaymentsError>
    /**
     * Pays at most once for one id, however often it is called with it; the same id with another body is `InvalidRequest`. The
     * error channel means that surely nothing was paid by this call; anything less sure is the outcome `unknown`, after which the
     * same id may be sent again.
     */
    readonly pay: (request: PaymentRequest) => Effect.Effect<PaymentOutcome, PaymentsError>
    readonly status: (id: string) => Effect.Effect<PaymentStatus, PaymentsError>
    /** Everything the rail booked for us on a UTC day (`2026-11-20`). */
    readonly register: (day: string) => Stream.Stream<RegisterLine, PaymentsError>
    /** Takes a payment that succeeded back; absent where the rail cannot. Its register then has a line `returned`. As sure or unsure as `pay`. */
    readonly reverse?: (id: string) => Effect.Effect<PaymentOutcome, PaymentsError>
    /** Our ids of which the rail has said something unasked: a hint to ask `status`, never more. Does not end by itself. */
    readonly notices?: Stream.Stream<string, PaymentsError>
    /** Rails that pay to cards: begins to bind one. */
    readonly bindCard?: (request: CardFormRequest) => Effect.Effect<CardForm, PaymentsError>
    /** What became of a binding, by our id. */
    readonly boundCard?: (id: string) => Effect.Effect<CardBinding, PaymentsError>
    /** Whether a bound card is that person's, by their number in the population register; absent where the rail cannot tell. */
    readonly cardBelongsTo?: (token: string, personalNumber: string) => Effect.Effect<boolean, PaymentsError>
  }
>()("@mahalla/ports/Payments") {}

/** 13–19 digits that obey the check digit of ISO/IEC 7812-1, with or without spaces and dashes. */
export const isCardNumber = (text: string): boolean => {
  const digits = text.replace(/[ -]/g, "")
  if (!/^\d{13,19}$/.test(digits)) return false
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 1 : 2)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return sum % 10 === 0
}

const isUuid = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/**
 * What makes a request unfit for any rail with these limits, in words for the `InvalidRequest`; undefined when it is fit. The payee is
 * never repeated in them. `limit`: the largest amount in minor units.
 */
export const paymentMistake = (
  request: Omit<PaymentRequest, "id"> & { readonly id?: string },
  rail: { readonly payees: ReadonlyArray<Payee["kind"]>; readonly currency: string; readonly limit: bigint }
): string | undefined => {
  const { id, money, payee, memo } = request
  if (id !== undefined && !isUuid(id)) return "The id must be a UUID."
  if (money.currency !== rail.currency) return `Only ${rail.currency} is paid here; convert the amount first.`
  if (money.amount <= 0n || money.amount > rail.limit)
    return `The amount must be between 1 and ${rail.limit} minor units of ${rail.currency}.`
  if ([...memo].length > 120) return "The memo must have at most 120 characters."
  if (!rail.payees.includes(payee.kind)) return `Payees of the kind ${payee.kind} are not paid here.`
  if (payee.kind === "phone" && !/^\+[1-9]\d{6,14}$/.test(payee.value)) return "The phone must be in E.164 form."
  if (payee.kind === "card-token" && (payee.value === "" || isCardNumber(payee.value)))
    return "The payee must be the rail's token for a card, never a card number."
  return undefined
}

/** What makes a request for a card's form unfit for any rail, in words for the `InvalidRequest`; undefined when it is fit. */
export const cardFormMistake = ({ id, returnTo, language }: CardFormRequest): string | undefined => {
  if (!isUuid(id)) return "The id must be a UUID."
  if (returnTo.length > 2_000 || !/^https?:\/\/[^\s]+$/.test(returnTo))
    return "The address to return to must be one of the web."
  if (!/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(language))
    return "The language must be a BCP 47 tag, as uz or uz-Cyrl."
  return undefined
}

/** Whether a text is a calendar day as `register` takes it: `2026-11-20`. */
export const isRegisterDay = (day: string): boolean =>
  /^\d{4}-\d{2}-\d{2}$/.test(day) && Option.contains(Option.map(DateTime.make(day), DateTime.formatIsoDateUtc), day)

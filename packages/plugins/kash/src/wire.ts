/**
 * The contract with Kash, all of it: paths, bodies, codes, signatures. Where the partner's differs, this is the file to change; in words it
 * stands in docs/plugins/kash.md.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"

export const currency = "UZS"

/** Our id is in the path, so that no answer can be given without having read it. */
export const paths = {
  quote: "/v1/quotes",
  pay: (id: string) => `/v1/payments/${id}`,
  status: (id: string) => `/v1/payments/${encodeURIComponent(id)}/status`,
  register: "/v1/register"
}

/** Tiyin. */
const Amount = Schema.BigIntFromString
const Instant = Schema.DateTimeUtcFromString

export const Quote = Schema.Struct({
  phone: Schema.String,
  amount: Amount,
  currency: Schema.Literal(currency),
  fee: Amount,
  /** The subscriber as the operator shows them, mostly hidden: `A*** K***`. */
  subscriber: Schema.optionalKey(Schema.String)
})

const about = { id: Schema.String, amount: Amount, currency: Schema.String }

export const Payment = Schema.Union([
  Schema.Struct({ ...about, state: Schema.Literal("processing") }),
  /** `returned`: it was paid, and came back later; the register says when. */
  Schema.Struct({ ...about, state: Schema.Literals(["done", "returned"]), reference: Schema.NonEmptyString }),
  Schema.Struct({ ...about, state: Schema.Literal("rejected"), code: Schema.String })
])

/** `id` where the refusal is about a payment. */
export const Refusal = Schema.Struct({
  id: Schema.optionalKey(Schema.String),
  error: Schema.Struct({ code: Schema.String })
})

/** A page of the register. `from` and `to` repeat the question, `total` counts the lines of all pages. */
export const RegisterPage = Schema.Struct({
  from: Instant,
  to: Instant,
  total: Schema.Int,
  lines: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      reference: Schema.NonEmptyString,
      amount: Amount,
      currency: Schema.String,
      state: Schema.Literals(["done", "returned"]),
      at: Instant
    })
  ),
  next: Schema.optionalKey(Schema.NonEmptyString)
})

export const registerQuestion = (from: DateTime.Utc, to: DateTime.Utc, after: string | undefined) => ({
  from: DateTime.formatIso(from),
  to: DateTime.formatIso(to),
  ...(after === undefined ? {} : { after })
})

/**
 * What the code of a rejection means: that finally nothing was paid, or that nobody knows. A code that does not stand here is one of which
 * nobody knows.
 */
export const rejections: Readonly<Record<string, { readonly final: boolean; readonly message: string }>> = {
  "number-unknown": { final: true, message: "The operator knows no such number." },
  "number-blocked": { final: true, message: "The number is blocked." },
  "number-ported": { final: true, message: "The number has moved to an operator that is not served." },
  "operator-declined": { final: true, message: "The payee's operator declined the top-up." },
  "amount-too-small": { final: true, message: "The operator takes larger amounts only." },
  "amount-too-large": { final: true, message: "The operator takes smaller amounts only." },
  "limit-exceeded": { final: true, message: "The number has been topped up as often as it may be." },
  "deposit-exhausted": { final: true, message: "Our deposit at Kash is used up." },
  "operator-timeout": { final: false, message: "The operator has not answered Kash." },
  "operator-unreachable": { final: false, message: "Kash did not reach the operator." },
  internal: { final: false, message: "Something went wrong at Kash." }
}

/** A callback says that something has happened to a payment. What it says of the outcome is not read: `status` is asked. */
export const Callback = Schema.fromJsonString(Schema.Struct({ id: Schema.String }))

/** Seconds by which a callback's moment may differ from ours. */
export const callbackTolerance = 300
export const callbackHeaders = { timestamp: "x-kash-timestamp", signature: "x-kash-signature" }

/** `v1=` and the HMAC-SHA256 of the moment (epoch seconds), a dot and the body's bytes, in hexadecimal. */
export const signature = (secret: string, timestamp: string, body: Uint8Array): string =>
  `v1=${createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex")}`

export const isSigned = (secret: string, timestamp: string, body: Uint8Array, given: string): boolean => {
  const [expected, found] = [signature(secret, timestamp, body), given].map((text) => Buffer.from(text))
  return expected!.length === found!.length && timingSafeEqual(expected!, found!)
}

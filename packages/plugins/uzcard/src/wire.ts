/**
 * The contract with UzCard's gateway (SVGate), all of it: methods, fields, codes. Where the signed contract differs, this is the file to change;
 * in words, and with what is assumed, it stands in docs/plugins/uzcard.md.
 */
import * as Schema from "effect/Schema"

export const currency = "UZS"
/** The same by ISO 4217's number, as the wire has it. */
export const currencyNumber = "860"

/** What is read of a transaction. The wire has more, card numbers among it: that is dropped unread. */
const Transaction = Schema.Struct({
  /** The gateway's own id, by which it takes back. */
  id: Schema.NonEmptyString,
  /** Our id. */
  ext: Schema.String,
  /** Twelve digits; zeros where there is none. */
  refNum: Schema.String,
  /** Tiyin. */
  amount: Schema.Int,
  currency: Schema.String,
  status: Schema.String,
  resp: Schema.Int,
  /** The card's token and the memo, where the gateway repeats them. */
  recipient: Schema.optionalKey(Schema.String),
  purpose: Schema.optionalKey(Schema.String)
})
export type Transaction = typeof Transaction.Type

/** Every method, with what it is asked and what of its result is read. */
export const methods = {
  credit: {
    method: "p2p.universal.credit",
    params: (credit: {
      readonly ext: string
      readonly amount: number
      readonly recipient: string
      readonly purpose: string
      readonly merchantId: string
      readonly terminalId: string
      readonly sender: { readonly legalName: string; readonly system: string }
    }) => ({ credit }),
    result: Transaction
  },
  byExt: {
    method: "trans.ext",
    params: (extId: string) => ({ extId }),
    result: Schema.Array(Transaction)
  },
  reverse: {
    method: "trans.reverse",
    params: (tranId: string) => ({ tranId }),
    result: Transaction
  },
  report: {
    method: "report.detail",
    params: (report: {
      /** Days of Tashkent, `yyyyMMdd`, both included. */
      readonly range: { readonly from: string; readonly to: string }
      readonly pageNumber: number
      readonly pageSize: number
    }) => ({ report }),
    result: Schema.Struct({
      range: Schema.Struct({ from: Schema.String, to: Schema.String }),
      pageNumber: Schema.Int,
      /** Lines of all pages. */
      total: Schema.Int,
      trans: Schema.Array(
        Schema.Struct({
          tranType: Schema.String,
          ext: Schema.String,
          refNum: Schema.String,
          amount: Schema.Int,
          currency: Schema.String,
          status: Schema.String,
          terminalId: Schema.String,
          /** `yyMMddHHmmss` of Tashkent. */
          date12: Schema.String
        })
      )
    })
  },
  info: {
    method: "p2p.info",
    params: (hpan: string) => ({ hpan }),
    result: Schema.Struct({ EMBOS_NAME: Schema.optionalKey(Schema.String) })
  },
  belongs: {
    method: "cards.check.pinfl",
    params: (cardId: string, pinfl: string) => ({ cardinfo: { cardId, pinfl } }),
    result: Schema.Struct({ code: Schema.Literal(0) })
  },
  newForm: {
    method: "cards.form.new",
    params: (form: { readonly ext: string; readonly returnUrl: string; readonly lang: string }) => ({ form }),
    result: Schema.Struct({ ext: Schema.String, url: Schema.String, expires: Schema.DateTimeUtcFromString })
  },
  form: {
    method: "cards.form.ext",
    params: (extId: string) => ({ extId }),
    result: Schema.Union([
      Schema.Struct({ ext: Schema.String, state: Schema.Literals(["NEW", "OTP"]) }),
      Schema.Struct({ ext: Schema.String, state: Schema.Literals(["EXPIRED", "REFUSED"]) }),
      Schema.Struct({
        ext: Schema.String,
        state: Schema.Literal("DONE"),
        card: Schema.Struct({ id: Schema.NonEmptyString, pan: Schema.String })
      })
    ])
  }
} as const

export const reportPage = 100
export const reportTypes = { credit: "CREDIT", reverse: "REVERSE" }

/** What the word `status` of a transaction means. One that does not stand here means nothing. */
export const statuses: Readonly<Record<string, "paid" | "returned" | "refused" | "waiting">> = {
  OK: "paid",
  /** Reversed: it was paid, and came back. */
  ROK: "returned",
  ERR: "refused",
  PRC: "waiting"
}

/** A transaction that took place has a reference that is not all zeros. */
export const isReference = (refNum: string): boolean => /^\d{12}$/.test(refNum) && !/^0+$/.test(refNum)

interface Meaning {
  /** Whether finally nothing was paid; else nobody knows. */
  readonly final: boolean
  readonly message: string
}
const declined = (message: string): Meaning => ({ final: true, message })
const unsure = (message: string): Meaning => ({ final: false, message })

/** The response codes (ISO 8583, field 39) of a refused transaction. One that does not stand here is one of which nobody knows. */
export const responses: Readonly<Record<number, Meaning>> = {
  3: declined("The merchant is not known to the processing centre."),
  4: declined("The card has been withdrawn."),
  5: declined("The card's bank declined."),
  12: declined("The card's bank takes no such transaction."),
  13: declined("The card's bank does not take this amount."),
  14: declined("There is no such card."),
  15: declined("There is no such bank."),
  41: declined("The card was reported lost."),
  43: declined("The card was reported stolen."),
  51: declined("There is not enough money."),
  54: declined("The card has expired."),
  57: declined("The card may not be credited."),
  58: declined("The terminal may not credit cards."),
  61: declined("The amount is above the card's limit."),
  62: declined("The card is blocked."),
  65: declined("The card has been credited as often as it may be."),
  6: unsure("The processing centre made an error."),
  9: unsure("The transaction is under way."),
  19: unsure("The processing centre wants it once more."),
  68: unsure("The card's bank answered too late."),
  90: unsure("The processing centre is closing its day."),
  91: unsure("The card's bank does not answer."),
  94: unsure("The processing centre has seen this transaction before."),
  96: unsure("The processing centre has a malfunction.")
}

/** Codes of JSON-RPC errors that mean something sure; after any other nobody knows. */
export const errors = {
  /** Not looked at: the request itself is at fault. */
  form: new Set([-32700, -32600, -32601, -32602]),
  /** No such card, or a blocked one: not looked at further. */
  card: new Set([-200, -261]),
  /** Closed for maintenance: not looked at. */
  closed: new Set([-32050]),
  /** The `ext` was used before. */
  duplicate: new Set([-210]),
  notFound: new Set([-404]),
  /** The card is another person's. */
  otherPerson: new Set([-392])
}

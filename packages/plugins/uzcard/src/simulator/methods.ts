/** The methods of the simulated gateway, as the contract in wire.ts has them, with what goes wrong in them. */
import { randomUUID } from "node:crypto"
import { fromDate12, toDate12 } from "../tashkent.ts"
import { currencyNumber, errors, methods } from "../wire.ts"
import { lineFaults, payFaults, reverseFaults, type Schedule, statusFaults } from "./faults.ts"
import { type Asked, type Credit, noReference, ownerOf, type Processing, type ReportLine } from "./processing.ts"

export interface Context {
  readonly processing: Processing
  readonly schedule: Schedule
  /** Where the forms are: `http://127.0.0.1:7400`. */
  readonly address: () => string
  /** Epoch milliseconds. */
  readonly clock: () => number
}

/** `fault`: how the answer is spoiled on its way. */
export interface Answer {
  readonly result?: unknown
  readonly error?: number
  readonly fault?: string | undefined
}

const one = (codes: ReadonlySet<number>): number => [...codes][0]!
const code = {
  params: -32602,
  noMethod: -32601,
  internal: -199,
  card: one(errors.card),
  closed: one(errors.closed),
  duplicate: one(errors.duplicate),
  notFound: one(errors.notFound),
  otherPerson: one(errors.otherPerson)
}
const day = 86_400_000

const stateOf = ({ returnedAt, state }: Credit) => {
  if (state === "waiting") return { status: "PRC", resp: 9 }
  if (state === "refused") return { status: "ERR", resp: 51 }
  return { status: returnedAt === undefined ? "OK" : "ROK", resp: 0 }
}

const transactionOf = (credit: Credit) => ({
  id: credit.tranId,
  ext: credit.id,
  refNum: credit.refNum,
  amount: credit.amount,
  currency: currencyNumber,
  recipient: credit.recipient,
  purpose: credit.purpose,
  merchantId: credit.merchantId,
  terminalId: credit.terminalId,
  date12: toDate12(credit.at),
  ...stateOf(credit)
})

/** A transaction that says what is not so. */
const spoiled = (credit: Credit, fault: string | undefined) => {
  const plain = transactionOf(credit)
  switch (fault) {
    case "wrong-id":
    case "status-wrong-id":
      return { ...plain, ext: "00000000-0000-4000-8000-000000000000" }
    case "wrong-amount":
      return { ...plain, amount: plain.amount * 100 }
    case "odd-resp":
    case "reverse-odd":
      return { ...plain, status: "ERR", resp: 91, refNum: noReference }
    case "no-reference":
      return { ...plain, refNum: noReference }
    default:
      return plain
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "")

export const makeMethods = ({ address, clock, processing, schedule }: Context) => {
  const credit = (params: unknown): Answer => {
    const { credit: given } = (params ?? {}) as { credit?: Partial<Record<keyof Asked | "ext", unknown>> }
    const asked: Asked = {
      id: text(given?.ext),
      recipient: text(given?.recipient),
      amount: Number(given?.amount),
      purpose: text(given?.purpose),
      merchantId: text(given?.merchantId),
      terminalId: text(given?.terminalId)
    }
    if (asked.id === "" || asked.merchantId === "" || !Number.isSafeInteger(asked.amount) || asked.amount <= 0)
      return { error: code.params }
    if (processing.card(asked.recipient) === undefined) return { error: code.card }
    const fault = schedule.draw(asked.id, payFaults)
    if (fault === "unavailable") return { error: code.closed }
    if (fault === "rate-limited" || fault === "lost-before" || fault === "reset-before") return { fault }
    const made = processing.accept(asked, clock(), fault)
    if (made === "duplicate") return { error: code.duplicate }
    if (fault === "error-body") return { error: code.internal }
    return { result: spoiled(made, fault), fault }
  }

  const byExt = (params: unknown): Answer => {
    const extId = text((params as { extId?: unknown } | undefined)?.extId)
    const fault = schedule.draw(`status ${extId}`, statusFaults)
    if (fault === "status-unavailable") return { error: code.closed }
    const found = processing.find(extId, clock())
    return found === undefined ? { error: code.notFound, fault } : { result: [spoiled(found, fault)], fault }
  }

  const reverse = (params: unknown): Answer => {
    const tranId = text((params as { tranId?: unknown } | undefined)?.tranId)
    const found = processing.credits().find((one) => one.tranId === tranId)
    if (found === undefined) return { error: code.notFound }
    const fault = schedule.draw(`reverse ${found.id}`, reverseFaults)
    if (fault === "reverse-declined") return { result: { ...transactionOf(found), status: "ERR", resp: 51 } }
    const returned = processing.giveBack(found, clock())
    return returned === undefined ? { error: code.params } : { result: spoiled(returned, fault), fault }
  }

  /** The report with its mistakes: the same ones whenever it is asked for. */
  const linesOf = (from: number, to: number) =>
    // Lines of the day before may have been shifted into this one.
    processing.booked(from - day, to).flatMap(({ at, credit: { id, ...booked }, type }: ReportLine) => {
      const plain = { ...transactionOf({ id, ...booked }), tranType: type, at }
      const line = type === "REVERSE" ? { ...plain, status: "OK" } : plain
      const fault = schedule.draw(`register ${id} ${type}`, lineFaults, true)
      const shown = {
        "register-missing": [],
        "register-extra": [line, { ...line, ext: id.replace(/^.{8}/, "ffffffff"), refNum: "999999999999" }],
        "register-shifted": [{ ...line, at: at + day }],
        "register-scaled": [{ ...line, amount: line.amount * 100 }],
        none: [line]
      }[fault ?? "none"]
      return shown.filter((shownLine) => shownLine.at >= from && shownLine.at < to)
    })

  const report = (params: unknown): Answer => {
    const {
      pageNumber = 0,
      pageSize = 100,
      range
    } = ((params as { report?: unknown } | undefined)?.report ?? {}) as {
      range?: { readonly from: string; readonly to: string }
      pageNumber?: number
      pageSize?: number
    }
    const [from, last] = [range?.from, range?.to].map((date) => fromDate12(`${text(date).slice(2)}000000`))
    if (from === undefined || last === undefined) return { error: code.params }
    processing.settle(clock())
    const lines = linesOf(from, last + day)
    const trans = lines
      .slice(pageNumber * pageSize, (pageNumber + 1) * pageSize)
      .map(({ at, ...line }) => ({ ...line, date12: toDate12(at) }))
    const fault = schedule.draw(`page ${range?.from}`, ["register-truncated", "register-malformed"])
    const shown = fault === "register-truncated" ? trans.slice(0, -1) : trans
    return { result: { range, pageNumber, total: lines.length, trans: shown }, fault }
  }

  const info = (params: unknown): Answer =>
    processing.card(text((params as { hpan?: unknown } | undefined)?.hpan)) === undefined
      ? { error: code.card }
      : { result: { EMBOS_NAME: "A*** K***", CARDTYPE: "UZCARD", CARDSTATUS: "ACTIVE" } }

  const belongs = (params: unknown): Answer => {
    const { cardId, pinfl } = ((params as { cardinfo?: unknown } | undefined)?.cardinfo ?? {}) as Record<
      string,
      unknown
    >
    if (processing.card(text(cardId)) === undefined) return { error: code.card }
    return ownerOf(text(cardId)) === pinfl ? { result: { code: 0 } } : { error: code.otherPerson }
  }

  const newForm = (params: unknown): Answer => {
    const { ext, lang, returnUrl } = ((params as { form?: unknown } | undefined)?.form ?? {}) as Record<string, unknown>
    if (text(ext) === "" || !URL.canParse(text(returnUrl))) return { error: code.params }
    const known = processing.formOf(text(ext))
    const form = known ?? {
      kind: "form" as const,
      id: randomUUID(),
      ext: text(ext),
      returnUrl: text(returnUrl),
      lang: text(lang),
      expires: clock() + 900_000,
      state: "NEW" as const
    }
    if (known === undefined) processing.keep(form)
    const expires = new Date(form.expires).toISOString()
    return { result: { ext: form.ext, url: `${address()}/form/${form.id}`, expires } }
  }

  const form = (params: unknown): Answer => {
    const found = processing.formOf(text((params as { extId?: unknown } | undefined)?.extId))
    if (found === undefined) return { error: code.notFound }
    const { card, expires, ext, state } = found
    if (state === "DONE" && card !== undefined)
      return { result: { ext, state, card: { id: card.token, pan: card.masked } } }
    const isOver = expires <= clock() && state !== "REFUSED"
    return { result: { ext, state: isOver ? "EXPIRED" : state } }
  }

  const table: Readonly<Record<string, (params: unknown) => Answer>> = {
    [methods.credit.method]: credit,
    [methods.byExt.method]: byExt,
    [methods.reverse.method]: reverse,
    [methods.report.method]: report,
    [methods.info.method]: info,
    [methods.belongs.method]: belongs,
    [methods.newForm.method]: newForm,
    [methods.form.method]: form
  }
  return (method: string, params: unknown): Answer => {
    const found = Object.hasOwn(table, method) ? table[method] : undefined
    return found === undefined ? { error: code.noMethod } : found(params)
  }
}

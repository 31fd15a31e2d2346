/** The gateway's report as a register: by days of Tashkent there, by UTC days here. */
import type { RegisterLine } from "@mahalla/core/plugin"
import * as Effect from "effect/Effect"
import type { makeCall } from "./call.ts"
import { failure, unanswered } from "./failures.ts"
import { daysAround, fromDate12 } from "./tashkent.ts"
import { currency, currencyNumber, methods, reportPage, reportTypes, statuses } from "./wire.ts"

type Line = (typeof methods.report.result.Type)["trans"][number]

/** Nothing for a credit that was not made; undefined for a line that cannot be read. */
const lineOf = (line: Line): RegisterLine | "nothing" | undefined => {
  const meaning = Object.hasOwn(statuses, line.status) ? statuses[line.status] : undefined
  const at = fromDate12(line.date12)
  if (meaning === undefined || at === undefined) return undefined
  if (meaning === "refused" || meaning === "waiting") return "nothing"
  return {
    id: line.ext,
    reference: line.refNum,
    money: {
      amount: BigInt(line.amount),
      currency: line.currency === currencyNumber ? currency : `ISO 4217 number ${line.currency}`
    },
    state: line.tranType === reportTypes.reverse ? "returned" : "succeeded",
    at
  }
}

export const makeRegister = (call: ReturnType<typeof makeCall>, terminalId: string) =>
  /** All pages before the first line: a register that lacks its end must not look like a short one. */
  Effect.fn("Payments.register")(function* (day: string) {
    const range = daysAround(day)
    const lines: Array<Line> = []
    let total = 0
    let pageNumber = 0
    do {
      const asked = { range, pageNumber, pageSize: reportPage }
      const reply = yield* call(`report ${day} ${pageNumber}`, methods.report, asked)
      if (reply.type !== "result") return yield* unanswered("register", day, reply)
      const { result } = reply
      const isAsked =
        result.range.from === range.from && result.range.to === range.to && result.pageNumber === pageNumber
      if (!isAsked) return yield* failure("Unavailable", "register", day, "The register was about other days.")
      total = result.total
      lines.push(...result.trans)
      pageNumber += 1
      if (result.trans.length === 0) break
    } while (lines.length < total)
    if (lines.length !== total) return yield* failure("Unavailable", "register", day, "The register came incomplete.")
    const types = Object.values(reportTypes)
    const read = lines.filter((line) => line.terminalId === terminalId && types.includes(line.tranType)).map(lineOf)
    if (read.includes(undefined))
      return yield* failure("Unavailable", "register", day, "The register could not be read.")
    const start = Date.parse(`${day}T00:00:00Z`)
    return read.filter(
      (line): line is RegisterLine =>
        line !== undefined && line !== "nothing" && line.at >= start && line.at < start + 86_400_000
    )
  })

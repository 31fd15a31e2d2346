/**
 * Cards and whose they are. Number and code are typed into a page of the gateway's own; what comes here is a token and masked digits, and
 * whatever else comes is refused.
 */
import {
  cardFormMistake,
  isCardNumber,
  type CardBinding,
  type Payments,
  type PaymentsError
} from "@mahalla/core/plugin"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { makeCall } from "./call.ts"
import { failure, unanswered } from "./failures.ts"
import { errors, methods } from "./wire.ts"

/** The first six and the last four digits, whatever came. */
const masked = (pan: string): string => {
  const digits = pan.replace(/[^\d*xX•]/g, "")
  return `${digits.slice(0, 6).replace(/\D/g, "*")}******${digits.slice(-4).replace(/\D/g, "*")}`
}

export const makeCards = (call: ReturnType<typeof makeCall>, mode: "dev" | "production") =>
  ({
    bindCard: Effect.fn("Payments.bindCard")(function* (request) {
      const { id, language, returnTo } = request
      const wrong = cardFormMistake(request)
      if (wrong !== undefined) return yield* failure("InvalidRequest", "bindCard", id, wrong)
      const reply = yield* call(id, methods.newForm, { ext: id, returnUrl: returnTo, lang: language })
      if (reply.type !== "result" || reply.result.ext !== id) return yield* unanswered("bindCard", id, reply)
      const { expires, url } = reply.result
      const isSafe = URL.canParse(url) && (new URL(url).protocol === "https:" || (mode === "dev" && /^http:/.test(url)))
      if (!isSafe) return yield* failure("Unavailable", "bindCard", id, "The form of UzCard has no safe address.")
      return { url, expiresAt: DateTime.toEpochMillis(expires) }
    }),
    boundCard: Effect.fn("Payments.boundCard")(function* (id): Effect.fn.Return<CardBinding, PaymentsError> {
      const reply = yield* call(id, methods.form, id)
      if (reply.type === "error" && errors.notFound.has(reply.code))
        return yield* failure("InvalidRequest", "boundCard", id, "No form was asked for under this id.")
      if (reply.type !== "result" || reply.result.ext !== id) return yield* unanswered("boundCard", id, reply)
      switch (reply.result.state) {
        case "NEW":
        case "OTP":
          return { state: "waiting" }
        case "EXPIRED":
          return { state: "failed", message: "Nobody has filled in the form in time." }
        case "REFUSED":
          return { state: "failed", message: "The card's bank refused card or code." }
        case "DONE": {
          const { id: token, pan } = reply.result.card
          return isCardNumber(token)
            ? { state: "failed", message: "UzCard gave a card number in the place of a token." }
            : { state: "bound", token, masked: masked(pan) }
        }
      }
    }),
    cardBelongsTo: Effect.fn("Payments.cardBelongsTo")(function* (token, personalNumber) {
      if (!/^\d{14}$/.test(personalNumber) || token === "" || isCardNumber(token))
        return yield* failure(
          "InvalidRequest",
          "cardBelongsTo",
          "card",
          "A token and a number of 14 digits are needed."
        )
      const reply = yield* call("pinfl", methods.belongs, token, personalNumber)
      if (reply.type === "error" && errors.otherPerson.has(reply.code)) return false
      return reply.type === "result" ? true : yield* unanswered("cardBelongsTo", "card", reply)
    })
  }) satisfies Pick<Payments["Service"], "bindCard" | "boundCard" | "cardBelongsTo">
